--- OpenAI's Responses, both halves.
local conformance = require "spec.support.conformance"
local core = require "llm.core"
local dialect = require "llm.dialect.openai_responses"
local providers = require "llm.provider"

local json = core.json

local function provider() return assert(providers.find "openai_responses") end

conformance.describe("openai_responses", provider)

local function encode(request)
  request.defaulted = request.defaulted or {}
  request.model = request.model or "gpt-6-sol"
  request.messages = request.messages or { { role = "user", content = "Hi" } }
  local wire, problem = dialect.encode_request(request, provider())
  return wire and json.decode(json.encode(wire.body)), problem
end

local schema = { type = "object", properties = { text = { type = "string" } },
  required = { "text" }, additionalProperties = false }
local parameters = { type = "object", properties = { city = { type = "string" } },
  required = { "city" }, additionalProperties = false }

local function played(text, headers)
  return conformance.play(provider(), { status = 200, headers = headers or {} }, { text })
end

describe("openai_responses request", function()
  it("is the documented one, field by field, with the items of the recorded answer", function()
    local answer = json.decode(conformance.read "openai_responses/request_full.json").input
    conformance.encodes(provider(), "openai_responses/request_full.json", {
      model = "gpt-6-sol", defaulted = { temperature = true }, temperature = 0.7, max_tokens = 400,
      messages = {
        { role = "system", content = "Answer briefly." },
        { role = "user", content = "Weather in Porto?" },
        { role = "assistant", content = "",
          opaque = { openai_responses = { answer[2], answer[3] } },
          tool_calls = { { id = "call_fxW1", name = "get_weather",
            arguments = "{\"city\":\"Porto\"}" } } },
        { role = "tool", tool_call_id = "call_fxW1", content = "{\"temp_c\":19}" },
      },
      reasoning_effort = "low", tool_choice = "auto", parallel_tool_calls = true, stream = true,
      tools = { { name = "get_weather", description = "Current weather", strict = true,
        parameters = parameters } },
      response_schema = schema, extra = { text = { verbosity = "low" } },
    })
  end)

  it("stores nothing, and asks for encrypted reasoning where there is reasoning", function()
    local body = encode {}
    assert.is_false(body.store)
    assert.same({ "reasoning.encrypted_content" }, body.include)
    assert.is_nil(encode { model = "gpt-4o" }.include)
  end)

  it("writes history that another provider made", function()
    local body = encode { messages = {
      { role = "user", content = { { type = "text", text = "See" },
        { type = "image", mime = "image/png", data = "abc" },
        { type = "file", url = "https://example.org/a.pdf" } } },
      { role = "assistant", content = "Calling.", opaque = { anthropic = { {} } },
        tool_calls = { { id = "c1", name = "f", arguments = "{}" } } },
      { role = "tool", tool_call_id = "c1", content = "done" },
      { role = "system", content = "Be brief now." },
    } }
    assert.is_nil(body.instructions)
    assert.same({
      { type = "message", role = "user", content = {
        { type = "input_text", text = "See" },
        { type = "input_image", image_url = "data:image/png;base64,YWJj", detail = "auto" },
        { type = "input_file", file_url = "https://example.org/a.pdf" } } },
      { type = "message", role = "assistant",
        content = { { type = "output_text", text = "Calling." } } },
      { type = "function_call", call_id = "c1", name = "f", arguments = "{}" },
      { type = "function_call_output", call_id = "c1", output = "done" },
      { type = "message", role = "system",
        content = { { type = "input_text", text = "Be brief now." } } },
    }, body.input)
  end)

  it("names what it cannot send", function()
    local _, problem = encode { stop = "END" }
    assert.matches("stop", problem)
    _, problem = encode { model = "gpt-4o", seed = 1 }
    assert.matches("seed", problem)
    _, problem = encode { temperature = 0.2 }
    assert.matches("temperature", problem)
    assert.equal(0.2, encode { model = "gpt-4o", temperature = 0.2 }.temperature)
    _, problem = encode { messages = { { role = "user",
      content = { { type = "audio", mime = "audio/wav", data = "x" } } } } }
    assert.matches("audio", problem)
  end)

  it("takes schemas loosely unless told otherwise, and one tool by name", function()
    local body = encode { tools = { { name = "f", parameters = parameters } },
      tool_choice = { name = "f" } }
    assert.is_false(body.tools[1].strict)
    assert.same({ type = "function", name = "f" }, body.tool_choice)
  end)
end)

