--- Ollama's own API.
local conformance = require "spec.support.conformance"
local core = require "llm.core"
local providers = require "llm.provider"

local json = core.json

local function ollama() return assert(providers.find "ollama") end

conformance.describe("ollama", ollama)

local function encode(request)
  request.defaulted = request.defaulted or {}
  request.model = request.model or "qwen3:8b"
  request.messages = request.messages or { { role = "user", content = "Hi" } }
  local wire, problem = ollama().dialect.encode_request(request, ollama())
  return wire and json.decode(json.encode(wire.body)), problem
end

describe("ollama request", function()
  it("has every part in its place", function()
    assert.same({
      model = "qwen3:8b", stream = true, think = "low", format = { type = "object" },
      keep_alive = "10m",
      messages = {
        { role = "system", content = "Be brief." },
        { role = "user", content = "What\nis it?", images = { "AQI=" } },
        { role = "assistant", content = "", tool_calls = {
          { id = "call_1", ["function"] = { name = "f", arguments = { a = 1 } } } } },
        { role = "tool", content = "2", tool_call_id = "call_1", tool_name = "f" },
      },
      tools = { { type = "function", ["function"] = { name = "f" } } },
      options = { num_predict = 9, temperature = 0.5, seed = 7, stop = { "END" }, num_ctx = 4096 },
    }, encode {
      stream = true, reasoning_effort = "low", response_schema = { type = "object" },
      max_tokens = 9, temperature = 0.5, seed = 7, stop = "END", tool_choice = "auto",
      tools = { { name = "f" } }, extra = { keep_alive = "10m", options = { num_ctx = 4096 } },
      messages = {
        { role = "system", content = "Be brief." },
        { role = "user", content = { { type = "text", text = "What" },
          { type = "image", mime = "image/png", data = "\1\2" },
          { type = "text", text = "is it?" } } },
        { role = "assistant", tool_calls = {
          { id = "call_1", name = "f", arguments = "{\"a\":1}" } } },
        { role = "tool", tool_call_id = "call_1", content = "2" },
      },
    })
  end)

  it("is always the same bytes, and its empty tables are objects", function()
    local wire = ollama().dialect.encode_request({ model = "m", defaulted = {}, messages = {
      { role = "user", content = "Hi" } } }, ollama())
    assert.equal('{"messages":[{"content":"Hi","role":"user"}],"model":"m","options":{},' ..
      '"stream":false}', json.encode(wire.body))
  end)

  it("names what Ollama cannot do", function()
    for name, value in pairs { tool_choice = "required", logit_bias = {}, user = "u" } do
      local _, problem = encode { [name] = value }
      assert.matches(name, problem)
    end
    local _, problem = encode { messages = { { role = "user", content = {
      { type = "image", url = "https://example.org/a.png" } } } } }
    assert.matches("image by url", problem)
    assert.is_nil(encode { tool_choice = "none", tools = { { name = "f" } } }.tools)
    assert.is_false(encode { reasoning_effort = "none" }.think)
  end)
end)

describe("ollama reply", function()
  it("may fail in the midst of its lines", function()
    local lines = { { model = "m", done = false, message = { role = "assistant", content = "a" } },
      { error = "an error was encountered while running the model" } }
    local bytes = json.encode(lines[1]) .. "\n" .. json.encode(lines[2]) .. "\n"
    local recording = { status = 200, headers = { ["content-type"] = "application/x-ndjson" } }
    local played = conformance.play(ollama(), recording, { bytes })
    assert.equal("provider_unavailable", played.err.kind)
    assert.equal("a", played.response.content)
  end)

  it("numbers the calls that have no id", function()
    local function line(name)
      return json.encode { done = name == nil, message = { role = "assistant", content = "",
        tool_calls = name and { { ["function"] = { name = name, arguments = {} } } } } } .. "\n"
    end
    local recording = { status = 200, headers = { ["content-type"] = "application/x-ndjson" } }
    local played = conformance.play(ollama(), recording, { line "f", line "g", line() })
    assert.is_true(played.is_closed)
    local response = played.response
    assert.same({ { id = "call_1", name = "f", arguments = "{}" },
      { id = "call_2", name = "g", arguments = "{}" } }, response.tool_calls)
    assert.equal("tool_calls", response.finish_reason)
  end)
end)
