-- Fallback: which model is asked next, and what is told of it. What goes wrong on the wire, in all
-- its forms, is in faults_spec.
local environment = require "spec.support.environment"
local fallback = require "llm.policy.fallback"
local llm = require "llm"
local settled = require "spec.support.settled"

describe("llm.policy.fallback", function()
  local mock, client, asked

  -- A mock that answers by the model that is asked: a table is the answer, else its name.
  local function start(answers, opts)
    asked = {}
    mock = llm.mock { function(request)
      asked[#asked + 1] = request.model
      return answers[request.model] or request.model
    end }
    environment.set { OPENAI_API_KEY = "sk-test-1234", OPENAI_BASE_URL = mock.base_url,
      VLLM_BASE_URL = mock.base_url }
    opts.provider = opts.provider or "openai"
    opts.model, opts.retry = "one", opts.retry or false
    client = llm.client(opts)
    return client
  end

  after_each(function()
    environment.restore()
    client:close()
    mock:close()
    llm.log.configure("warn")
    assert.equal(0, settled())
  end)

  before_each(function() llm.log.configure("off") end)

  it("asks the models in their order until one answers, and tells which failed", function()
    start({ one = { status = 503 }, two = { status = 404 } }, { fallback = { "two", "three" } })
    local response = assert(client:generate_text("Hi"))
    assert.equal("three", response.content)
    assert.equal("three", response.model)
    assert.equal(2, #response.tried)
    assert.same({ "provider_unavailable", "one" },
      { response.tried[1].kind, response.tried[1].model })
    assert.same({ "model_not_found", "two" }, { response.tried[2].kind, response.tried[2].model })
    assert.same({ "one", "two", "three" }, asked)
    local text = ""
    for piece in client:stream_text("Hi") do text = text .. piece end
    assert.equal("three", text)
  end)

  it("asks another provider with its own address and keys, and prices what answered", function()
    start({ one = { status = 429, headers = { ["x-should-retry"] = "false" } } },
      { fallback = "vllm/two", costs = { ["two"] = { input = 1, output = 1 } } })
    local response = assert(client:generate_text("Hi"))
    assert.same({ "two", "vllm", "two" }, { response.content, response.provider, response.model })
    assert.is_true(response.cost_estimate > 0)
    assert.matches("rate_limit", tostring(response.tried[1]))
  end)

  it("goes on when another provider has no key", function()
    start({ one = { status = 500 } }, { fallback = { "anthropic/claude-x", "vllm/two" } })
    local response = assert(client:generate_text("Hi"))
    assert.equal("two", response.content)
    assert.equal("authentication", response.tried[2].kind)
    assert.matches("set ANTHROPIC_API_KEY", response.tried[2].message)
  end)

  it("may be a map, and stops at an error that another model would have as well", function()
    start({ one = { status = 503 }, two = { status = 400 } },
      { fallback = { models = { one = "two", two = { "three" } } } })
    local _, err = client:generate_text("Hi")
    assert.equal("invalid_request", err.kind)
    assert.equal("two", err.model)
    assert.equal("one", err.tried[1].model)
    _, err = client:generate_text("Hi", { model = "four" })
    assert.is_nil(err)
    assert.same({ "one", "two", "four" }, asked)
  end)

  it("leads on for the kinds it was told", function()
    start({ one = { status = 503 } }, { fallback = { models = { "two" }, on = { "rate_limit" } } })
    local _, err = client:generate_text("Hi")
    assert.equal("provider_unavailable", err.kind)
    assert.is_nil(err.tried)
    assert.same({ "one" }, asked)
  end)

  it("comes after the retries of each model, and never after the first content", function()
    local cut = { pieces = { "a ", "b" }, cut_after = 3 }
    start({ one = { status = 503, headers = { ["retry-after-ms"] = "1" } } },
      { fallback = "two", retry = { attempts = 2 } })
    local response = assert(client:generate_text("Hi"))
    assert.same({ "one", "one", "two" }, asked)
    assert.equal(2, response.tried[1].attempts)
    assert.equal(1, response.attempts)
    client:close()
    mock:close()
    start({ one = cut }, { fallback = { models = { "two" }, on = { "truncated" } } })
    local shown = {}
    local ok, err = pcall(function()
      for text in client:stream_text("Hi") do shown[#shown + 1] = text end
    end)
    assert.is_false(ok)
    assert.equal("truncated", err.kind)
    assert.equal("a b", table.concat(shown))
    assert.same({ "one" }, asked)
  end)

  it("is counted: the failures of those that were tried, the answer of the one that answered",
    function()
      require("llm.policy.metrics").reset()
      start({ one = { status = 503 } }, { fallback = "vllm/two" })
      assert(client:generate_text("Hi"))
      local figures = llm.metrics()
      assert.equal(1, figures.providers.openai.failures)
      assert.equal(1, figures.providers.vllm.successes)
      assert.equal(0, llm.health().openai.success_rate)
    end)

  it("spends from one purse", function()
    start({ one = { status = 503 } }, { fallback = "vllm/two", budget = { usd = 1 },
      costs = { one = { input = 0.1, output = 0.1 }, two = { input = 0.1, output = 0.1 } } })
    local response = assert(client:generate_text("Hi"))
    assert.near(response.cost_estimate, client:budget_status().spent, 1e-9)
    assert.equal(0, client:budget_status().reserved)
  end)

  it("names what makes no sense", function()
    start({}, {})
    for message, opts in pairs {
      ["give models"] = {}, ["no kind \"rate\" of errors"] = { models = { "x" }, on = { "rate" } },
      ["did you mean \"models\""] = { model = { "x" } },
    } do
      local ok, err = pcall(fallback.new, opts, client)
      assert.is_false(ok)
      assert.matches(message, tostring(err), 1, true)
    end
  end)
end)
