--- OpenAI's Chat Completions, as OpenAI and as others speak it.
local conformance = require "spec.support.conformance"
local core = require "llm.core"
local providers = require "llm.provider"

local json = core.json

local function openai() return assert(providers.find "openai") end

conformance.describe("openai_chat", openai)

-- The provider of a fixture is the first word of its name; a proxy stands before any of them.
conformance.describe("openai_compatible", function(file)
  return assert(providers.find(file:match("^(%l+)_"):gsub("proxy", "openai"), nil))
end)

local function encode(request, provider)
  request.defaulted = request.defaulted or {}
  request.model = request.model or "m"
  request.messages = request.messages or { { role = "user", content = "Hi" } }
  provider = provider or openai()
  local wire, problem = provider.dialect.encode_request(request, provider)
  return wire and json.decode(json.encode(wire.body)), problem
end

local function played(provider, file, manifest)
  local recording = { status = 200, headers = manifest or {} }
  return conformance.play(provider, recording, { conformance.read(file) })
end

describe("openai_chat request", function()
  it("is the documented one, field by field", function()
    local object = { type = "object", additionalProperties = false }
    conformance.encodes(openai(), "openai_chat/request_full.json", {
      model = "gpt-6-sol", defaulted = { temperature = true }, temperature = 0.7,
      messages = {
        { role = "system", content = "Answer briefly." },
        { role = "user", content = {
          { type = "text", text = "What is in the picture, and the weather in Porto?" },
          { type = "image", mime = "image/png", data = "\137PNG\r\n\26\n", detail = "low" },
        } },
        { role = "assistant", content = "", tool_calls = {
          { id = "call_fxW1", name = "get_weather", arguments = "{\"city\":\"Porto\"}" } } },
        { role = "tool", tool_call_id = "call_fxW1", content = "{\"temp_c\":19}" },
      },
      max_tokens = 400, reasoning_effort = "low", tool_choice = "auto", parallel_tool_calls = true,
      tools = { { name = "get_weather", description = "Current weather", strict = true,
        parameters = { type = "object", properties = { city = { type = "string" } },
          required = { "city" }, additionalProperties = false } } },
      response_schema = { type = object.type, properties = { text = { type = "string" } },
        required = { "text" }, additionalProperties = false },
      stream = true, prompt_cache_key = "fx-1",
    })
  end)

  it("names a parameter that the model refuses", function()
    local _, problem = encode { model = "gpt-6-sol", temperature = 0.2 }
    assert.matches("temperature", problem)
    _, problem = encode { model = "o3", stop = "END" }
    assert.matches("stop", problem)
    assert.equal(0.2, encode { model = "gpt-4o", temperature = 0.2 }.temperature)
  end)

  it("leaves out what the caller did not choose or what changes nothing", function()
    assert.is_nil(encode { model = "o3", temperature = 0.7,
      defaulted = { temperature = true } }.temperature)
    assert.is_nil(encode { model = "o3", temperature = 1 }.temperature)
    assert.equal(0.2, encode { model = "gpt-5.6", temperature = 0.2,
      reasoning_effort = "none" }.temperature)
  end)

  it("drops with a warning when it is told to", function()
    local log, lines = require "llm.log", {}
    log.configure("warn", function(_, _, line) lines[#lines + 1] = line end)
    local body = encode { model = "gpt-6-sol", temperature = 0.2, unsupported = "drop" }
    log.configure("warn")
    assert.is_nil(body.temperature)
    assert.matches("temperature", lines[1])
  end)

  it("carries audio and files, and refuses what has no form", function()
    local function content(part)
      local body, problem = encode { messages = { { role = "user", content = { part } } } }
      return body and body.messages[1].content[1], problem
    end
    assert.same({ type = "input_audio", input_audio = { data = "AQI=", format = "mp3" } },
      content { type = "audio", mime = "audio/mpeg", data = "\1\2" })
    assert.same({ type = "file", file = { filename = "a.pdf",
      file_data = "data:application/pdf;base64,AQI=" } },
      content { type = "file", mime = "application/pdf", data = "\1\2", name = "a.pdf" })
    local _, problem = content { type = "audio", mime = "audio/ogg", data = "\1" }
    assert.matches("audio/ogg", problem)
  end)
end)

describe("openai_chat state of the provider", function()
  it("goes back in whole blocks to OpenRouter", function()
    local provider = assert(providers.find "openrouter")
    local answer = played(provider, "openai_compatible/openrouter_stream_reasoning.sse").response
    local body = encode({ messages = { answer:message() } }, provider)
    assert.same({ { type = "reasoning.text", text = "Thinking it through.", index = 0,
      signature = "EqfxSIG0009==", format = "anthropic-claude-v1" } },
      body.messages[1].reasoning_details)
  end)

  it("is the reasoning for DeepSeek", function()
    local provider = assert(providers.find "deepseek")
    local answer = played(provider, "openai_compatible/deepseek_stream_thinking.sse").response
    local body = encode({ messages = { answer:message(), { role = "assistant", content = "x" } } },
      provider)
    assert.equal("17*23 = 391.", body.messages[1].reasoning_content)
    assert.equal("", body.messages[2].reasoning_content)
  end)

  it("is a thinking part for Mistral, and tool ids have its length", function()
    local provider = assert(providers.find "mistral")
    local function chunk(delta, reason)
      return "data: " .. json.encode { choices = { { index = 0, delta = delta,
        finish_reason = reason } } } .. "\n\n"
    end
    local function thinking(text, signature)
      return chunk { content = { { type = "thinking", signature = signature,
        thinking = { { type = "text", text = text } } } } }
    end
    local answer = conformance.play(provider, { status = 200, headers = {} }, {
      thinking("Hm"), thinking("m.", "sig"), chunk { content = "Yes." },
      chunk({ tool_calls = { { id = "toolu_1", ["function"] = { name = "f", arguments = "" } } } },
        "tool_calls"),
    }).response
    assert.equal("Hmm.", answer.reasoning)
    local body = encode({ seed = 5,
      messages = { answer:message(), { role = "tool", tool_call_id = "toolu_1", content = "1" } },
    }, provider)
    assert.same({ { type = "thinking", signature = "sig", thinking = {
      { type = "text", text = "Hm" }, { type = "text", text = "m." } } },
      { type = "text", text = "Yes." } }, body.messages[1].content)
    local id = body.messages[1].tool_calls[1].id
    assert.matches("^%w%w%w%w%w%w%w%w%w$", id)
    assert.equal(id, body.messages[2].tool_call_id)
    assert.equal("{}", body.messages[1].tool_calls[1]["function"].arguments)
    assert.equal(5, body.random_seed)
  end)
end)

describe("openai_chat server", function()
  local dialect = require "llm.dialect.openai_chat"

  it("reads its own client's request back", function()
    local request = {
      model = "gpt-4o", defaulted = {}, max_tokens = 9, stop = { "END" },
      tool_choice = { name = "f" },
      messages = {
        { role = "system", content = "Be brief." },
        { role = "user", content = { { type = "image", mime = "image/png", data = "\0\1" } } },
        { role = "assistant", tool_calls = { { id = "c1", name = "f", arguments = "{}" } } },
        { role = "tool", tool_call_id = "c1", content = "1" },
      },
      tools = { { name = "f", parameters = { type = "object" } } },
    }
    local read = dialect.decode_request(encode(request))
    for _, name in ipairs { "model", "messages", "tools", "tool_choice", "max_tokens", "stop" } do
      assert.same(request[name], read[name])
    end
  end)

  it("gives the log probabilities, streamed or not", function()
    local rows = { { token = "Hi", logprob = -0.1, top_logprobs = { { token = "He" } } },
      { token = ".", logprob = -0.2 } }
    local function choice(key, text, list, reason)
      return json.encode { model = "m", choices = { { index = 0, [key] = { content = text },
        logprobs = { content = list }, finish_reason = reason or json.null } } }
    end
    local plain = { status = 200, headers = { ["content-type"] = "application/json" } }
    local whole = conformance.play(openai(), plain, { choice("message", "Hi.", rows, "stop") })
    assert.same(rows, whole.response.logprobs)
    local stream = { status = 200, headers = { ["content-type"] = "text/event-stream" } }
    local streamed = conformance.play(openai(), stream, { table.concat({ "",
      choice("delta", "Hi", { rows[1] }) .. "\n\n",
      choice("delta", ".", { rows[2] }, "stop") .. "\n\n", "[DONE]\n\n" }, "data: ") })
    assert.same(rows, streamed.response.logprobs)
    assert.equal("Hi.", streamed.response.content)
  end)

  it("writes what its own client reads", function()
    local context = { id = "chatcmpl-1", created = 1, model = "m" }
    local answer = { text = "Hi.", reasoning = "Hm.", finish_reason = "tool_calls",
      tool_calls = { { id = "c1", name = "f", arguments = "{\"a\":1}" } },
      usage = { input_tokens = 7, output_tokens = 5, cached_tokens = 3, reasoning_tokens = 2 } }
    local bytes = json.encode(dialect.encode_event("body", answer, context)[1])
    local recording = { status = 200, headers = { ["content-type"] = "application/json" } }
    local response = conformance.play(openai(), recording, { bytes }).response
    assert.equal("Hi.", response.content)
    assert.equal("Hm.", response.reasoning)
    assert.same(answer.tool_calls, response.tool_calls)
    assert.same(answer.usage, response.usage)
    local lines = {}
    for _, event in ipairs { { "start" }, { "reasoning", "Hm." }, { "text", "Hi." },
      { "tool_call", { index = 1, id = "c1", name = "f" } },
      { "tool_arguments", { index = 1, text = "{\"a\":1}" } },
      { "finish", "tool_calls" }, { "usage", answer.usage }, { "complete" } } do
      for _, data in ipairs(dialect.encode_event(event[1], event[2], context)) do
        lines[#lines + 1] = "data: " .. (type(data) == "table" and json.encode(data) or data)
      end
    end
    recording.headers["content-type"] = "text/event-stream"
    local streamed = conformance.play(openai(), recording,
      { table.concat(lines, "\n\n") .. "\n\n" }).response
    for _, name in ipairs { "content", "reasoning", "tool_calls", "usage", "finish_reason" } do
      assert.same(response[name], streamed[name])
    end
  end)
end)
