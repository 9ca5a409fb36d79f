-- Money end to end: what a call did cost, whatever became of it; whose prices count; who is warned.
local cost = require "llm.cost"
local environment = require "spec.support.environment"
local estimate = require "llm.estimate"
local llm = require "llm"

local MODEL = "gpt-4o"
local QUESTION = "What do two words cost?"

local made, mocks = {}, {}

-- A configuration file with this text; no other file of the user's is seen.
local function configure(text)
  local path = os.tmpname()
  made[#made + 1] = path
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  environment.set { LLM_CONFIG = path }
  llm.config.override {}
end

local function mock_of(answer)
  mocks[#mocks + 1] = llm.mock { function() return answer end }
  return mocks[#mocks]
end

local function client_with(answer, opts)
  local mock = mock_of(answer)
  opts = opts or {}
  opts.provider, opts.base_url, opts.api_key = "openai", mock.base_url, "sk-spec"
  opts.model, opts.retry = opts.model or MODEL, false
  return llm.client(opts)
end

before_each(function() configure "return {}" end)

after_each(function()
  for _ = 1, #mocks do table.remove(mocks):close() end
  environment.restore()
  llm.config.override {}
  for _ = 1, #made do os.remove(table.remove(made)) end
  collectgarbage()
  for _ = 1, 50 do -- until the mocks' tasks have seen the end
    if llm.live() > 0 then llm.loop.step(0.02) end
  end
  assert.equal(0, llm.live())
end)

describe("cost_estimate of a response", function()
  -- The price of the question and of what had come of the answer.
  local function price_of(content)
    local input = llm.count_tokens({ { role = "user", content = QUESTION } }, MODEL)
    local output = llm.count_tokens(content, MODEL)
    return assert(llm.estimate_cost(MODEL, input, output))
  end

  local function check(response, content)
    assert.equal(content, response.content)
    assert.is_true(response.usage.estimated)
    assert.near(price_of(content), response.cost_estimate, 1e-12)
    assert.equal(response.usage.input_tokens, response.prompt_tokens)
  end

  local function read_to_error(client)
    local texts, stream = client:stream_text(QUESTION)
    local ok, err = pcall(function()
      for _ in texts, stream do end -- luacheck: ignore
    end)
    assert.is_false(ok)
    return err
  end

  it("is the provider's usage priced, its cached part at its own rate", function()
    local client = client_with { text = "Two words", usage = { input_tokens = 1000,
      cached_tokens = 400, output_tokens = 10 } }
    local response = assert(client:generate_text(QUESTION))
    assert.is_nil(response.usage.estimated)
    assert.near((600 * 2.50 + 400 * 1.25 + 10 * 10.00) / 1e6, response.cost_estimate, 1e-12)
  end)

  it("follows the service tier that was asked for", function()
    local client = client_with({ text = "Two words", usage = { input_tokens = 1e6,
      output_tokens = 0 } }, { model = "gpt-5-nano", service_tier = "flex" })
    assert.near(0.025, assert(client:generate_text(QUESTION)).cost_estimate, 1e-12)
  end)

  it("is there when the stream was cut", function()
    local err = read_to_error(client_with { pieces = { "Two", " words", " more" }, cut_after = 3,
      pace = 0.01 })
    assert.equal(1, (" Two words more"):find(" " .. err.partial.content, 1, true))
    check(err.partial, err.partial.content)
  end)

  it("is there when the answer stalled", function()
    local err = read_to_error(client_with({ pieces = { "Two", " words" }, pace = 0.05 },
      { timeout = 0.02 }))
    assert.equal("timeout", err.kind)
    check(err.partial, "Two")
  end)

  it("is there when the loop was left", function()
    local texts, stream = client_with({ pieces = { "Two", " words" }, pace = 0.01 })
      :stream_text(QUESTION)
    for _ in texts, stream, nil, stream do break end -- luacheck: ignore
    stream:close() -- what leaving the loop does on Lua 5.4
    check(stream:response(), "Two")
  end)

  it("is there when the client was closed, and not what it was before", function()
    local client = client_with { pieces = { "Two", " words" }, pace = 0.01 }
    local texts, stream = client:stream_text(QUESTION)
    assert.equal("Two", texts(stream))
    assert.is_nil(stream:response().usage)
    client:close()
    check(stream:response(), "Two")
  end)

  it("does not take counts that came early for the last ones", function()
    local dialect = require "llm.dialect.openai_chat"
    local provider = llm.extend("openai", { decode_event = function(event, reply)
      reply:usage { input_tokens = 100, cached_tokens = 60, output_tokens = 1 }
      return dialect.decode_event(event, reply)
    end })
    local base_url = mock_of({ pieces = { "One two three", " four" }, pace = 0.01 }).base_url
    local client = llm.client { provider = provider, base_url = base_url, api_key = "sk-spec",
      model = MODEL }
    local texts, stream = client:stream_text(QUESTION)
    texts(stream)
    stream:close()
    local response = stream:response()
    assert.same({ input_tokens = 100, cached_tokens = 60, output_tokens = 3, estimated = true },
      response.usage)
    assert.near((40 * 2.50 + 60 * 1.25 + 3 * 10.00) / 1e6, response.cost_estimate, 1e-12)
  end)

  it("keeps what was told of the prompt, and counts what came of the answer", function()
    local reply = {
      request = { model = MODEL, messages = {} }, thoughts = "One two", refused = nil,
      counts = { input_tokens = 100, cached_tokens = 60, cache_write_tokens = 40,
        output_tokens = 1 },
      tool_calls = function() return { { name = "add", arguments = "{}" } } end,
    }
    local usage = estimate.usage(reply, "Two words")
    assert.same({ input_tokens = 100, cached_tokens = 60, cache_write_tokens = 40,
      output_tokens = 2 + 2 + llm.count_tokens("add{}", MODEL), estimated = true }, usage)
    reply.counts.output_tokens = 50
    assert.equal(50, estimate.usage(reply, "Two words").output_tokens)
    reply.counts = { cached_tokens = 60 }
    assert.same({ input_tokens = 3, output_tokens = usage.output_tokens, estimated = true },
      estimate.usage(reply, "Two words"))
  end)

  it("counts tools and texts of a request", function()
    local messages = { { role = "user", content = QUESTION } }
    local reply = { request = { model = MODEL, messages = messages },
      tool_calls = function() end }
    local plain = estimate.usage(reply, "").input_tokens
    reply.request.tools = { { name = "add", parameters = { type = "object" } } }
    assert.equal(plain + llm.count_tokens('add  {"type":"object"}', MODEL),
      estimate.usage(reply, "").input_tokens)
    reply.request.texts = { "Two words" }
    assert.equal(2, estimate.usage(reply, "").input_tokens)
  end)
end)

describe("prices of one's own", function()
  local usage = { input_tokens = 1000, output_tokens = 1000 }
  local answer = { text = "Two words", usage = usage }

  it("come from the configuration", function()
    configure 'return { costs = { ["gpt-4o"] = { input = 1, output = 2 } } }'
    assert.near(3, llm.estimate_cost("gpt-4o", 1000, 1000), 1e-12)
    assert.near(3, llm.estimate_cost("openai/gpt-4o", 1000, 1000), 1e-12)
    assert.near(0.01275, llm.estimate_cost("gpt-4o-mini", 5000, 20000), 1e-12)
    assert.near(3, assert(client_with(answer):generate_text(QUESTION)).cost_estimate, 1e-12)
  end)

  it("come from the client, model by model, before the configuration's", function()
    configure [[return { costs = { ["gpt-4o"] = { input = 1, output = 2 },
      ["gpt-4.1"] = { input = 3, output = 3 } } }]]
    local own = { ["openai/gpt-4o"] = { input = 5, output = 5 } }
    local client = client_with(answer, { costs = own })
    assert.near(10, assert(client:generate_text(QUESTION)).cost_estimate, 1e-12)
    local response = assert(client:generate_text(QUESTION, { model = "gpt-4.1" }))
    assert.near(6, response.cost_estimate, 1e-12)
  end)

  it("hold for the name that was asked for, whatever name answered", function()
    local client = client_with(answer)
    client.costs = { ["gpt-4o"] = { input = 1, output = 2 } }
    assert.near(3, client:cost("gpt-4o-2024-08-06", "gpt-4o", usage), 1e-12)
    client.costs["gpt-4o-2024-08-06"] = { input = 2, output = 2 }
    assert.near(4, client:cost("gpt-4o-2024-08-06", "gpt-4o", usage), 1e-12)
    client.costs = {}
    assert.near(0.0125, client:cost("gpt-4o-2024-08-06", "gpt-4o", usage), 1e-12)
    assert.near(0.0125, client:cost("a-deployment", "gpt-4o", usage), 1e-12)
  end)

  it("come with the question, before all others", function()
    configure 'return { costs = { ["gpt-4o"] = { input = 1, output = 2 } } }'
    local costs = { ["gpt-4o"] = { input = 0.1, output = 0.1 } }
    assert.near(0.2, llm.estimate_cost("gpt-4o", 1000, 1000, costs), 1e-12)
    assert.near(3, llm.estimate_cost("gpt-4o", 1000, 1000, { other = costs["gpt-4o"] }), 1e-12)
  end)
end)

describe("names of models", function()
  it("may have a provider or a maker before them; one that is unknown has no price", function()
    for name, usd in pairs {
      ["gpt-4o"] = 0.0125, ["openai/gpt-4o"] = 0.0125, ["openai/gpt-4o-2024-08-06"] = 0.0125,
      ["anthropic/claude-sonnet-5"] = 0.012, ["google/gemini-2.5-pro"] = 0.01125,
    } do
      assert.near(usd, (llm.estimate_cost(name, 1000, 1000)), 1e-12, name)
    end
    for _, name in ipairs { "unheard-of", "openai/unheard-of", "nobody/gpt-4o", "gpt-4p" } do
      local usd, message = llm.estimate_cost(name, 1000, 1000)
      assert.is_nil(usd)
      assert.equal("no price is known for " .. name, message)
    end
  end)

  it("of an unknown model give a response without a price", function()
    local response = assert(client_with("Two words", { model = "unheard-of" })
      :generate_text(QUESTION))
    assert.is_nil(response.cost_estimate)
    assert.truthy(response.tokens_used > 0)
  end)
end)

describe("a model past its shutdown date", function()
  local date, logged = os.date, nil

  before_each(function()
    os.date = function() return "2026-11-22" end -- luacheck: ignore
    logged = {}
    llm.log.configure("warn", function(level, source, text)
      logged[#logged + 1] = level .. " " .. source .. ": " .. text
    end)
  end)

  after_each(function()
    os.date = date -- luacheck: ignore
    llm.log.configure "warn"
  end)

  it("is marked in llm.models, with a successor that has not ended", function()
    local row = llm.models("^gpt%-5%-chat%-latest$")[1]
    assert.is_true(row.ended)
    assert.equal("gpt-5.5", row.successor)
    assert.is_nil(llm.models("^gpt%-4o$")[1].ended)
    for _, model in ipairs(llm.models { provider = "anthropic" }) do
      assert.equal("anthropic", model.provider)
      assert.equal(cost.notice(model.id, "anthropic") ~= nil, model.ended or false)
    end
  end)

  it("is warned of once, by name and successor", function()
    local client = client_with("Two words", { model = "o1" })
    assert(client:generate_text(QUESTION))
    assert(client:generate_text(QUESTION))
    assert(client_with("Two words", { model = "openai/o1" }):generate_text(QUESTION))
    assert.same({ "warn openai: o1 was shut down on 2026-10-23; use gpt-5.6-sol instead" }, logged)
  end)

  it("is nobody's business at a server of one's own", function()
    local own = mock_of("Two words").provider
    assert(llm.client({ provider = own, model = "o1-pro" }):generate_text(QUESTION))
    assert(client_with("Two words"):generate_text(QUESTION))
    assert.same({}, logged)
  end)
end)

describe("a table for the user", function()
  it("is kept below directories that only the user enters", function()
    local base = os.tmpname()
    os.remove(base)
    environment.set { XDG_DATA_HOME = base .. "/it's/new" }
    package.loaded["llm.cost"] = nil
    local fresh = require "llm.cost"
    assert.truthy(fresh.install("core/data/prices.json"))
    assert.equal(448, require("llm.core").system.mode(base .. "/it's")) -- 0700
    local _, path = fresh.date()
    assert.equal(base .. "/it's/new/llmrun/prices.json", path)

    environment.set { XDG_DATA_HOME = path } -- a file is no directory
    local date, message = fresh.install("core/data/prices.json")
    assert.is_nil(date)
    assert.truthy(message:find(path, 1, true))
    os.execute("rm -rf '" .. base .. "'")
    require("llm.core").prices.install(nil)
    package.loaded["llm.cost"] = cost
  end)
end)