describe("openai_responses tool loop", function()
  it("sends back what came, byte for byte", function()
    local answer = played(conformance.read "openai_responses/stream_thinking_tools.sse").response
    local body = encode { messages = {
      { role = "user", content = "Weather?" }, answer:message(),
      { role = "tool", tool_call_id = "call_fxW1", content = "19" },
    } }
    local whole = conformance.read("openai_responses/stream_thinking_tools.sse")
    local last = whole:match("data: ({[^\n]*response.completed[^\n]*)")
    local items = json.decode(last).response.output
    assert.equal(json.encode(items[1]), json.encode(body.input[2]))
    assert.equal(json.encode(items[2]), json.encode(body.input[3]))
    assert.equal("function_call_output", body.input[4].type)
  end)

  it("leaves out reasoning that cannot come back", function()
    local answer = played('{"object":"response","status":"completed","output":[{"type":"reasoning",'
      .. '"id":"rs_1","summary":[{"type":"summary_text","text":"Hm."},{"type":"summary_text",'
      .. '"text":"Ah."}]},{"type":"message","role":"assistant","phase":"final_answer","content":['
      .. '{"type":"output_text","text":"Yes."}]}]}', { ["content-type"] = "application/json" })
    assert.equal("Hm.\n\nAh.", answer.response.reasoning)
    local body = encode { messages = {
      { role = "user", content = "?" }, answer.response:message() } }
    assert.equal(2, #body.input)
    assert.equal("final_answer", body.input[2].phase)
  end)
end)

local function sse(...)
  local frames = {}
  for i = 1, select("#", ...) do frames[i] = "data: " .. select(i, ...) .. "\n\n" end
  return table.concat(frames)
end

describe("openai_responses reply", function()
  it("keeps a refusal apart", function()
    local answer = played(sse('{"type":"response.refusal.delta","delta":"I can"}',
      '{"type":"response.refusal.delta","delta":"not."}',
      '{"type":"response.completed","response":{"status":"completed"}}'))
    assert.equal("I cannot.", answer.response.refusal)
    assert.equal("", answer.response.content)
    assert.equal("stop", answer.response.finish_reason)
  end)

  it("takes arguments that come only at the end", function()
    local answer = played(sse('{"type":"response.output_item.done","output_index":3,"item":{"type":'
      .. '"function_call","call_id":"c9","name":"f","arguments":"{\\"a\\":1}"}}',
      '{"type":"response.completed","response":{"status":"completed"}}'))
    assert.same({ { id = "c9", name = "f", arguments = '{"a":1}' } }, answer.response.tool_calls)
    assert.equal("tool_calls", answer.response.finish_reason)
  end)

  it("tells why it is incomplete", function()
    local answer = played(sse('{"type":"response.output_text.delta","delta":"One"}',
      '{"type":"response.incomplete","response":{"status":"incomplete",'
      .. '"incomplete_details":{"reason":"content_filter"},"usage":{"input_tokens":5,'
      .. '"output_tokens":2}}}'))
    assert.equal("content_filter", answer.response.finish_reason)
    assert.equal(7, answer.response.tokens_used)
  end)

  it("does not stumble over members of the wrong type", function()
    for _, type in ipairs { "created", "output_item.added", "output_text.delta", "output_item.done",
      "refusal.delta", "reasoning_summary_text.delta", "function_call_arguments.delta",
      "completed", "failed", "incomplete" } do
      for _, value in ipairs { "null", "1", '"x"', "[]", "{}" } do
        played(sse(('{"type":"response.%s","response":%s,"item":%s,"delta":%s}'):format(
          type, value, value, value)))
      end
    end
  end)
end)

describe("openai_responses server", function()
  local function context() return { id = "resp_1", created = 1795300100, model = "gpt-6-sol" } end

  local answer = { text = "Hello", reasoning = "Thinking.", finish_reason = "tool_calls",
    tool_calls = { { id = "c1", name = "f", arguments = '{"a":1}' } },
    usage = { input_tokens = 9, output_tokens = 4, reasoning_tokens = 1 } }

  local function streamed(about)
    local lines, sequence = {}, 0
    for _, event in ipairs { { "start" }, { "reasoning", "Think" }, { "reasoning", "ing." },
      { "text", "Hel" }, { "text", "lo" },
      { "tool_call", { index = 1, id = "c1", name = "f", arguments = '{"a":1}' } },
      { "finish", "tool_calls" }, { "usage", answer.usage }, { "complete" } } do
      for _, data in ipairs(dialect.encode_event(event[1], event[2], about)) do
        assert.equal(sequence, data.sequence_number)
        sequence = sequence + 1
        lines[#lines + 1] = json.encode(data)
      end
    end
    return sse((table.unpack or unpack)(lines)) -- luacheck: ignore
  end

  it("is understood by the client's half, streamed and whole", function()
    local stream = played(streamed(context()))
    local body = played(json.encode(dialect.encode_event("body", answer, context())[1]),
      { ["content-type"] = "application/json" })
    for _, got in ipairs { stream, body } do
      assert.is_nil(got.err)
      assert.equal("Hello", got.response.content)
      assert.equal("Thinking.", got.response.reasoning)
      assert.same(answer.tool_calls, got.response.tool_calls)
      assert.equal("tool_calls", got.response.finish_reason)
      assert.equal(13, got.response.tokens_used)
    end
    assert.same(body.response.opaque, stream.response.opaque)
  end)

  it("reads what the client's half writes", function()
    local wire = assert(dialect.encode_request({
      model = "gpt-6-sol", max_tokens = 400, reasoning_effort = "low", stream = true,
      defaulted = {}, response_schema = schema, tool_choice = { name = "f" },
      tools = { { name = "f", parameters = parameters, strict = true } },
      messages = {
        { role = "system", content = "Be brief." },
        { role = "user", content = { { type = "text", text = "See" },
          { type = "image", mime = "image/png", data = "abc", detail = "low" } } },
        { role = "assistant", content = "Calling.",
          tool_calls = { { id = "c1", name = "f", arguments = "{}" } } },
        { role = "tool", tool_call_id = "c1", content = "done" },
      },
    }, provider()))
    local request = dialect.decode_request(json.decode(json.encode(wire.body)))
    assert.same({ role = "system", content = "Be brief." }, request.messages[1])
    assert.equal("abc", request.messages[2].content[2].data)
    assert.equal("Calling.", request.messages[3].content)
    assert.same({ { id = "c1", name = "f", arguments = "{}" } }, request.messages[3].tool_calls)
    assert.same({ role = "tool", tool_call_id = "c1", content = "done" }, request.messages[4])
    assert.same(schema, request.response_schema)
    assert.same({ name = "f" }, request.tool_choice)
    assert.equal(400, request.max_tokens)
    assert.equal("low", request.reasoning_effort)
    assert.is_true(request.stream and request.tools[1].strict)
  end)
end)
