-- The client: asking, streaming, closing; keys and addresses.
local core = require "llm.core"
local environment = require "spec.support.environment"
local faults = require "spec.support.faults"
local llm = require "llm"
local settled = require "spec.support.settled"

describe("llm.client", function()
  local clock = core.loop.clock
  local server, mock, client

  setup(function() server = faults.start() end)
  teardown(function() server.stop() end)

  before_each(function()
    environment.set {}
    server.reset()
  end)

  after_each(function()
    environment.restore()
    llm.log.configure("warn")
    if client then client:close() end
    if mock then mock:close() end
    client, mock = nil, nil
    assert.equal(0, settled())
  end)

  local function start(opts, answer)
    mock = llm.mock(answer or { function(request)
      return request.messages[#request.messages].content
    end })
    opts = opts or {}
    opts.provider, opts.retry = mock.provider, false
    client = llm.client(opts)
    return client
  end

  local function against(fault, opts)
    opts = opts or {}
    opts.base_url, opts.retry = server.url(fault), false
    client = llm.client(opts)
    return client
  end

  -- Waits until the fault server has no such request open any more.
  local function abandoned(fault)
    local deadline = clock() + 1
    while server.open(fault) > 0 and clock() < deadline do llm.loop.step(0.01) end
    return server.open(fault) == 0
  end

  describe("generate_text", function()
    it("returns a response with all that is known", function()
      start()
      local response = assert(client:generate_text("What is a closure?"))
      assert.equal("What is a closure?", response.content)
      assert.equal("What is a closure?", tostring(response))
      assert.equal("mock", response.provider)
      assert.equal("mock", response.model)
      assert.equal("stop", response.finish_reason)
      assert.equal(response.prompt_tokens + response.completion_tokens, response.tokens_used)
      assert.equal(response.usage.input_tokens, response.prompt_tokens)
      assert.is_nil(response.cost_estimate, "an unknown price is nil, never 0")
      assert.is_true(response.response_time >= response.first_token_time)
      assert.equal(1, response.attempts)
      assert.same({ role = "assistant", content = "What is a closure?" }, response:message())
    end)

    it("gives the same with and without a stream on the wire", function()
      start()
      local streamed = assert(client:generate_text("one two"))
      local plain = assert(client:generate_text("one two", { stream = false }))
      assert.is_true(mock.requests[1].stream)
      assert.is_falsy(mock.requests[2].stream)
      for _, name in ipairs { "content", "finish_reason", "tokens_used", "model" } do
        assert.equal(streamed[name], plain[name], name)
      end
      local stubborn = llm.client { provider = mock.provider, stream = false }
      assert.equal("Hi", assert(stubborn:generate_text("Hi")).content)
      assert.is_falsy(mock.requests[3].stream)
      stubborn:close()
    end)

    it("returns nil and the error of the world, and raises that of the caller", function()
      start(nil, { status = 503 })
      local response, err = client:generate_text("Hi")
      assert.is_nil(response)
      assert.equal("provider_unavailable", err.kind)
      assert.equal("mock", err.provider)
      assert.equal("mock", err.model)
      assert.has_error(function() client:generate_text("") end)
      assert.has_error(function() client:generate_text("Hi", { temprature = 1 }) end)
      assert.equal(1, mock.count)
    end)

    it("puts the client's system prompt before messages that have none", function()
      start { system = "Be brief." }
      client:generate_text("Hi")
      client:generate_text { { role = "system", content = "Be long." },
        { role = "user", content = "Hi" } }
      local messages = { { role = "user", content = "Hi" } }
      client:generate_text(messages)
      assert.equal("Be brief.", mock.requests[1].messages[1].content)
      assert.equal("Be long.", mock.requests[2].messages[1].content)
      assert.equal(2, #mock.requests[2].messages)
      assert.equal(2, #mock.requests[3].messages)
      assert.equal(1, #messages, "the caller's list is the caller's")
    end)

    it("takes options of the call over those of the client", function()
      start { temperature = 0.3, max_tokens = 7, model = "first" }
      client:generate_text("Hi", { temperature = 0.9, model = "second" })
      client:generate_text("Hi")
      assert.equal(0.9, mock.requests[1].temperature)
      assert.equal("second", mock.requests[1].model)
      assert.equal(7, mock.requests[1].max_tokens)
      assert.equal(0.3, mock.requests[2].temperature)
      assert.equal("first", mock.requests[2].model)
    end)

    it("obeys the timeouts of the call", function()
      for fault, opts in pairs {
        ["stall-before-headers"] = { first_timeout = 0.05 },
        ["stall-after-first-event"] = { timeout = 0.05 },
        ["keepalive-only"] = { timeout = 0.01 }, -- four times that for the first content
        ["endless-text"] = { deadline = 0.05 },
      } do
        against(fault)
        local started = clock()
        local response, err = client:generate_text("Hi", opts)
        assert.is_nil(response)
        assert.equal("timeout", err.kind, fault)
        assert.is_true(clock() - started < 0.5, fault)
        assert.is_true(abandoned(fault))
        client:close()
      end
    end)

    it("keeps what came before a stream broke", function()
      local _, err = against("reset-after-first-event"):generate_text("Hi")
      assert.equal("Hello", err.partial.content)
      assert.equal(200, err.status)
    end)
  end)

  describe("safe_generate_text", function()
    it("logs what may pass and gives nil", function()
      local lines = {}
      llm.log.configure("warn", function(level, source, text)
        lines[#lines + 1] = level .. " " .. source .. ": " .. text
      end)
      start(nil, { status = 429, message = "slow down" })
      assert.is_nil(client:safe_generate_text("Hi"))
      assert.same({ "warn mock: rate_limit: slow down (mock, HTTP 429)" }, lines)
    end)

    it("raises what waiting does not mend, and returns what is good", function()
      start(nil, { function(request)
        return request.messages[1].content == "good" and "yes" or { status = 401 }
      end })
      assert.equal("yes", client:safe_generate_text("good").content)
      local ok, err = pcall(client.safe_generate_text, client, "bad")
      assert.is_false(ok)
      assert.equal("authentication", err.kind)
    end)
  end)

  describe("close", function()
    it("refuses further calls, and may be said twice", function()
      start()
      client:close()
      client:close()
      for _, name in ipairs { "generate_text", "stream_text", "stream_events",
        "safe_generate_text" } do
        local ok, err = pcall(client[name], client, "Hi")
        assert.is_false(ok)
        assert.equal("this client is closed", err)
      end
      assert.equal(0, mock.count)
    end)

    it("cancels what is in flight", function()
      against("endless-text")
      local texts, stream = client:stream_text("Hi")
      assert.equal("Hello", texts(stream))
      assert.equal(1, server.open("endless-text"))
      client:close()
      assert.is_true(abandoned("endless-text"))
      assert.equal(0, llm.live())
    end)

    -- The transfer was freed and nobody told the one who waited for it.
    it("ends the wait of a task that is in flight", function()
      against("stall-after-first-event")
      local asking = llm.spawn(function() return client:generate_text("Hi") end)
      while server.open("stall-after-first-event") == 0 do llm.loop.step(0.01) end
      llm.loop.step(0.01)
      client:close()
      local response, err = asking:join()
      assert.is_nil(response)
      assert.equal("cancelled", err.kind)
    end)

    if _VERSION == "Lua 5.4" then
      it("happens at the end of a <close> block", function()
        local closed = load [[
          local llm, provider = ...
          local kept
          do
            local client <close> = llm.client { provider = provider }
            kept = client
          end
          return kept.closed
        ]]
        start()
        assert.is_true(closed(llm, mock.provider))
      end)
    end

    it("happens to a client and its streams that nobody holds any more", function()
      do
        local dropped = llm.client { base_url = server.url("endless-text"), retry = false }
        local texts, stream = dropped:stream_text("Hi")
        assert.equal("Hello", texts(stream))
      end
      assert.equal(1, server.open("endless-text"))
      assert.equal(0, settled())
      assert.is_true(abandoned("endless-text"))
    end)

    it("keeps a client whose stream is still read", function()
      mock = llm.mock { text = "one two three", pace = 0.001 }
      local texts, stream
      do
        local dropped = llm.client { provider = mock.provider }
        texts, stream = dropped:stream_text("Hi")
      end
      local all = {}
      for text in texts, stream do
        collectgarbage()
        all[#all + 1] = text
      end
      assert.equal("one two three", table.concat(all))
    end)
  end)

  describe("keys", function()
    local function sent(opts)
      opts.base_url, opts.retry = server.url("ok"), false
      client = llm.client(opts)
      assert(client:generate_text("Hi"))
      client:close()
      return server.last("ok"):match("[Aa]uthorization: ([^\r\n]*)")
    end

    it("come from a literal, the environment, a file or a command", function()
      local path = os.tmpname()
      local file = io.open(path, "w")
      file:write("sk-from-file\n")
      file:close()
      os.execute("chmod 600 " .. path)
      environment.set { OPENAI_API_KEY = "sk-from-openai", MY_KEY = "sk-from-mine" }
      assert.equal("Bearer sk-literal", sent { api_key = "sk-literal" })
      assert.equal("Bearer sk-from-openai", sent {})
      assert.equal("Bearer sk-from-mine", sent { api_key = "env:MY_KEY" })
      assert.equal("Bearer sk-from-file", sent { api_key = "file:" .. path })
      assert.equal("Bearer sk-from-command", sent { api_key = "cmd:echo sk-from-command" })
      os.remove(path)
    end)

    it("are not needed at an address of one's own", function()
      assert.is_nil(sent {})
    end)

    local function refused(opts)
      local ok, err = pcall(llm.client, opts)
      assert.is_false(ok)
      return err
    end

    it("are missed before anything is sent, by the name of their variable", function()
      local err = refused { provider = "openai" }
      assert.equal("authentication", err.kind)
      assert.equal("openai has no API key; set OPENAI_API_KEY or give api_key", err.message)
      for reference, text in pairs {
        ["env:NO_SUCH_KEY"] = "NO_SUCH_KEY is not set", ["file:/nowhere/key"] = "/nowhere/key",
        ["cmd:true"] = "printed nothing",
      } do
        err = refused { provider = "openai", api_key = reference }
        assert.equal("authentication", err.kind)
        assert.is_truthy(err.message:find(text, 1, true), err.message)
      end
    end)

    it("are not sent in clear, except to this machine or when told to", function()
      local err = refused { base_url = "http://llm.example.org/v1", api_key = "sk-CANARY-clear" }
      assert.equal("invalid_request", err.kind)
      assert.matches("a key is not sent over plain http to llm.example.org", err.message)
      assert.is_nil(tostring(err):find("CANARY", 1, true))
      llm.client { base_url = "http://llm.example.org/v1", api_key = "sk-x",
        insecure_http = true }:close()
      llm.client { base_url = "http://llm.example.org/v1" }:close()
      for _, host in ipairs { "127.0.0.1", "localhost", "[::1]" } do
        llm.client { base_url = "http://" .. host .. ":1/v1", api_key = "sk-x" }:close()
      end
    end)
  end)

  describe("headers", function()
    local good = "sk-CANARY-headers"

    -- Rows I01 and I02: nothing of it may reach the wire.
    it("are refused with a line break, NUL or blanks around, before a byte is sent", function()
      for _, tail in ipairs { "\r\nX-Evil: 1", "\nX-Evil: 1", "\r", "\n", "\0", " ", "\t" } do
        local function ask(opts, call)
          against("ok", opts)
          local response, err = client:generate_text("Hi", call)
          client:close()
          assert.is_nil(response)
          assert.equal("invalid_request", err.kind)
          assert.is_nil(tostring(err):find("CANARY", 1, true), tostring(err))
        end
        ask { api_key = good .. tail }
        ask { api_key = good, headers = { ["X-Org"] = "org" .. tail } }
        ask({ api_key = good }, { headers = { ["X-Org"] = "org" .. tail } })
      end
      assert.equal(0, server.count("ok"))
    end)

    it("are refused by a name that is no token", function()
      for _, name in ipairs { "", "X Org", "X:Org", "X-Org\r\nX-Evil", "X-\195\132", "X\0",
        "(x)" } do
        local _, err = against("ok", { headers = { [name] = "1" } }):generate_text("Hi")
        client:close()
        assert.equal("invalid_request", err.kind, name)
      end
      assert.equal(0, server.count("ok"))
    end)

    -- The table of the call stood in the place of the client's, whatever was in it.
    it("go out as given, the call's over the client's", function()
      against("ok", { headers = { ["X-One"] = "1", ["X-Two"] = "client" } })
      assert(client:generate_text("Hi", { headers = { ["X-Two"] = "call" } }))
      local request = server.last("ok")
      assert.matches("\r\nX%-One: 1\r\n", request)
      assert.matches("\r\nX%-Two: call\r\n", request)
      assert.is_nil(request:find("X-Two: client", 1, true))
    end)

    -- Written in other letters, a header of the caller's went out beside ours.
    it("are the same in any letters", function()
      against("ok", { api_key = good, headers = { authorization = "Bearer other" } })
      assert(client:generate_text("Hi"))
      local request = server.last("ok")
      assert.matches("\r\nauthorization: Bearer other\r\n", request)
      assert.is_nil(request:find("Authorization:", 1, true))
    end)
  end)

  -- Row I04: what cannot be an address is refused in words, and no key is shown.
  it("refuses an address that is none", function()
    for _, address in ipairs { "api.openai.com", "javascript:alert(1)", "https://a b",
      "https://a:0", "https://a:65536", "https://[fe80::1%25eth0]/", "https://user:sk-CANARY@a/",
      "https://a/" .. ("x"):rep(10000), "https://a/v1?key=x", "https://a/v1#x" } do
      local ok, err = pcall(llm.client, { base_url = address })
      assert.is_false(ok, address)
      assert.equal("invalid_request", err.kind)
      assert.matches("^base_url: ", err.message)
      assert.is_nil(tostring(err):find("CANARY", 1, true))
    end
  end)

  it("refuses options that it does not know", function()
    local ok, err = pcall(llm.client, { modle = "x" })
    assert.is_false(ok)
    assert.matches('did you mean "model"', err.message)
    ok, err = pcall(llm.client, { provider = "opnai" })
    assert.is_false(ok)
    assert.matches('there is no provider "opnai"', err.message)
  end)

  it("runs its policies in the order in which they were given", function()
    start()
    local order = {}
    local function policy(name)
      return function(request, next)
        order[#order + 1] = name
        return next(request)
      end
    end
    client:use(policy "inner"):use(policy "outer")
    assert(client:generate_text("Hi"))
    assert.same({ "outer", "inner" }, order)
  end)
end)
