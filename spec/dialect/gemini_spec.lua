--- Google's generateContent, on the Gemini API and on Vertex AI.
local conformance = require "spec.support.conformance"
local core = require "llm.core"
local providers = require "llm.provider"

local json = core.json

local function google() return assert(providers.find "google") end

conformance.describe("gemini", google)
conformance.describe("vertex", function() return assert(providers.find "vertex") end)

local MODEL = "gemini-3.8-flash"

local function encode(request)
  request.defaulted = request.defaulted or {}
  request.model = request.model or MODEL
  request.messages = request.messages or { { role = "user", content = "Hi" } }
  local wire, problem = google().dialect.encode_request(request, google())
  return wire and json.decode(json.encode(wire.body)), problem, wire and wire.path
end

local function play(events, skimmed)
  local lines = {}
  for i, data in ipairs(events) do lines[i] = "data: " .. json.encode(data) .. "\r\n\r\n" end
  local recording = { status = 200, headers = { ["content-type"] = "text/event-stream" },
    model = MODEL }
  return conformance.play(google(), recording, { table.concat(lines) },
    skimmed and google().dialect.skimmer)
end

local function parts(list, reason)
  return { modelVersion = MODEL, candidates = { { index = 0, finishReason = reason,
    content = { role = "model", parts = list } } } }
end

