--- Amazon Bedrock's Converse.
local conformance = require "spec.support.conformance"
local core = require "llm.core"
local providers = require "llm.provider"

local json = core.json
local claude = "eu.anthropic.claude-sonnet-4-6-v1:0"

local function provider() return assert(providers.find "bedrock") end

conformance.describe("bedrock", provider)

local function encode(request)
  request.defaulted = request.defaulted or {}
  request.model = request.model or claude
  request.messages = request.messages or { { role = "user", content = "Hi" } }
  local wire, problem = provider().dialect.encode_request(request, provider())
  return wire and json.decode(json.encode(wire.body)), problem or wire.path
end

local function played(file, headers)
  return conformance.play(provider(), { status = 200, headers = headers or {} },
    { conformance.read("bedrock/" .. file) })
end

local weather = { name = "get_weather", description = "Current weather", parameters = {
  type = "object", properties = { city = { type = "string" } }, required = { "city" } } }

describe("bedrock_converse request", function()
  it("is the documented one, field by field", function()
    conformance.encodes(provider(), "bedrock/request_converse.json", {
      model = claude, max_tokens = 400, stop = "END", defaulted = {}, tools = { weather },
      tool_choice = "auto", stream = true,
      messages = {
        { role = "system", content = "Answer briefly.", cache_control = { type = "ephemeral" } },
        { role = "user", content = { { type = "text", text = "Weather in Porto?" },
          { type = "image", mime = "image/png", data = "\137PNG\r\n\26\n" } } },
        { role = "assistant", content = "", tool_calls = {
          { id = "tooluse_fxW1", name = "get_weather", arguments = "{\"city\":\"Porto\"}" } } },
        { role = "tool", tool_call_id = "tooluse_fxW1", content = "{\"temp_c\":19}" },
      },
    })
  end)

  it("has the model in its path, as one segment", function()
    local _, path = encode { stream = true }
    assert.equal("/model/eu.anthropic.claude-sonnet-4-6-v1%3A0/converse-stream", path)
    _, path = encode { model = "arn:aws:bedrock:eu-west-1:1:prompt/x", stream = false }
    assert.equal("/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aprompt%2Fx/converse", path)
    local body, problem = encode { model = ".." }
    assert.is_nil(body)
    assert.matches("path", problem)
  end)

  it("lets roles alternate and leaves blank text out", function()
    local body = encode { messages = {
      { role = "user", content = "One" }, { role = "user", content = "Two" },
      { role = "assistant", content = " ", tool_calls = {
        { id = "a", name = "f", arguments = "{}" }, { id = "b", name = "f", arguments = "{}" } } },
      { role = "tool", tool_call_id = "a", content = "1" },
      { role = "tool", tool_call_id = "b", content = "no", is_error = true },
      { role = "user", content = "Go on" },
    } }
    assert.same({
      { role = "user", content = { { text = "One" }, { text = "Two" } } },
      { role = "assistant", content = {
        { toolUse = { toolUseId = "a", name = "f", input = {} } },
        { toolUse = { toolUseId = "b", name = "f", input = {} } } } },
      { role = "user", content = {
        { toolResult = { toolUseId = "a", content = { { text = "1" } }, status = "success" } },
        { toolResult = { toolUseId = "b", content = { { text = "no" } }, status = "error" } },
        { text = "Go on" } } },
    }, body.messages)
  end)

  it("says effort as each model wants it", function()
    assert.same({ output_config = { effort = "low" }, thinking = { type = "adaptive" } },
      encode { reasoning_effort = "low" }.additionalModelRequestFields)
    assert.same({ reasoning_effort = "low" }, encode { model = "openai.gpt-oss-120b-1:0",
      reasoning_effort = "low" }.additionalModelRequestFields)
    local _, problem = encode { model = "meta.llama4", reasoning_effort = "low" }
    assert.matches("reasoning_effort", problem)
    _, problem = encode { model = "openai.gpt-5.6", stop = "END" }
    assert.matches("stop", problem)
    _, problem = encode { seed = 1 }
    assert.matches("seed", problem)
  end)

  it("cannot forbid tools: leaves them out, unless the history needs them", function()
    assert.is_nil(encode { tools = { weather }, tool_choice = "none" }.toolConfig)
    local body = encode { tools = { weather }, tool_choice = "none", messages = {
      { role = "user", content = "Go" },
      { role = "assistant", tool_calls = { { id = "a", name = "f", arguments = "{}" } } },
      { role = "tool", tool_call_id = "a", content = "1" } } }
    assert.is_nil(body.toolConfig.toolChoice)
    assert.equal(1, #body.toolConfig.tools)
    assert.same({ tool = { name = "f" } },
      encode { tools = { weather }, tool_choice = { name = "f" } }.toolConfig.toolChoice)
  end)

  it("sends documents under a name that is allowed, and no addresses", function()
    local body = encode { messages = { { role = "user", content = {
      { type = "text", text = "Read" },
      { type = "file", mime = "application/pdf", data = "abc", name = "my_file.pdf" } } } } }
    assert.same({ format = "pdf", name = "my-file-pdf", source = { bytes = "YWJj" } },
      body.messages[1].content[2].document)
    local _, problem = encode { messages = { { role = "user", content = {
      { type = "image", url = "https://example.org/a.png" } } } } }
    assert.matches("image", problem)
  end)

  it("merges extra and writes the schema as text", function()
    local body = encode { max_tokens = 9, response_schema = weather.parameters,
      extra = { inferenceConfig = { topP = 0.5 } } }
    assert.same({ maxTokens = 9, topP = 0.5 }, body.inferenceConfig)
    local format = body.outputConfig.textFormat
    assert.same(weather.parameters, json.decode(format.structure.jsonSchema.schema))
  end)
end)

describe("bedrock_converse tool loop", function()
  it("sends back the blocks of an answer with reasoning, signature and all", function()
    for file, signature in pairs { ["stream_thinking_tools.bin"] = "EqfxSIG0021==",
      ["converse_tool_use.json"] = "EqfxSIG0020==" } do
      local answer = played(file, { ["content-type"] = file:find("json") and "application/json" })
      local body = encode { messages = { { role = "user", content = "?" },
        answer.response:message(),
        { role = "tool", tool_call_id = "tooluse_fxW1", content = "19" } } }
      local blocks = body.messages[2].content
      assert.same({ reasoningText = { text = "Need weather.", signature = signature } },
        blocks[1].reasoningContent)
      assert.same({ toolUseId = "tooluse_fxW1", name = "get_weather", input = { city = "Porto" } },
        blocks[#blocks].toolUse)
    end
  end)

  it("builds the message of an answer without reasoning from its text", function()
    local answer = played "stream_text.bin"
    assert.is_nil(answer.response.opaque)
    local body = encode { messages = { { role = "user", content = "?" },
      answer.response:message(), { role = "user", content = "And?" } } }
    assert.same({ { text = "Hello, w\195\182rld \226\152\128!" } }, body.messages[2].content)
  end)
end)

describe("bedrock_converse reply", function()
  local function body(usage)
    return conformance.play(provider(),
      { status = 200, headers = { ["content-type"] = "application/json" } },
      { json.encode { output = { message = { role = "assistant", content = { { text = "x" } } } },
        stopReason = "guardrail_intervened", usage = usage } })
  end

  it("counts what the cache took and gave as input", function()
    local response = body { inputTokens = 10, outputTokens = 3, cacheReadInputTokens = 100,
      cacheWriteInputTokens = 50, cacheDetails = { { ttl = "1h", inputTokens = 20 } } }.response
    assert.equal(160, response.prompt_tokens)
    assert.equal(100, response.usage.cached_tokens)
    assert.equal(50, response.usage.cache_write_tokens)
    assert.equal("content_filter", response.finish_reason)
  end)

  it("tells what kind of error it is by the header", function()
    for name, kind in pairs { ["ExpiredTokenException"] = "authentication",
      ["com.amazon.coral#AccessDeniedException:http://x"] = "permission" } do
      local got = conformance.play(provider(), { status = 403,
        headers = { ["x-amzn-errortype"] = name, ["content-type"] = "application/json" } },
        { '{"Message":"No."}' })
      assert.equal(kind, got.err.kind)
      assert.equal("No.", got.err.message)
    end
  end)
end)
