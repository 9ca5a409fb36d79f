-- The mock: a scripted model behind a real server, and the answer of last resort.
local core = require "llm.core"
local llm = require "llm"
local settled = require "spec.support.settled"

describe("llm.mock", function()
  local clock, decode = core.loop.clock, core.json.decode
  local mock, client

  local function start(opts, client_options)
    mock = llm.mock(opts)
    client_options = client_options or {}
    client_options.provider, client_options.retry = mock.provider, false
    client = llm.client(client_options)
    return client
  end

  local function finish()
    if client then client:close() end
    if mock then mock:close() end
    client, mock = nil, nil
  end

  after_each(function()
    finish()
    assert.equal(0, settled())
  end)

  local function texts_of(...)
    local texts = {}
    local ok, err = pcall(function(...)
      for text in client:stream_text(...) do texts[#texts + 1] = text end
    end, ...)
    return texts, not ok and err or nil
  end

  describe("answers", function()
    it("with what the function says, and keeps what it was asked", function()
      start { function(request) return "You said: " .. request.messages[1].content end }
      assert.equal("You said: Hi", assert(client:generate_text("Hi")).content)
      assert.equal("You said: there", assert(client:generate_text("there", { stream = false,
        temperature = 0.5, max_tokens = 9, stop = "x" })).content)
      assert.equal(2, mock.count)
      assert.equal("Hi", mock.requests[1].messages[1].content)
      assert.is_true(mock.requests[1].stream)
      assert.is_falsy(mock.requests[2].stream)
      assert.equal(0.5, mock.requests[2].temperature)
      assert.equal(9, mock.requests[2].max_tokens)
    end)

    it("with every field, streamed and plain", function()
      local usage = { input_tokens = 5, cached_tokens = 3, output_tokens = 7, reasoning_tokens = 2 }
      local calls = { { id = "call_1", name = "add", arguments = '{"a":1}' } }
      start { text = "Hello", reasoning = "Hm.", tool_calls = calls, usage = usage }
      for _, is_stream in ipairs { true, false } do
        local response = assert(client:generate_text("Hi", { stream = is_stream }))
        assert.equal("Hello", response.content)
        assert.equal("Hm.", response.reasoning)
        assert.equal("tool_calls", response.finish_reason)
        assert.same(calls, response.tool_calls)
        for name, count in pairs(usage) do assert.equal(count, response.usage[name], name) end
      end
    end)

    it("with a refusal, and the finish reason that was said", function()
      start { refusal = "I will not." }
      assert.equal("I will not.", assert(client:generate_text("Hi")).refusal)
      finish()
      start { text = "Half", finish_reason = "length" }
      assert.equal("length", assert(client:generate_text("Hi")).finish_reason)
    end)

    it("in the pieces that were said, or words", function()
      start { pieces = { "a", "b c", "d" }, text = "ab cd" }
      assert.equal("ab cd", table.concat(texts_of("Hi")))
      finish()
      local pieces = {}
      start { text = " one  two\nthree\n", pace = 0.002 }
      for text in client:stream_text("Hi") do pieces[#pieces + 1] = text end
      assert.equal(" one  two\nthree\n", table.concat(pieces))
      assert.is_true(#pieces > 1)
    end)

    it("with fields of the answer over those of the mock", function()
      start { function(request)
        return request.messages[1].content == "slow" and { finish_reason = "length" } or {}
      end, text = "always", finish_reason = "stop" }
      assert.equal("length", assert(client:generate_text("slow")).finish_reason)
      local response = assert(client:generate_text("fast"))
      assert.equal("stop", response.finish_reason)
      assert.equal("always", response.content)
    end)

    it("many at once", function()
      start { function(request) return { text = request.messages[1].content, delay = 0.01 } end }
      local started, questions = clock(), {}
      for i = 1, 30 do questions[i] = "question " .. i end
      local results, failures = llm.map(questions, function(question)
        return assert(client:generate_text(question)).content
      end, { concurrency = 30 })
      assert.is_nil(failures)
      questions.n = 30
      assert.same(questions, results)
      assert.is_true(clock() - started < 0.3)
    end)

    it("late, and in time", function()
      start { text = "one two", delay = 0.02, pace = 0.005 }
      local started = clock()
      assert(client:generate_text("Hi"))
      assert.is_true(clock() - started >= 0.03)
    end)
  end)

  describe("faults", function()
    local function kind_of(opts, client_options)
      local _, err = start(opts, client_options):generate_text("Hi")
      finish()
      return err and err.kind, err
    end

    it("gives a status with message, code and headers", function()
      local kind, err = kind_of { status = 429, message = "slow down", headers = {
        ["retry-after"] = 7, ["x-request-id"] = "req_7" } }
      assert.equal("rate_limit", kind)
      assert.matches("slow down", err.message)
      assert.equal(7, err.retry_after)
      assert.equal("req_7", err.request_id)
      assert.equal(429, err.status)
      assert.equal("quota", (kind_of { status = 429, code = "insufficient_quota" }))
      assert.equal("context_length", (kind_of { status = 400, code = "context_length_exceeded" }))
      assert.equal("authentication", (kind_of { status = 401 }))
      assert.equal("provider_unavailable", (kind_of { status = 529, type = "overloaded_error" }))
    end)

    it("cuts a stream after so many events; what came before arrives", function()
      start { text = "one two three four", cut_after = 3 }
      local texts, err = texts_of("Hi")
      assert.equal("truncated", err.kind)
      assert.equal("one two", table.concat(texts))
    end)

    it("keeps a stream alive without saying anything", function()
      local started = clock()
      local kind, err = kind_of({ keep_alive_only = true }, { timeout = 0.1, first_timeout = 0.1 })
      assert.equal("timeout", kind)
      assert.equal("", err.partial and err.partial.content or "")
      assert.is_true(clock() - started < 1)
    end)

    it("answers with garbage", function()
      assert.equal("protocol", (kind_of { garbage = "<html>" }))
      assert.equal("protocol", (kind_of { garbage = "{}" }))
      assert.equal("protocol", (kind_of { garbage = "" }))
    end)

    it("does not wait for a client that has gone", function()
      start({ text = "late", delay = 60 }, { first_timeout = 0.02 })
      local _, err = client:generate_text("Hi")
      assert.equal("timeout", err.kind)
      client:close()
      local deadline = clock() + 1
      while llm.live() > 1 and clock() < deadline do llm.sleep(0.005) end
      assert.equal(1, llm.live(), "only the server is left")
    end)

    -- Its request was left without an answer, and the client waited until it gave up.
    it("tells the client that the function failed, once", function()
      for _, handler in ipairs {
        function() error("no such case") end,
        function() return { txt = "slip" } end,
        function() return 42 end,
      } do
        local heard = 0
        local _, err = kind_of { function(...)
          heard = heard + 1
          return handler(...)
        end }
        assert.equal("provider_unavailable", err.kind)
        assert.matches("the mock's handler failed: .", err.message)
        assert.is_false(err.retryable)
        assert.equal(1, heard)
      end
    end)

    it("refuses unknown fields at once", function()
      local ok, err = pcall(llm.mock, { txt = "slip" })
      assert.is_false(ok)
      assert.matches("did you mean \"text\"", tostring(err))
    end)

    it("knows what it does not serve", function()
      start { text = "yes" }
      local other = llm.client { retry = false, provider = { api = 1, name = "other",
        dialect = "openai_chat", base_url = mock.base_url, default_model = "m",
        encode_request = function() return { path = "/elsewhere", body = {} } end } }
      local _, err = other:generate_text("Hi")
      assert.equal(404, err.status)
      other:close()
    end)

    it("closes twice, and cuts off what is in flight", function()
      start { text = "one two three", pace = 0.01 }
      local stopped
      local texts, err = {}, nil
      local asking = llm.spawn(function()
        texts, err = texts_of("Hi")
        stopped = true
      end)
      while mock.count == 0 do llm.sleep(0.001) end
      mock:close()
      mock:close()
      asking:join()
      assert.is_true(stopped)
      assert.is_truthy(err)
      assert.is_true(#texts < 3)
    end)
  end)

  describe("without a script", function()
    it("answers with an extract of the prompt", function()
      start {}
      assert.equal("What is a closure?", assert(client:generate_text("What is a closure?")).content)
      local long = ("A sentence of six short words. "):rep(50)
      local content = assert(client:generate_text(long)).content
      assert.is_true(#content < 300 and content:sub(-1) == ".", content)
      content = assert(client:generate_text(("总结"):rep(5000))).content
      assert.is_true(#content <= 1200)
      assert.equal("", (content:gsub("总结", "")))
    end)

    -- Checks a value against the part of JSON Schema that the mock knows.
    local function check(value, schema, root)
      if schema["$ref"] then
        local at = root
        for name in schema["$ref"]:gmatch("[^#/]+") do at = at[name] end
        schema = at
      end
      if schema.anyOf then
        for _, choice in ipairs(schema.anyOf) do
          if check(value, choice, root) then return true end
        end
        return false
      end
      if schema.const ~= nil then return value == schema.const end
      if schema.enum then
        for _, one in ipairs(schema.enum) do if one == value then return true end end
        return false
      end
      local kind = schema.type or "string"
      if type(kind) == "table" then kind = kind[1] end
      if kind == "null" then return value == core.json.null end
      if kind == "string" then
        if type(value) ~= "string" then return false end
        local length = select(2, value:gsub("[^\128-\191]", ""))
        return length >= (schema.minLength or 0) and length <= (schema.maxLength or 1e9)
      elseif kind == "number" or kind == "integer" then
        return type(value) == "number" and (kind == "number" or value % 1 == 0)
          and value >= (schema.minimum or -1e9) and value <= (schema.maximum or 1e9)
          and value > (schema.exclusiveMinimum or -1e9)
          and value < (schema.exclusiveMaximum or 1e9)
          and value % (schema.multipleOf or 1) == (schema.multipleOf and 0 or value % 1)
      elseif kind == "array" then
        if type(value) ~= "table" or #value < (schema.minItems or 0) then return false end
        for _, item in ipairs(value) do
          if not check(item, schema.items or {}, root) then return false end
        end
        return true
      elseif kind == "object" then
        if type(value) ~= "table" then return false end
        for _, name in ipairs(schema.required or {}) do
          if value[name] == nil then return false end
        end
        for name, item in pairs(value) do
          if not check(item, schema.properties[name], root) then return false end
        end
        return true
      end
      return type(value) == kind
    end

    local schemas = {
      { type = "object", properties = {} },
      { type = "object", required = { "a", "b" }, properties = {
        a = { type = "string" }, b = { type = "boolean" }, c = { type = { "null", "string" } } } },
      { type = "string", enum = { "positive", "negative" } },
      { const = 7 },
      { type = "integer", minimum = 3 }, { type = "integer", maximum = -3 },
      { type = "integer", exclusiveMinimum = 3 }, { type = "integer", exclusiveMaximum = 1 },
      { type = "integer", minimum = 1.5, maximum = 2 }, { type = "integer" },
      { type = "integer", multipleOf = 5, minimum = 11 },
      { type = "number", minimum = 0, maximum = 1 }, { type = "number", exclusiveMinimum = 5 },
      { type = "number", maximum = -2 },
      { type = "string", minLength = 40 }, { type = "string", maxLength = 4 },
      { type = "string", minLength = 5, maxLength = 5 },
      { type = "array", items = { type = "integer" }, minItems = 3 },
      { type = "array" },
      { anyOf = { { type = "integer" }, { type = "null" } } },
      { ["$ref"] = "#/$defs/node", ["$defs"] = { node = {
        type = "object", required = { "name", "left", "children" }, properties = {
          name = { type = "string" },
          left = { anyOf = { { ["$ref"] = "#/$defs/node" }, { type = "null" } } },
          children = { type = "array", items = { ["$ref"] = "#/$defs/node" } },
          extra = { ["$ref"] = "#/$defs/node" },
        } } } },
    }

    it("answers with a valid instance of any schema", function()
      start {}
      for i, schema in ipairs(schemas) do
        for _, prompt in ipairs { "Some words to begin with", "世界和平" } do
          local response = assert(client:generate_text(prompt,
            { response_schema = { type = "object", required = { "x" },
              properties = { x = schema }, ["$defs"] = schema["$defs"] } }))
          local value = assert(decode(response.content))
          assert.is_true(check(value.x, schema, schema), i .. ": " .. response.content)
        end
      end
    end)
  end)
end)
