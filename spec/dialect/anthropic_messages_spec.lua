--- Anthropic's Messages.
local conformance = require "spec.support.conformance"
local core = require "llm.core"
local providers = require "llm.provider"

local json = core.json

local function anthropic() return assert(providers.find "anthropic") end

conformance.describe("anthropic", anthropic)

local function encode(request, provider)
  request.defaulted = request.defaulted or {}
  request.model = request.model or "claude-opus-5-5"
  request.messages = request.messages or { { role = "user", content = "Hi" } }
  provider = provider or anthropic()
  local wire, problem = provider.dialect.encode_request(request, provider)
  return wire and json.decode(json.encode(wire.body)), problem, wire and wire.path
end

local function sse(events)
  local lines = {}
  for i, data in ipairs(events) do
    lines[i] = "event: " .. data.type .. "\ndata: " .. json.encode(data) .. "\n\n"
  end
  return table.concat(lines)
end

local function play(events, skimmer)
  local recording = { status = 200, headers = { ["content-type"] = "text/event-stream" },
    model = "claude-opus-5-5" }
  local provider = anthropic()
  return conformance.play(provider, recording, { sse(events) },
    skimmer and provider.dialect.skimmer)
end

local weather = { name = "get_weather", description = "Current weather", parameters = {
  type = "object", properties = { city = { type = "string" } }, required = { "city" } } }

