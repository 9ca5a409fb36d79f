-- Framers as Lua sees them; the cases of other implementations if they lie beside the repository.
local cjson = require "cjson"
local base64 = require "spec.support.base64"
local core = require "llm.core"

local CASES = "../shared/cases/sse_cases.jsonl"

local function drain(framer, frames)
  local frame, message = framer:next()
  while frame do
    frames[#frames + 1] = frame
    frame, message = framer:next()
  end
  return message
end

-- The frames of all chunks, each drained before the next is fed, and the one that finish gives.
local function frames_of(kind, chunks)
  local framer, frames = core.framer.new(kind), {}
  for _, chunk in ipairs(chunks) do
    assert.is_true(framer:feed(chunk))
    assert.is_nil(drain(framer, frames))
  end
  local last = framer:finish()
  framer:close()
  return frames, last
end

local function bytes_of(text)
  local bytes = {}
  for i = 1, #text do bytes[i] = text:sub(i, i) end
  return bytes
end

describe("framer", function()
  it("cuts an event stream", function()
    local frames, last = frames_of("sse", { "event: a\nid: 1\ndata: x\ndata: y\n\nda", "ta: z" })
    assert.same({ { event = "a", data = "x\ny", id = "1" } }, frames)
    assert.same({ event = "message", data = "z", id = "1" }, last)
  end)

  it("cuts lines of JSON", function()
    local frames, last = frames_of("ndjson", { '{"a":1}\r\n\n{"b"', ":2}\n[]" })
    assert.same({
      { event = "message", data = '{"a":1}', id = "" },
      { event = "message", data = '{"b":2}', id = "" },
    }, frames)
    assert.same({ event = "message", data = "[]", id = "" }, last)
  end)

  it("gives a body at its end", function()
    local frames, last = frames_of("json", { "{", "}" })
    assert.same({}, frames)
    assert.same({ event = "body", data = "{}", id = "" }, last)
    assert.is_nil(select(2, frames_of("json", {})))
  end)

  it("takes several feeds before next", function()
    local framer, frames = core.framer.new("sse"), {}
    for _, byte in ipairs(bytes_of("data: a\n\ndata: b\n\ndata: c\n\n")) do framer:feed(byte) end
    assert.equal("a", framer:next().data)
    framer:feed("data: d\n\n")
    drain(framer, frames)
    assert.equal(3, #frames)
    assert.equal("d", frames[3].data)
  end)

  it("replaces invalid UTF-8", function()
    local chunks = { "event: \255\nid: \226\130\ndata: a\240\159", "\152\128\192\n\n" }
    local frames = frames_of("sse", chunks)
    assert.same({
      { event = "\239\191\189", id = "\239\191\189", data = "a\240\159\152\128\239\191\189" },
    }, frames)
  end)

  it("says when a frame is too large", function()
    local framer = core.framer.new("sse", 4)
    framer:feed("data: 1234\n\ndata: 12345\n\n")
    assert.equal("1234", framer:next().data)
    for _ = 1, 2 do
      assert.same({ nil, "an event of more than 4 bytes" }, { framer:next() })
    end
  end)

  it("raises on misuse", function()
    assert.error_matches(function() core.framer.new("xml") end, "unknown framing 'xml'")
    assert.error_matches(function() core.framer.new("sse", 0) end, "number of bytes expected")
    assert.error(function() core.framer.new() end)
    local framer = core.framer.new("sse")
    assert.error(function() framer:feed({}) end)
    framer:feed("data: a\n\n")
    assert.error_matches(function() framer:finish() end, "after next has returned nil")
    framer:close()
    framer:close()
    for _, name in ipairs({ "feed", "next", "finish" }) do
      assert.error_matches(function() framer[name](framer, "") end, "closed")
    end
  end)

  -- A finalizer that closed the framer while next made strings out of its frame read freed memory.
  it("is closed for finalizers that run inside next", function()
    local framer, ran = nil, 0
    local function finalize()
      ran = ran + 1
      pcall(framer.next, framer)
      pcall(framer.close, framer)
    end
    local newproxy = rawget(_G, "newproxy")
    local function litter()
      if newproxy then
        getmetatable(newproxy(true)).__gc = finalize
      else
        setmetatable({}, { __gc = finalize })
      end
    end
    local long = ("x"):rep(5000)
    local event = ("event: %s\nid: %s\ndata: %s\n\n"):format(long, long, long)
    local pause = collectgarbage("setpause", 1)
    for _ = 1, 500 do
      framer = core.framer.new("sse")
      litter()
      local fed, frame = pcall(framer.feed, framer, event)
      if fed then fed, frame = pcall(framer.next, framer) end
      if fed and frame then assert.same({ event = long, id = long, data = long }, frame) end
    end
    collectgarbage("setpause", pause)
    collectgarbage()
    assert.is_true(ran > 0)
  end)
end)

describe("event stream case", function()
  local file = io.open(CASES, "rb")
  if not file then
    print(CASES .. " is not there: the cases of other implementations were left out")
    return
  end
  for line in file:lines() do
    local case = cjson.decode(line)
    it(case.name, function()
      local chunks = {}
      for i, chunk in ipairs(case.chunks) do chunks[i] = base64.decode(chunk) end
      local text = table.concat(chunks)
      assert.same(case.expect, (frames_of("sse", chunks)))
      assert.same(case.expect, (frames_of("sse", bytes_of(text))))
      for i = 0, #text do
        assert.same(case.expect, (frames_of("sse", { text:sub(1, i), text:sub(i + 1) })))
      end
    end)
  end
  file:close()
end)
