-- The cache: what is the same, what is kept, how it is answered; in memory and in a file.
local environment = require "spec.support.environment"
local llm = require "llm"
local settled = require "spec.support.settled"
local time = require "llm.time"

local prices = { mock = { input = 0.001, output = 0.002 } }

for _, place in ipairs { "memory", "a file" } do
  describe("the cache in " .. place, function()
    local mock, answer, clients, path

    before_each(function()
      environment.set {}
      path = os.tmpname()
      os.remove(path)
      clients = {}
      answer = function() return "Nine and twenty answers: " .. mock.count end
      mock = llm.mock { function(...) return answer(...) end }
    end)

    after_each(function()
      environment.restore()
      llm.log.configure("warn")
      for _, client in ipairs(clients) do client:close() end
      mock:close()
      clients = nil
      assert.equal(0, settled())
    end)

    local function options_of(opts)
      opts = opts or {}
      if place == "a file" then opts.file = path end
      return opts
    end

    local function start(opts, more)
      local all = { provider = mock.provider, retry = false, costs = prices,
        cache = options_of(opts) }
      for name, value in pairs(more or {}) do all[name] = value end
      clients[#clients + 1] = llm.client(all)
      return clients[#clients]
    end

    -- How often the server was asked for these calls, each of which is made twice.
    local function asked(client, messages, opts)
      local before = mock.count
      for _ = 1, 2 do assert(client:generate_text(messages, opts)) end
      return mock.count - before
    end

    it("answers the same request at once and for nothing", function()
      local client = start()
      local first = assert(client:generate_text("hi"))
      assert.is_nil(first.cached)
      assert.is_true(first.cost_estimate > 0)
      local second = assert(client:generate_text("hi"))
      assert.equal(1, mock.count)
      assert.is_true(second.cached)
      assert.same({ 0, 0 }, { second.cost_estimate, second.attempts })
      for _, name in ipairs { "content", "usage", "finish_reason", "model", "provider",
        "tokens_used" } do
        assert.same(first[name], second[name], name)
      end
    end)

    it("knows how long an answer took when there was none", function()
      answer = function() return { text = "one two three", delay = 0.01, pace = 0.002 } end
      local client = start()
      local first = assert(client:generate_text("hi"))
      assert.is_true(first.first_token_time >= 0.01)
      assert.is_true(first.response_time > first.first_token_time)
      assert.is_true(client:generate_text("hi").response_time < 0.01)
    end)

    it("is not there unless asked for, in a call or at all", function()
      local client = start()
      assert.equal(2, asked(client, "hi", { cache = false }))
      assert.equal(1, asked(client, "hi"))
      assert.equal(2, asked(start(nil, { cache = false }), "hi"))
    end)

    it("replays a stream as a stream, whoever asked first", function()
      local pieces_of, text = {}, ("All the king's horses and all the king's men. "):rep(32)
      for i = 1, 16 do pieces_of[i] = text:sub(1, #text / 16) end
      answer = function() return { pieces = pieces_of, pace = 0.001, reasoning = "Humpty …",
        tool_calls = { { id = "c1", name = "mend", arguments = "{\"egg\":1}" } } } end
      local client = start()
      local function events()
        local list, pieces, whole = {}, 0, ""
        for event in client:stream_events("hi") do
          if event.type == "text" then
            pieces, whole = pieces + 1, whole .. event.text
          else
            list[#list + 1] = event
          end
        end
        return list, whole, pieces
      end
      local first, whole = events()
      local second, again, pieces = events()
      assert.same(first, second)
      assert.same({ text, text }, { whole, again })
      assert.is_true(pieces > 3)
      local plain = assert(client:generate_text("hi"))
      assert.same({ text, "Humpty …", "tool_calls", "mend" },
        { plain.content, plain.reasoning, plain.finish_reason, plain.tool_calls[1].name })
      assert.equal(1, mock.count)
    end)

    it("takes requests for the same only when all that is sent is", function()
      local client = start()
      local tool = llm.tool { name = "now", description = "the time", run = function() end }
      local variants = {
        {}, { temperature = 0 }, { temperature = 1 }, { top_p = 0.5 }, { seed = 1 },
        { max_tokens = 5 }, { model = "mock-2" }, { stop = "x" }, { tools = { tool } },
        { extra = { a = 1 } }, { headers = { ["X-Project"] = "a" } }, { user = "ann" },
        { tag = "ann" }, { response_schema = { type = "object" } }, { stream = false },
        { presence_penalty = 1 }, { reasoning_effort = "low" }, { service_tier = "flex" },
      }
      for i, opts in ipairs(variants) do
        assert.equal(1, asked(client, "hi", opts), i)
      end
      local talks = { "ho",
        { { role = "system", content = "Be." }, { role = "user", content = "hi" } },
        { { role = "user", content = "h" }, { role = "user", content = "i" } } }
      for i, messages in ipairs(talks) do assert.equal(1, asked(client, messages), i) end
      assert.equal(#variants + #talks, mock.count)
    end)

    -- Row G07.
    it("gives no account the answer of another, unless it is shared", function()
      local provider = llm.extend(mock.provider, { auth = { bearer = true } })
      local store = llm.policy.cache.new(options_of())
      local shared = llm.policy.cache.new(options_of { shared = true })
      local function client_of(key, policy)
        return start(nil, { provider = provider, api_key = key, cache = policy })
      end
      local ann, bob = client_of("sk-ann-12345678", store), client_of("sk-bob-12345678", store)
      assert.equal(1, asked(ann, "hi"))
      assert.equal(1, asked(bob, "hi"))
      assert.not_equal(ann:generate_text("hi").content, bob:generate_text("hi").content)
      assert.equal(1, asked(client_of("sk-ann-12345678", shared), "hi"))
      assert.equal(0, asked(client_of("sk-bob-12345678", shared), "hi", { tag = "x" }))
    end)

    it("never keeps errors and answers that are not whole", function()
      local client = start()
      local bad = {
        { status = 500 }, { text = "one two three four", cut_after = 3 },
        { text = "one", finish_reason = "length" },
        { text = "one", finish_reason = "content_filter" },
        { garbage = "{" },
      }
      for i, one in ipairs(bad) do
        answer = function() return one end
        for n = 1, 2 do
          client:generate_text("call " .. i)
          assert.equal(2 * i - 2 + n, mock.count)
        end
      end
      answer = function() return { text = "one two three four", pace = 0.002 } end
      local next_text, stream = client:stream_text("left early")
      assert.equal("one", next_text(stream))
      stream:close()
      for event in client:stream_events("left before its end") do
        if event.type == "finish" then break end
      end
      collectgarbage()
      collectgarbage()
      assert.is_nil(client:generate_text("left before its end").cached)
      local response = assert(client:generate_text("left early"))
      assert.is_nil(response.cached)
      assert.is_true(client:generate_text("left early").cached)
    end)

    it("asks again when an answer is older than ttl", function()
      local real, offset = time.now, 0
      time.now = function() return real() + offset end -- luacheck: ignore
      finally(function() time.now = real end) -- luacheck: ignore
      local client = start { ttl = 60 }
      assert.equal(1, asked(client, "hi"))
      offset = 58
      assert.equal(0, asked(client, "hi"))
      offset = 62
      assert.equal(1, asked(client, "hi"))
    end)

    it("keeps what was used last, within max_bytes", function()
      answer = function() return ("x"):rep(1000) end
      local real, offset = time.now, 0
      time.now = function() return real() + offset end -- luacheck: ignore
      finally(function() time.now = real end) -- luacheck: ignore
      local client = start { max_bytes = 20000 }
      for i = 1, 40 do
        offset = offset + 61
        assert(client:generate_text("call " .. i))
        offset = offset + 61
        assert(client:generate_text("call 1"))
      end
      assert.equal(40, mock.count)
      assert(client:generate_text("call 40"))
      assert.equal(40, mock.count)
      local kept = 0
      for i = 1, 40 do
        kept = kept + (assert(client:generate_text("call " .. i, { cache = "read_only" })).cached
          and 1 or 0)
      end
      assert.is_true(kept > 5 and kept <= 20, kept)
      local large = start { max_bytes = 500 }
      assert.equal(2, asked(large, "too large for it"))
    end)

    it("only reads, or only writes, when told to", function()
      local client = start()
      assert.equal(2, asked(client, "hi", { cache = "read_only" }))
      assert.equal(2, asked(client, "hi", { cache = "refresh" }))
      assert.equal("Nine and twenty answers: 4", client:generate_text("hi").content)
      assert.equal(0, asked(client, "hi", { cache = "read_only" }))
      local reader = start { mode = "read_only" }
      assert.equal(2, asked(reader, "ho"))
      assert.equal(1, asked(reader, "ho", { cache = "on" }))
      assert.matches("cache must be", select(2, pcall(client.generate_text, client, "hi",
        { cache = "yes" })).message)
    end)

    it("keeps embeddings, but asks for models and checks of keys each time", function()
      local client = start()
      local one, two = assert(client:embed("a text")), assert(client:embed("a text"))
      assert.same(one.embeddings, two.embeddings)
      assert.equal(1, mock.count)
      assert.is_true(client:validate_model("mock"))
      mock:close()
      assert.is_false(client:validate_model("mock"))
      assert.same(one.embeddings, client:embed("a text").embeddings)
    end)

    it("is outside of the budget, and counted in the figures and the log", function()
      local file = os.tmpname() .. ".jsonl"
      require("llm.policy.metrics").reset()
      local client = start(nil, { budget = { usd = 1 }, log = { file = file } })
      assert(client:generate_text("hi"))
      local spent = client:budget_status().spent
      for _ = 1, 3 do assert(client:generate_text("hi")) end
      assert.equal(spent, client:budget_status().spent)
      assert.is_true(math.abs(spent - llm.metrics().cost) < 1e-9)
      local figures = llm.metrics()
      assert.same({ 4, 4, 3, 0 },
        { figures.requests, figures.successes, figures.cache_hits, figures.retries })
      local calls, usage = llm.logs.calls { file = file }, llm.logs.usage { file = file }
      os.remove(file)
      assert.same({ 4, true, 0 }, { #calls, calls[1].cached, calls[1].cost_estimate })
      assert.is_nil(calls[4].cached)
      assert.equal(4, usage[1].calls)
      assert.is_true(math.abs(usage[1].cost - spent) < 1e-12)
    end)

    it("does not keep a fallback's answer under the name of what was asked", function()
      local client = start(nil, { fallback = "small", model = "large" })
      llm.log.configure("off")
      answer = function(request)
        return request.model == "large" and mock.count < 3 and { status = 503 } or request.model
      end
      assert.equal("small", client:generate_text("hi").content)
      assert.equal("large", client:generate_text("hi").content)
      assert.equal("large", client:generate_text("hi").content)
      assert.equal(3, mock.count)
    end)

    it("never crosses streams: each asker gets the answer to what it asked", function()
      answer = function(request) return "nonce " .. request.messages[1].content end
      local store = llm.policy.cache.new(options_of())
      local ann, bob = start(nil, { cache = store }), start(nil, { cache = store })
      local list, wrong = {}, 0
      for i = 1, 600 do list[i] = (i * 7919) % 97 end
      llm.map(list, function(number)
        local client = number % 2 == 0 and ann or bob
        local text = ""
        for piece in client:stream_text(number .. "!") do text = text .. piece end
        if text ~= "nonce " .. number .. "!" then wrong = wrong + 1 end
      end, { concurrency = 40 })
      assert.equal(0, wrong)
      assert.equal(97, mock.count)
    end)
  end)
end

describe("the cache", function()
  it("refuses options that make no sense", function()
    local function refusal(opts)
      return select(2, pcall(llm.policy.cache.new, opts)).message
    end
    assert.matches("mode must be \"on\", \"read_only\" or \"refresh\"", refusal { mode = "off" })
    assert.matches("ttl must be more than 0", refusal { ttl = 0 })
    assert.matches("max_bytes", refusal { max_byte = 1 })
  end)

  it("is switched on by the environment, and by the configuration", function()
    local home = os.tmpname()
    os.remove(home)
    environment.set { HOME = home, LLM_CACHE = "1" }
    finally(environment.restore)
    local config = require "llm.config"
    config.override {}
    local policies = config.get().policies
    environment.restore()
    config.override {}
    assert.same({ file = true }, policies.cache)
    assert.is_nil(policies.log)
  end)
end)