describe("anthropic request", function()
  it("is the documented one, field by field", function()
    conformance.encodes(anthropic(), "anthropic/request_full.json", {
      model = "claude-opus-5-5", temperature = 0.7, defaulted = { temperature = true },
      max_tokens = 1024, stop = "END", reasoning_effort = "medium", stream = true,
      tools = { weather }, tool_choice = "auto",
      messages = {
        { role = "system", content = {
          { type = "text", text = "Answer briefly.", cache_control = { type = "ephemeral" } } } },
        { role = "user", content = { { type = "text", text = "Weather in Porto?" },
          { type = "image", mime = "image/png", data = "\137PNG\r\n\26\n" } } },
        { role = "assistant", content = "", opaque = { anthropic = { { model = "claude-opus-5-5" },
          { block = { type = "thinking", thinking = "", signature = "EqfxSIG0001==" } },
          { call = "toolu_fxW1" } } },
          tool_calls = { { id = "toolu_fxW1", name = "get_weather",
            arguments = "{\"city\":\"Porto\"}" } } },
        { role = "tool", tool_call_id = "toolu_fxW1", content = "{\"temp_c\":19}" },
      },
    })
  end)

  it("is the documented one for Claude on Vertex", function()
    local vertex = assert(providers.find "vertex_anthropic")
    conformance.encodes(vertex, "vertex/request_claude_rawpredict.json", {
      model = "claude-opus-4-5@20251101", messages = { { role = "user", content = "Hello" } },
      max_tokens = 256, stream = true, defaulted = {},
    })
    local _, _, path = encode({ model = "../x", stream = false }, vertex)
    assert.equal("/publishers/anthropic/models/..%2Fx:rawPredict", path)
  end)

  it("always has max_tokens, and text only where there is some", function()
    local body = encode { messages = { { role = "user", content = "Hi" },
      { role = "assistant", content = "", tool_calls = { { id = "a", name = "f",
        arguments = "" } } },
      { role = "tool", tool_call_id = "a", content = "", is_error = true } } }
    assert.equal(4096, body.max_tokens)
    assert.same({ { type = "tool_use", id = "a", name = "f", input = {} } },
      body.messages[2].content)
    assert.same({ { type = "tool_result", tool_use_id = "a", content = "", is_error = true } },
      body.messages[3].content)
  end)

  it("joins the results of parallel calls and all that the system says", function()
    local function result(id) return { role = "tool", tool_call_id = id, content = id } end
    local body = encode { messages = { { role = "system", content = "One." },
      { role = "system", content = "Two." }, { role = "user", content = "Hi" },
      result "a", result "b", { role = "user", content = "And?" } } }
    assert.equal("Two.", body.system[2].text)
    assert.equal(3, #body.messages)
    assert.equal("b", body.messages[2].content[2].tool_use_id)
  end)

  it("maps tool choices", function()
    local function choice(request)
      request.model, request.tools = request.model or "claude-sonnet-4-5", { weather }
      local body, problem = encode(request)
      return body and body.tool_choice, problem
    end
    assert.same({ type = "any" }, choice { tool_choice = "required" })
    assert.same({ type = "none" }, choice { tool_choice = "none", parallel_tool_calls = false })
    assert.same({ type = "tool", name = "f", disable_parallel_tool_use = true },
      choice { tool_choice = { name = "f" }, parallel_tool_calls = false })
    assert.same({ type = "auto", disable_parallel_tool_use = true },
      choice { parallel_tool_calls = false })
    local _, problem = choice { model = "claude-opus-5-5", tool_choice = "required" }
    assert.matches("tool_choice", problem)
  end)

  it("asks each generation to think in its own way", function()
    local function body_of(model, effort, max_tokens)
      return encode { model = model, reasoning_effort = effort, max_tokens = max_tokens }
    end
    assert.same({ type = "enabled", budget_tokens = 4096 },
      body_of("claude-sonnet-4-5", "medium", 8000).thinking)
    assert.equal(1999, body_of("claude-sonnet-4-5", "high", 2000).thinking.budget_tokens)
    assert.same({ type = "adaptive" }, body_of("claude-opus-4-6", "high").thinking)
    assert.is_nil(body_of("claude-opus-5-5", "high").thinking)
    assert.same({ type = "disabled" }, body_of("claude-haiku-5-5", "none").thinking)
    local _, problem = body_of("claude-opus-5-5", "none")
    assert.matches("reasoning_effort", problem)
    _, problem = body_of("claude-sonnet-4-5", "high", 500)
    assert.matches("max_tokens", problem)
  end)

  it("names what it cannot express", function()
    for name, value in pairs { seed = 1, temperature = 0.3, top_p = 0.5, logprobs = true } do
      local _, problem = encode { [name] = value }
      assert.matches(name, problem)
    end
    assert.equal(0.3, encode { model = "claude-opus-4-5", temperature = 0.3 }.temperature)
    local log = require "llm.log"
    log.configure("off")
    assert.is_nil(encode { seed = 1, unsupported = "drop" }.seed)
    log.configure("warn")
  end)

  it("asks for a schema", function()
    local schema = { type = "object" }
    assert.same({ effort = "low", format = { type = "json_schema", schema = schema } },
      encode { response_schema = schema, reasoning_effort = "low" }.output_config)
  end)
end)

describe("anthropic thinking", function()
  local first = { type = "thinking", thinking = "Hm, é\0.", signature = "S/1+==" }
  local second = { type = "redacted_thinking", data = "ZmZm" }
  local function start(index, block)
    return { type = "content_block_start", index = index, content_block = block }
  end
  local function delta(index, piece)
    return { type = "content_block_delta", index = index, delta = piece }
  end
  local function stop(index) return { type = "content_block_stop", index = index } end
  local events = {
    { type = "message_start", message = { model = "claude-opus-5-5" } },
    start(0, { type = "thinking", thinking = "", signature = "" }),
    delta(0, { type = "thinking_delta", thinking = "Hm, " }),
    delta(0, { type = "thinking_delta", thinking = "é\0." }),
    delta(0, { type = "signature_delta", signature = "S/1+==" }), stop(0),
    start(1, { type = "text", text = "" }), delta(1, { type = "text_delta", text = "One. " }),
    stop(1), start(2, second), stop(2),
    start(3, { type = "text", text = "" }), delta(3, { type = "text_delta", text = "Two." }),
    stop(3),
    start(4, { type = "tool_use", id = "t1", name = "f", input = {} }),
    delta(4, { type = "input_json_delta", partial_json = "{\"a\":1}" }), stop(4),
    start(5, { type = "server_tool_use", id = "s1", name = "web_search", input = {} }),
    delta(5, { type = "input_json_delta", partial_json = "{\"q\":" }),
    delta(5, { type = "input_json_delta", partial_json = "\"x\"}" }), stop(5),
    { type = "message_delta", delta = { stop_reason = "tool_use" } }, { type = "message_stop" },
  }
  local wanted = {
    first, { type = "text", text = "One. " }, second, { type = "text", text = "Two." },
    { type = "tool_use", id = "t1", name = "f", input = { a = 1 } },
    { type = "server_tool_use", id = "s1", name = "web_search", input = { q = "x" } },
  }

  local function returned(response, model)
    local message = assert(json.decode(json.encode(response:message())))
    message.content = message.content or ""
    return encode { model = model, messages = { message } }.messages[1].content
  end

  it("goes back byte for byte and in its place, through JSON as well", function()
    for _, skimmed in ipairs { false, true } do
      local response = play(events, skimmed).response
      assert.equal("One. Two.", response.content)
      assert.equal("Hm, é\0.", response.reasoning)
      assert.same(wanted, returned(response))
    end
  end)

  it("goes back from a reply that is no stream", function()
    local recording = { status = 200, headers = { ["content-type"] = "application/json" },
      model = "claude-opus-5-5" }
    local body = json.encode { type = "message", model = "claude-opus-5-5", content = wanted,
      stop_reason = "tool_use" }
    local response = conformance.play(anthropic(), recording, { body }).response
    assert.same(wanted, returned(response))
  end)

  it("stays behind when another model is asked", function()
    local response = play(events).response
    assert.same({ { type = "text", text = "One. Two." }, wanted[5] },
      returned(response, "claude-haiku-5-5"))
  end)

  it("stands before a text that was changed", function()
    local message = play(events).response:message()
    message.content = "Else."
    local content = encode { messages = { message } }.messages[1].content
    assert.same({ first, second, wanted[5], wanted[6], { type = "text", text = "Else." } }, content)
  end)
end)

describe("anthropic usage", function()
  it("counts the whole prompt, cached or not", function()
    local response = play({
      { type = "message_start", message = { model = "m", usage = { input_tokens = 10,
        cache_creation_input_tokens = 200, cache_read_input_tokens = 3000, output_tokens = 1,
        cache_creation = { ephemeral_5m_input_tokens = 50, ephemeral_1h_input_tokens = 150 } } } },
      { type = "message_delta", delta = { stop_reason = "end_turn" }, usage = {
        output_tokens = 40, input_tokens = 12, cache_read_input_tokens = json.null,
        output_tokens_details = { thinking_tokens = 30 } } },
      { type = "message_stop" },
    }).response
    assert.same({ input_tokens = 3212, cached_tokens = 3000, cache_write_tokens = 200,
      cache_write_long_tokens = 150, output_tokens = 40, reasoning_tokens = 30 }, response.usage)
  end)
end)

describe("anthropic stream", function()
  local start = { type = "message_start", message = { model = "m",
    usage = { input_tokens = 10, output_tokens = 1 } } }

  it("that is cut leaves its output to be estimated, and is awaited", function()
    local played = play { start, { type = "content_block_delta", index = 0,
      delta = { type = "text_delta", text = "Hal" } } }
    assert.equal("truncated", played.err.kind)
    assert.is_true(played.response.usage.estimated)
    assert.is_nil(played.is_closed)
  end)

  it("is over at message_stop", function()
    assert.is_true(play { start, { type = "message_delta", delta = { stop_reason = "end_turn" } },
      { type = "message_stop" } }.is_closed)
  end)
end)

describe("anthropic server", function()
  local dialect = require "llm.dialect.anthropic_messages"

  it("reads its own client's request back", function()
    local request = {
      model = "claude-opus-4-5", defaulted = {}, max_tokens = 9, stop = { "END" },
      tool_choice = { name = "f" }, parallel_tool_calls = false, user = "u", stream = true,
      response_schema = { type = "object" },
      messages = {
        { role = "system", content = "Be brief." },
        { role = "user", content = { { type = "image", mime = "image/png", data = "\0\1" } } },
        { role = "assistant", tool_calls = { { id = "c1", name = "f", arguments = "{\"a\":1}" } } },
        { role = "tool", tool_call_id = "c1", content = "1", is_error = true },
      },
      tools = { { name = "f", parameters = { type = "object" } } },
    }
    local read = dialect.decode_request(encode(request))
    request.defaulted = nil
    assert.same(request, read)
  end)

  it("writes what its own client reads", function()
    local answer = { text = "Hi.", reasoning = "Hm.", finish_reason = "tool_calls",
      tool_calls = { { id = "c1", name = "f", arguments = "{\"a\":1}" },
        { id = "c2", name = "g", arguments = "{}" } },
      usage = { input_tokens = 7, output_tokens = 5, cached_tokens = 3, cache_write_tokens = 1 } }
    local context, sent = { id = "msg_1", model = "m" }, {}
    local bytes = json.encode(dialect.encode_event("body", answer, context)[1])
    local recording = { status = 200, headers = { ["content-type"] = "application/json" } }
    local response = conformance.play(anthropic(), recording, { bytes }).response
    for name in pairs { tool_calls = 1, usage = 1, finish_reason = 1, reasoning = 1 } do
      assert.same(answer[name], response[name])
    end
    for _, event in ipairs { { "start" }, { "reasoning", "Hm." }, { "text", "H" }, { "text", "i." },
      { "tool_call", { index = 1, id = "c1", name = "f" } },
      { "tool_arguments", { index = 1, text = "{\"a\":1}" } },
      { "tool_call", { index = 2, id = "c2", name = "g", arguments = "{}" } },
      { "finish", "tool_calls" }, { "usage", answer.usage }, { "complete" } } do
      for _, data in ipairs(dialect.encode_event(event[1], event[2], context)) do
        sent[#sent + 1] = data
      end
    end
    local streamed = play(sent).response
    for _, name in ipairs { "content", "reasoning", "tool_calls", "usage", "finish_reason" } do
      assert.same(response[name], streamed[name])
    end
  end)

  it("writes errors that its own client understands", function()
    local data = dialect.encode_event("failure", { kind = "rate_limit", message = "Slowly." }, {})
    assert.equal("rate_limit", play(data).err.kind)
  end)
end)
