-- Tool loops in every dialect, from recorded replies: what the provider gave for safekeeping comes
-- back byte for byte; and calls that no model should make end in an error, a word to the model, or
-- a call of its own, but never in a tool that runs on half its arguments.
local conformance = require "spec.support.conformance"
local core = require "llm.core"
local environment = require "spec.support.environment"
local llm = require "llm"
local settled = require "spec.support.settled"
local task = require "llm.task"

local json = core.json

local types = { sse = "text/event-stream", json = "application/json",
  ndjson = "application/x-ndjson", bin = "application/vnd.amazon.eventstream" }

local function sse(events, with_names)
  local lines = {}
  for i, event in ipairs(events) do
    lines[i] = (with_names and "event: " .. event.type .. "\n" or "") ..
      "data: " .. json.encode(event) .. "\n\n"
  end
  return table.concat(lines)
end

describe("a tool loop over recorded replies", function()
  local server, serving, bodies, client

  -- A server that gives these bytes, one after the other; a type is that of a file name's end.
  local function serve(replies)
    bodies = {}
    server = assert(core.server.listen(task.loop(), {}))
    serving = task.spawn(function()
      while true do
        local request = server:accept()
        if request then
          bodies[#bodies + 1] = request:body()
          local reply = replies[#bodies]
          request:respond(200, { ["Content-Type"] = types[reply[1]] }, reply[2])
          request:close()
        else
          task.wait(server:id())
        end
      end
    end)
    return "http://127.0.0.1:" .. server:port()
  end

  before_each(function()
    environment.set { AWS_REGION = "us-east-1", AWS_BEARER_TOKEN_BEDROCK = "k" }
  end)

  after_each(function()
    environment.restore()
    client:close()
    serving:cancel()
    server:close()
    assert.equal(0, settled())
  end)

  local function connect(provider, model, replies)
    client = llm.client { provider = provider, model = model, api_key = "key", retry = false,
      base_url = serve(replies) }
    return client
  end

  local function tools_of(ran)
    local list = {}
    for _, name in ipairs { "get_weather", "get_time", "no_args" } do
      list[#list + 1] = { name = name, description = name, run = function(arguments)
        ran[#ran + 1] = name .. json.encode(arguments)
        return "result of " .. name
      end }
    end
    return list
  end

  local function file(path) return { path:match("%.(%w+)$"), conformance.read(path) } end

  local SIGNATURE = 'Eq/+= "\\u00e9" é \\n\27'
  local redacted = { type = "redacted_thinking", data = "Em" .. SIGNATURE }
  local anthropic_thinking = { "sse", sse({
    { type = "message_start", message = { model = "claude-opus-5-5", usage = {
      input_tokens = 9, output_tokens = 1 } } },
    { type = "content_block_start", index = 0,
      content_block = { type = "thinking", thinking = "", signature = "" } },
    { type = "content_block_delta", index = 0,
      delta = { type = "thinking_delta", thinking = "Need weather." } },
    { type = "content_block_delta", index = 0,
      delta = { type = "signature_delta", signature = SIGNATURE } },
    { type = "content_block_stop", index = 0 },
    { type = "content_block_start", index = 1, content_block = redacted },
    { type = "content_block_stop", index = 1 },
    { type = "content_block_start", index = 2, content_block = { type = "tool_use",
      id = "toolu_1", name = "get_weather", input = json.decode "{}" } },
    { type = "content_block_delta", index = 2,
      delta = { type = "input_json_delta", partial_json = '{"city": "Porto"}' } },
    { type = "content_block_stop", index = 2 },
    { type = "message_delta", delta = { stop_reason = "tool_use" }, usage = { output_tokens = 7 } },
    { type = "message_stop" },
  }, true) }

  local openrouter_tools = { "sse", sse {
    { choices = { { index = 0, delta = { role = "assistant", reasoning = "Hm.",
      reasoning_details = { { type = "reasoning.encrypted", data = SIGNATURE, id = "r1",
        format = "anthropic-claude-v1", index = 0 } } } } } },
    { choices = { { index = 0, finish_reason = "tool_calls", delta = { tool_calls = { { index = 0,
      id = "c1", ["function"] = { name = "get_weather", arguments = '{"city":"Porto"}' } } } } }
    } },
  } .. "data: [DONE]\n\n" }

  -- provider, model, the reply that calls, the one that ends, how many calls, and what the second
  -- request holds word for word.
  local cases = {
    { "anthropic", "claude-opus-5-5", file "anthropic/stream_tools.sse",
      file "anthropic/stream_text.sse", 2, { '"id":"toolu_fxW1"', '"tool_use_id":"toolu_fxN3"' } },
    { "anthropic", "claude-opus-5-5", anthropic_thinking, file "anthropic/stream_text.sse", 1,
      { '"signature":' .. json.encode(SIGNATURE), json.encode(redacted),
        '"thinking":"Need weather."' } },
    { "bedrock", "anthropic.claude-opus-5-5", file "bedrock/stream_thinking_tools.bin",
      file "bedrock/stream_text.bin", 1, { '"signature":"EqfxSIG0021=="', '"text":"Need weather."',
        '"toolUseId":"tooluse_fxW1"' } },
    { "bedrock", "anthropic.claude-opus-5-5", file "bedrock/converse_tool_use.json",
      file "bedrock/converse_plain.json", 1, { '"signature":"EqfxSIG0020=="' }, stream = false },
    { "google", "gemini-3.8-flash", file "gemini/stream_tools.sse", file "gemini/stream_text.sse",
      2, { '"thoughtSignature":"ZnhTSUcwNA=="', '"id":"fxcall2"' } },
    { "google", "gemini-3.8-flash", file "gemini/tool_calls.json", file "gemini/plain.json", 2,
      { '"thoughtSignature":"ZnhTSUcwMg=="' }, stream = false },
    { "openai_responses", "gpt-6-sol", file "openai_responses/stream_thinking_tools.sse",
      file "openai_responses/plain.json", 1, { '"encrypted_content":"gAAAfx-opaque-full"',
        '"text":"Looking up the weather."', '"id":"rs_fx11"' } },
    { "openai_responses", "gpt-6-sol", file "openai_responses/tool_calls.json",
      file "openai_responses/plain.json", 2, { '"encrypted_content":"gAAAfx-opaque-1"' },
      stream = false },
    { "openai", "gpt-4o", file "openai_chat/tool_calls.json", file "openai_chat/stream_text.sse", 2,
      { '"id":"call_fxW1"', '"tool_call_id":"call_fxT2"' }, stream = false },
    { "openrouter", "anthropic/claude-opus-5.5", openrouter_tools,
      file "openai_chat/stream_text.sse", 1, { '"data":' .. json.encode(SIGNATURE) } },
    { "mistral", "mistral-large-4", file "openai_compatible/mistral_stream_tools.sse",
      file "openai_chat/stream_text.sse", 1, { '"tool_call_id":"aB3dE6gH9"' } },
    { "groq", "openai/gpt-oss-120b", file "openai_compatible/groq_stream_tools.sse",
      file "openai_chat/stream_text.sse", 1, { '"tool_call_id":"fc_fx1"' } },
    { "ollama", "qwen3:8b", file "ollama/stream_tools.ndjson", file "ollama/stream_text.ndjson", 2,
      { '"tool_name":"get_time"' } },
    { "ollama", "qwen3:8b", file "ollama/tool_calls_no_id.json", file "ollama/plain.json", 1,
      { '"tool_name":"get_weather"' }, stream = false },
    { "ollama", "qwen3:8b", { "ndjson", table.concat({
      json.encode { message = { role = "assistant", content = "", thinking = "I need " } },
      json.encode { message = { role = "assistant", content = "", thinking = "the weather." } },
      json.encode { message = { role = "assistant", content = "", tool_calls = { { ["function"] = {
        name = "get_weather", arguments = { city = "Porto" } } } } }, done = true,
        done_reason = "stop" }, "" }, "\n") }, file "ollama/stream_text.ndjson", 1,
      { '"thinking":"I need the weather."' } },
  }

  for i, case in ipairs(cases) do
    for _, form in ipairs { "run_tools", "stream_tools" } do
      it(("%d gives %s back what it gave, with %s"):format(i, case[1], form), function()
        local ran = {}
        local opts = { tools = tools_of(ran), stream = case.stream }
        connect(case[1], case[2], { case[3], case[4] })
        local response
        if form == "run_tools" then
          response = assert(client:run_tools("What is the weather in Porto?", opts))
        else
          local next_event, stream = client:stream_tools("What is the weather in Porto?", opts)
          for _ in next_event, stream do end
          response = stream:response()
        end
        assert.equal(2, #bodies)
        assert.equal(case[5], #ran)
        assert.equal('get_weather{"city":"Porto"', ran[1]:sub(1, 26))
        assert.equal("stop", response.finish_reason)
        for _, call in ipairs(response.steps[1].calls) do
          assert.equal("result of " .. call.name, call.result)
          assert.matches(call.result, bodies[2], 1, true)
        end
        for _, text in ipairs(case[6]) do assert.matches(text, bodies[2], 1, true) end
      end)
    end
  end

  -- --- calls that no model should make -----------------------------------------------------------

  local function chat(...)
    local events = {}
    for i, calls in ipairs { ... } do
      for _, call in ipairs(calls) do
        call["function"] = { name = call.name, arguments = call.arguments }
        call.name, call.arguments = nil, nil
      end
      events[i] = { choices = { { index = 0, delta = { tool_calls = calls } } } }
    end
    events[#events + 1] = { choices = { { index = 0, delta = {}, finish_reason = "tool_calls" } } }
    return { "sse", sse(events) .. "data: [DONE]\n\n" }
  end

  -- The names and arguments of what ran, in order; and what the model was told, or the error.
  local function chat_loop(reply)
    local ran = {}
    connect("openai", "gpt-4o", { reply, file "openai_chat/stream_text.sse" })
    local response, err = client:run_tools("Go.", { tools = tools_of(ran) })
    table.sort(ran)
    return ran, response and response.steps[1].calls, err
  end

  for name, index in pairs { ["-1"] = -1, ["1e9"] = 1e9, ["0.5"] = 0.5, ["4096"] = 4096 } do
    it("ends with an error at a call that is numbered " .. name, function()
      local ran, _, err = chat_loop(chat({ { index = 0, id = "a", name = "no_args",
        arguments = "{}" } }, { { index = index, id = "b", name = "no_args", arguments = "{}" } }))
      assert.same({}, ran)
      assert.equal("protocol", err.kind)
      assert.matches("numbers a tool call", tostring(err))
    end)
  end

  for name, indexes in pairs {
    ["in order"] = { 0, 1 }, ["out of order"] = { 1, 0 }, ["far apart"] = { 7, 4000 },
    ["all alike"] = { 0, 0 }, ["not at all"] = {},
  } do
    it("knows calls that are numbered " .. name, function()
      local a, b = indexes[1], indexes[2]
      local ran, calls = chat_loop(chat(
        { { index = a, id = "a", name = "get_time", arguments = "" } },
        { { index = a, arguments = '{"x":' } }, { { index = a, arguments = "1}" } },
        { { index = b, id = "b", name = "get_weather", arguments = '{"x"' } },
        { { index = b, id = "", name = "", arguments = ":2}" } }))
      assert.same({ 'get_time{"x":1}', 'get_weather{"x":2}' }, ran)
      assert.equal(2, #calls)
      assert.equal(2, select(2, bodies[2]:gsub('"tool_call_id"', "")))
    end)
  end

  it("tells calls apart that have one id, or none", function()
    local ran, calls = chat_loop(chat {
      { index = 0, id = "a", name = "get_time", arguments = "{}" },
      { index = 1, id = "a", name = "get_weather", arguments = "{}" },
      { index = 2, id = "", name = "no_args", arguments = "{}" } })
    assert.equal(3, #ran)
    assert.are_not.equal(calls[1].id, calls[2].id)
    assert.is_true(#calls[3].id > 0)
    for i = 1, 3 do
      assert.matches(('"tool_call_id":%q'):format(calls[i].id), bodies[2], 1, true)
    end
  end)

  it("waits for a name that comes late, and errs at none", function()
    local ran = chat_loop(chat({ { index = 0, id = "a", arguments = "{" } },
      { { index = 0, name = "no_args", arguments = "}" } }))
    assert.same({ "no_args{}" }, ran)
  end)

  it("errs at a call without a name", function()
    local ran, _, err = chat_loop(chat { { index = 0, id = "a", arguments = "{}" } })
    assert.same({}, ran)
    assert.equal("protocol", err.kind)
    assert.equal(1, #err.partial.steps)
  end)

  it("takes arguments that never end for what they are", function()
    local deltas = { { { index = 0, id = "a", name = "no_args", arguments = '{"x":"' } } }
    for i = 2, 3000 do deltas[i] = { { index = 0, arguments = ("y"):rep(300) } } end
    local ran, calls = chat_loop(chat((table.unpack or unpack)(deltas))) -- luacheck: ignore
    assert.same({}, ran)
    assert.matches("not a complete JSON object", calls[1].error)
    assert.matches('"arguments":"{}"', bodies[2], 1, true)
  end)

  it("runs nothing on half the arguments in any dialect, and goes on", function()
    local half = '{"city": "Po'
    local replies = {
      { "anthropic", "claude-opus-5-5", "anthropic/stream_text.sse",
        (anthropic_thinking[2]:gsub(' \\"Porto\\"}', "")) },
      { "openai_responses", "gpt-6-sol", "openai_responses/plain.json", sse({
        { type = "response.output_item.done", output_index = 0, item = { type = "function_call",
          call_id = "c", name = "get_weather", arguments = half } },
        { type = "response.completed", response = { status = "completed" } } }, true) },
      { "openai", "gpt-4o", "openai_chat/stream_text.sse", chat { { index = 0, id = "a",
        name = "get_weather", arguments = half } }[2] },
    }
    for _, row in ipairs(replies) do
      local ran = {}
      connect(row[1], row[2], { { "sse", row[4] }, file(row[3]) })
      local response = assert(client:run_tools("Go.", { tools = tools_of(ran) }))
      assert.same({}, ran)
      assert.matches("not a complete JSON object", response.steps[1].calls[1].error, row[1])
      if row ~= replies[#replies] then
        client:close()
        serving:cancel()
        server:close()
      end
    end
  end)

  it("errs at call numbers out of bounds in dialects that count themselves", function()
    local events = {}
    for i = 1, 5000 do
      events[i] = { type = "response.output_item.added", output_index = i, item = {
        type = "function_call", call_id = "c" .. i, name = "no_args" } }
    end
    local ran = {}
    connect("openai_responses", "gpt-6-sol", { { "sse", sse(events, true) } })
    local _, err = client:run_tools("Go.", { tools = tools_of(ran) })
    assert.equal("protocol", err.kind)
    assert.same({}, ran)
  end)
end)
