-- The conformance kit: our own adapters pass it, and each way to break one is found.
local core = require "llm.core"
local llm = require "llm"

local json = core.json

local folders = {
  anthropic = "anthropic", azure_openai = "azure", bedrock = "bedrock", gemini = "google",
  ollama = "ollama", openai_chat = "openai", openai_responses = "openai_responses",
  vertex = "vertex",
}

local function run(spec, folder)
  local lines = {}
  local passed, failed = llm.conformance.run(spec, folder, function(line)
    lines[#lines + 1] = line
  end)
  return passed, failed, table.concat(lines, "\n")
end

describe("the kit passes", function()
  for folder, name in pairs(folders) do
    it(name .. " over " .. folder, function()
      local passed, failed, lines = run(name, "spec/fixtures/" .. folder)
      assert.equal("", lines)
      assert.equal(0, failed)
      assert.is_true(passed > 5)
      assert.equal(0, llm.live())
    end)
  end
end)

describe("the kit finds an adapter that", function()
  local folder

  local function write(name, bytes)
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(bytes)
    file:close()
    return folder .. "/" .. name
  end

  local function sse(...)
    local lines = {}
    for i, event in ipairs { ... } do lines[i] = "data: " .. json.encode(event) .. "\n\n" end
    return table.concat(lines)
  end

  local stream = sse({ text = "Hel" }, { text = "lo" }, { call = "f", arguments = "{\"a\":1}" },
    { done = "stop", input = 5, cached = 2, output = 7 })
  local body = json.encode { text = "Hello", call = "f", arguments = "{\"a\":1}", done = "stop",
    input = 5, cached = 2, output = 7 }
  local calls = { { name = "f", arguments = { a = 1 }, id = "c1" } }

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(core.system.mkdir(folder))
    write("stream.sse", stream)
    write("plain.json", body)
    write("error.json", json.encode { error = { message = "slow down" } })
    write("cut.sse", sse { text = "Hel" })
    local expect = { text = "Hello", input_tokens = 5, cached_tokens = 2, tool_calls = calls }
    write("manifest.json", json.encode { fixtures = {
      { file = "plain.json", kind = "ok", expect = expect,
        headers = { ["content-type"] = "application/json" } },
      { file = "stream.sse", kind = "stream", expect = expect, same_as = "plain.json" },
      { file = "cut.sse", kind = "stream_interrupted", expect = { partial_text = "Hel" } },
      { file = "error.json", kind = "error", status = 429, expect = { error = "rate_limit" } },
    } })
  end)

  teardown(function()
    for _, name in ipairs { "stream.sse", "plain.json", "error.json", "cut.sse", "manifest.json",
      "adapter.lua" } do
      os.remove(folder .. "/" .. name)
    end
    os.remove(folder)
  end)

  -- A good adapter of the invented protocol; what stands in place of the marks breaks it.
  local good = [[
    local seen = 0 --TOP
    return {
      api = 1, name = "invented", base_url = "https://invented.example", frame = "sse",
      encode_request = function(request) --ENCODE
        return { path = "/ask", body = { messages = request.messages, top = request.temperature } }
      end,
      decode_event = function(event, reply) --DECODE
        local data = event.json
        if not data then return end
        if data.text then reply:text(data.text) end
        if data.call then
          reply:tool_call(1, "c1", data.call)
          reply:tool_arguments(1, data.arguments)
        end
        if data.done then
          reply:usage { input_tokens = data.input, cached_tokens = data.cached,
            output_tokens = data.output }
          reply:finish("stop", data.done)
          reply:complete()
        end
        seen = seen + 1 --END
      end,
    }]]

  local function broken(mark, code)
    local text = good:gsub("%-%-" .. mark, function() return "\n" .. code end)
    local path = write("adapter.lua", text)
    -- A path is loaded once, so each adapter is given as its table.
    local passed, failed, lines = run(assert(loadfile(path))(), folder)
    return failed, lines, passed
  end

  it("is good: nothing", function()
    local failed, lines = broken("NONE", "")
    assert.equal("", lines)
    assert.equal(0, failed)
  end)

  local faults = {
    { "opens files", "DECODE", "io.open('x')", "does no I/O: the adapter uses io.open" },
    { "reads the clock", "DECODE", "os.time()", "does no I/O: .*os.time" },
    { "reads the environment when it encodes", "ENCODE", "os.getenv('HOME')", "os.getenv" },
    { "looks into its callers", "DECODE", "debug.getinfo(1)", "debug.getinfo" },
    { "requires other libraries", "DECODE", "require 'socket'", "requires \"socket\"" },
    { "asks on its own", "DECODE", "require 'llm.client'", "requires \"llm.client\"" },
    { "keeps state of its own", "DECODE", "if seen > 9 then return end seen = seen + 1",
      "reads the same at every split: cut in two" },
    { "does not wait for the end", "DECODE", "reply:finish('stop')",
      "is never short without an error: ended after byte" },
    { "takes a cut for an end", "DECODE", "reply:finish('stop')",
      "cut.sse reads as the manifest says: error: expected \"truncated\", got nothing" },
    { "reads streams and bodies differently", "DECODE",
      "if event.type == 'body' then reply:reasoning('x') end", "reads as the plain body does" },
    { "loses text", "DECODE", "if (event.json or {}).text == 'lo' then return end",
      "text: expected \"Hello\", got \"Hel\"" },
    { "writes arguments that are no JSON", "DECODE",
      "if (event.json or {}).arguments then event.json.arguments = '{a' end",
      "tool call 1: expected JSON" },
    { "counts more from the cache than there is", "DECODE",
      "if (event.json or {}).cached then event.json.cached = 6 end", "cached tokens: at most" },
    { "fails good replies", "DECODE", "reply:fail('protocol', 'no')", "error: expected nothing" },
    { "raises", "DECODE", "local x = event.json.nothing.there", "nothing" },
    { "encodes in no order", "ENCODE",
      "local s = '' for k in pairs(request) do s = s .. k end request.temperature = s",
      "requests are the same bytes in 1000 builds: bytes: expected" },
    { "encodes by chance", "ENCODE", "request.temperature = math.random()", "the same bytes" },
    { "refuses everything", "ENCODE", "do return nil, 'no messages' end",
      "a plain question is refused: no messages" },
  }
  for _, fault in ipairs(faults) do
    it(fault[1], function()
      local failed, lines = broken(fault[2], fault[3])
      assert.is_true(failed > 0)
      assert.matches(fault[4], lines)
    end)
  end

  it("names kinds of errors of its own", function()
    local failed, lines = broken("DECODE", "end, failure = function() return 'quota', 'x' end, " ..
      "other = function() end, decode_event = function(event, reply)")
    assert.equal(1, failed)
    assert.matches("unknown option \"other\"", lines)
    failed, lines = broken("DECODE", "end, failure = function() return 'quota', 'x' end, " ..
      "decode_event = function(event, reply)")
    assert.equal(1, failed)
    assert.matches("error.json .* expected \"rate_limit\", got \"quota\"", lines)
  end)

  it("opens files when it is loaded", function()
    local path = write("adapter.lua", good:gsub("%-%-TOP", "; io.open('x')"))
    local passed, failed, lines = run(path, folder)
    assert.equal(0, passed)
    assert.equal(1, failed)
    assert.matches("loads without I/O: .*io.open", lines)
  end)

  it("has no manifest, or a wrong one", function()
    assert.is_false((pcall(run, "openai", "spec/fixtures")))
  end)

  it("is not left under the guard", function()
    assert.is_function(io.open)
    assert.is_nil((io.open "/nowhere"))
    assert.is_number(os.time())
  end)
end)