describe("gemini request", function()
  it("is the documented one, field by field", function()
    conformance.encodes(google(), "gemini/request_full.json", {
      model = MODEL, max_tokens = 400, temperature = 1.0, stop = { "END" }, defaulted = {},
      reasoning_effort = "low", tool_choice = "auto",
      tools = { { name = "get_weather", description = "Current weather", parameters = {
        type = "object", properties = { city = { type = "string" } },
        required = { "city" } } } },
      messages = {
        { role = "system", content = "Answer briefly." },
        { role = "user", content = { { type = "text", text = "Weather in Porto?" },
          { type = "image", mime = "image/png", data = "\137PNG\r\n\26\n" } } },
        { role = "assistant", content = "", opaque = { gemini = { { model = MODEL, length = 0 },
          { call = "fxcall1", signature = "ZnhTSUcwMg==" } } },
          tool_calls = { { id = "fxcall1", name = "get_weather",
            arguments = "{\"city\":\"Porto\"}" } } },
        { role = "tool", tool_call_id = "fxcall1", content = "{\"temp_c\":19}" },
      },
    })
  end)

  it("has the model in its path, and nothing else gets in there", function()
    local _, _, path = encode { stream = true }
    assert.equal("/models/gemini-3.8-flash:streamGenerateContent?alt=sse", path)
    _, _, path = encode { model = "models/a?b/../c" }
    assert.equal("/models/a%3Fb%2F..%2Fc:generateContent", path)
    local _, problem = encode { model = ".." }
    assert.matches("path", problem)
  end)

  it("joins turns of one role, and errors of tools are errors", function()
    local body = encode { messages = { { role = "user", content = "a" },
      { role = "user", content = "b" },
      { role = "assistant", tool_calls = { { id = "x", name = "f", arguments = "" } } },
      { role = "tool", tool_call_id = "x", content = "no such city", is_error = true },
      { role = "user", content = "c" } } }
    assert.equal(3, #body.contents)
    assert.same({ { text = "a" }, { text = "b" } }, body.contents[1].parts)
    assert.same({ error = "no such city" }, body.contents[3].parts[1].functionResponse.response)
    assert.same({ text = "c" }, body.contents[3].parts[2])
    local _, problem = encode { messages = { { role = "tool", tool_call_id = "y", content = "" } } }
    assert.matches("y", problem)
  end)

  it("asks each generation to think in its own way", function()
    local function thinking(model, effort)
      local body, problem = encode { model = model, reasoning_effort = effort }
      return body and body.generationConfig.thinkingConfig, problem
    end
    assert.same({ thinkingBudget = 0, includeThoughts = false },
      thinking("gemini-2.5-flash", "none"))
    assert.equal(128, thinking("gemini-2.5-pro", "none").thinkingBudget)
    assert.equal("low", thinking("gemini-4-argon", "minimal").thinkingLevel)
    assert.equal("minimal", thinking("gemini-3.5-flash", "minimal").thinkingLevel)
    local _, problem = thinking("gemini-3.5-flash", "none")
    assert.matches("reasoning_effort", problem)
  end)

  it("maps tool choices, schemas and what is left out", function()
    local schema = { type = "object", properties = { a = { type = "string" } } }
    local body = encode { tool_choice = { name = "f" }, response_schema = schema, temperature = 0.7,
      defaulted = { temperature = true }, tools = { { name = "f", parameters = {
        type = "object", properties = {} } } } }
    assert.same({ mode = "ANY", allowedFunctionNames = { "f" } },
      body.toolConfig.functionCallingConfig)
    assert.same({ responseMimeType = "application/json", responseJsonSchema = schema },
      body.generationConfig)
    assert.same({ name = "f" }, body.tools[1].functionDeclarations[1])
    assert.equal("ANY", encode { tool_choice = "required" }.toolConfig.functionCallingConfig.mode)
    for name, value in pairs { logit_bias = {}, parallel_tool_calls = false, user = "u" } do
      local _, problem = encode { [name] = value }
      assert.matches(name, problem)
    end
  end)

  it("puts the system's text first where a model knows no system", function()
    local body = encode { model = "gemma-4", messages = {
      { role = "system", content = "Be brief." }, { role = "user", content = "Hi" } } }
    assert.is_nil(body.systemInstruction)
    assert.same({ { text = "Be brief." }, { text = "Hi" } }, body.contents[1].parts)
  end)
end)

describe("gemini signatures", function()
  local events = {
    parts { { text = "Hm.", thought = true } }, parts { { text = "One " } },
    parts { { text = "two.", thoughtSignature = "c2ln" } }, parts { { text = " Three." } },
    parts { { functionCall = { name = "f", args = { a = 1 } }, thoughtSignature = "Y2Fs" },
      { functionCall = { name = "g" } } },
    parts({ { text = "", thoughtSignature = "ZW5k" } }, "STOP"),
  }
  local wanted = {
    { text = "One " }, { text = "two.", thoughtSignature = "c2ln" }, { text = " Three." },
    { text = "", thoughtSignature = "ZW5k" },
    { functionCall = { name = "f", args = { a = 1 } }, thoughtSignature = "Y2Fs" },
    { functionCall = { name = "g", args = {} } },
  }

  local function sent(message, model)
    message = assert(json.decode(json.encode(message)))
    return encode { model = model, messages = { message,
      { role = "tool", tool_call_id = "call_1", content = "1" },
      { role = "tool", tool_call_id = "call_2", content = "two" } } }.contents
  end

  it("go back on the parts they came on; invented ids do not", function()
    for _, skimmed in ipairs { false, true } do
      local response = play(events, skimmed).response
      assert.equal("One two. Three.", response.content)
      assert.equal("tool_calls", response.finish_reason)
      assert.equal("call_2", response.tool_calls[2].id)
      local contents = sent(response:message())
      assert.same(wanted, contents[1].parts)
      assert.same({ { functionResponse = { name = "f", response = { output = 1 } } },
        { functionResponse = { name = "g", response = { output = "two" } } } }, contents[2].parts)
    end
  end)

  it("stay behind when another model is asked, which is told so", function()
    local message = play(events).response:message()
    assert.same({ { text = "One two. Three." },
      { functionCall = { id = "call_1", name = "f", args = { a = 1 } },
        thoughtSignature = "skip_thought_signature_validator" },
      { functionCall = { id = "call_2", name = "g", args = {} } } },
      sent(message, "gemini-4-argon")[1].parts)
    assert.is_nil(sent(message, "gemini-2.5-pro")[1].parts[2].thoughtSignature)
  end)

  it("are left out of a text that was changed", function()
    local message = play(events).response:message()
    message.content = "Else."
    assert.same({ { text = "Else." }, wanted[5], wanted[6] }, sent(message)[1].parts)
  end)
end)

describe("gemini replies", function()
  it("of a blocked prompt say why", function()
    local response = play { { promptFeedback = { blockReason = "PROHIBITED_CONTENT" } } }.response
    assert.equal("content_filter", response.finish_reason)
    assert.equal("PROHIBITED_CONTENT", response.finish_reason_raw)
  end)

  it("carry media", function()
    local events = play { parts({ { inlineData = { mimeType = "image/png", data = "AQI=" } } },
      "STOP") }.events
    assert.same({ "media", { mime = "image/png", data = "\1\2" } }, events[1])
  end)

  it("say how long to wait in the body; a quota of the day is not waited for", function()
    local body = { error = { code = 429, status = "RESOURCE_EXHAUSTED", message = "Quota exceeded",
      details = { { violations = { { quotaId = "RequestsPerDayPerModel" } } },
        { retryDelay = "86000s" } } } }
    local recording = { status = 429, headers = { ["content-type"] = "application/json" } }
    local err = conformance.play(google(), recording, { json.encode(body) }).err
    assert.equal("rate_limit", err.kind)
    assert.equal(86000, err.retry_after)
    assert.is_false(err.retryable)
  end)
end)
