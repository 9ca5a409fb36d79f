--- The mock in every dialect that it speaks: our clients on one side, the server's half on the
-- other.
local llm = require "llm"
local settled = require "spec.support.settled"

local dialects = { "openai_chat", "openai_responses", "anthropic_messages" }

describe("llm.mock speaks", function()
  local mock, client

  local function start(dialect, opts)
    mock = llm.mock(opts)
    client = llm.client { provider = mock:provider_for(dialect), retry = false }
  end

  after_each(function()
    client:close()
    mock:close()
    assert.equal(0, settled())
  end)

  for _, dialect in ipairs(dialects) do
    describe(dialect, function()
      it("in every field, streamed and plain", function()
        local calls = { { id = "call_1", name = "add", arguments = '{"a":1}' },
          { id = "call_2", name = "add", arguments = "{}" } }
        start(dialect, { text = "Hello there", reasoning = "Hm.", tool_calls = calls,
          usage = { input_tokens = 5, cached_tokens = 3, output_tokens = 7 } })
        for _, is_stream in ipairs { true, false } do
          local response = assert(client:generate_text("Hi", { stream = is_stream }))
          assert.equal("Hello there", response.content)
          assert.equal("Hm.", response.reasoning)
          assert.equal("tool_calls", response.finish_reason)
          assert.same(calls, response.tool_calls)
          assert.same({ 5, 3, 7 }, { response.usage.input_tokens, response.usage.cached_tokens,
            response.usage.output_tokens })
          assert.equal("mock", response.model)
        end
      end)

      it("to a tool loop", function()
        start(dialect, { function(request)
          local last = request.messages[#request.messages]
          if last.role == "tool" then return "The sum is " .. llm.message.text_of(last.content) end
          return { tool_calls = { { id = "call_1", name = "add", arguments = '{"a":1,"b":2}' } } }
        end })
        local messages = llm.build_conversation("Add.", { "1+2" })
        local tools = { { name = "add", parameters = { type = "object", properties = {} } } }
        local first = assert(client:generate_text(messages, { tools = tools }))
        messages[3] = first:message()
        messages[4] = { role = "tool", tool_call_id = first.tool_calls[1].id, content = "3" }
        local second = assert(client:generate_text(messages, { tools = tools }))
        assert.equal("The sum is 3", second.content)
        assert.equal("stop", second.finish_reason)
        local asked = mock.requests[2]
        assert.equal("add", asked.tools[1].name)
        assert.same({ "system", "user", "assistant", "tool" }, { asked.messages[1].role,
          asked.messages[2].role, asked.messages[3].role, asked.messages[4].role })
        assert.equal("call_1", asked.messages[4].tool_call_id)
        assert.equal('{"a":1,"b":2}', asked.messages[3].tool_calls[1].arguments)
      end)

      it("when it fails, with the provider's own shape", function()
        local kinds = { [400] = "invalid_request", [401] = "authentication", [403] = "permission",
          [404] = "model_not_found", [429] = "rate_limit", [503] = "provider_unavailable" }
        local status
        start(dialect, { function()
          return { status = status, message = "No.", headers = { ["retry-after"] = 3 } }
        end })
        for code, kind in pairs(kinds) do
          status = code
          local response, err = client:generate_text("Hi")
          assert.is_nil(response)
          assert.equal(kind, err.kind)
          assert.equal("No.", err.message)
          assert.equal(3, err.retry_after)
        end
      end)

      it("of a stream that is cut", function()
        start(dialect, { text = "one two three four", cut_after = 4 })
        local response, err = client:generate_text("Hi")
        assert.is_nil(response)
        assert.equal("truncated", err.kind)
        assert.matches("^one two", err.partial.content)
      end)

      it("of its models, and takes any key", function()
        start(dialect, {})
        assert.equal("mock", assert(client:list_models())[1].id)
        assert.is_true(client:validate_key())
        assert.is_true(client:count_tokens("A text of several words") > 3)
      end)
    end)
  end

  it("in vectors, in both encodings", function()
    start("openai_chat", {})
    local plain = assert(client:embed({ "one", "two" }, { encoding = "float", dimensions = 3 }))
    local packed = assert(client:embed({ "one", "two" }, { encoding = "base64", dimensions = 3 }))
    for i = 1, 2 do
      local square = 0
      for j = 1, 3 do
        assert.is_near(plain.embeddings[i][j], packed.embeddings[i][j], 1e-6)
        square = square + plain.embeddings[i][j] ^ 2
      end
      assert.is_near(1, square, 1e-9)
    end
    assert.is_not.same(plain.embeddings[1], plain.embeddings[2])
    assert.same({ "one", "two" }, mock.requests[1].texts)
  end)

  it("as a script tells it, in vectors too", function()
    start("openai_chat", { embeddings = { { 1, 0 }, { 0, 1 } } })
    assert.same({ { 1, 0 }, { 0, 1 } }, assert(client:embed({ "a", "b" })).embeddings)
  end)
end)
