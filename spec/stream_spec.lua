-- Streams: a reply as an iterator, left at any point.
local core = require "llm.core"
local faults = require "spec.support.faults"
local llm = require "llm"
local settled = require "spec.support.settled"

describe("llm.stream", function()
  local clock = core.loop.clock
  local server, mock, client

  setup(function() server = faults.start() end)
  teardown(function() server.stop() end)

  before_each(function() server.reset() end)

  after_each(function()
    if client then client:close() end
    if mock then mock:close() end
    client, mock = nil, nil
    assert.equal(0, settled())
  end)

  local function start(answer)
    mock = llm.mock(answer)
    client = llm.client { provider = mock.provider, retry = false }
    return client
  end

  local function against(fault)
    client = llm.client { base_url = server.url(fault), retry = false }
    return client
  end

  local function abandoned(fault)
    local deadline = clock() + 1
    while server.open(fault) > 0 and clock() < deadline do llm.loop.step(0.01) end
    return server.open(fault) == 0
  end

  describe("of text", function()
    it("yields the text as it comes, and all of it in the response", function()
      start { text = "one two three", pace = 0.002 }
      local texts, next_text, stream = {}, client:stream_text("Hi")
      assert.is_nil(stream:response())
      for text in next_text, stream do
        texts[#texts + 1] = text
        assert.equal(table.concat(texts), stream:response().content)
      end
      assert.is_true(#texts > 1)
      local response = stream:response()
      assert.equal("one two three", response.content)
      assert.equal("stop", response.finish_reason)
      assert.is_true(response.tokens_used > 0)
      assert.is_nil(next_text(stream), "the end stays the end")
    end)

    it("sends nothing before the first text is asked for", function()
      start { text = "Hi" }
      local _, stream = client:stream_text("Hi")
      llm.sleep(0.005)
      assert.equal(0, mock.count)
      stream:close()
      assert.equal(0, mock.count)
    end)

    it("checks what it is given at once", function()
      start { text = "Hi" }
      assert.has_error(function() client:stream_text("") end)
      assert.has_error(function() client:stream_text("Hi", { temprature = 1 }) end)
    end)

    it("raises the error that ended it, with what had come, and once", function()
      against "reset-after-first-event"
      local texts, next_text, stream = {}, client:stream_text("Hi")
      local ok, err = pcall(function()
        for text in next_text, stream do texts[#texts + 1] = text end
      end)
      assert.is_false(ok)
      assert.same({ "Hello" }, texts)
      assert.equal("truncated", err.kind)
      assert.equal("Hello", err.partial.content)
      assert.is_nil(next_text(stream))
    end)

    it("raises what came instead of a first text, and stays closed", function()
      start { status = 401 }
      local next_text, stream = client:stream_text("Hi")
      local ok, err = pcall(next_text, stream)
      assert.is_false(ok)
      assert.equal("authentication", err.kind)
      ok, err = pcall(next_text, stream)
      assert.is_false(ok)
      assert.equal("this stream is closed", err)
      assert.equal(1, mock.count)
    end)

    it("reads several at once, each its own", function()
      start { function(request)
        return { text = request.messages[1].content:rep(3, " "), pace = 0.001 }
      end }
      local results = llm.map({ "a", "b", "c", "d" }, function(question)
        local texts = {}
        for text in client:stream_text(question) do texts[#texts + 1] = text end
        return table.concat(texts)
      end)
      assert.same({ "a a a", "b b b", "c c c", "d d d", n = 4 }, results)
    end)
  end)

  describe("left early", function()
    it("cancels at once with close, and ends", function()
      against "endless-text"
      local next_text, stream = client:stream_text("Hi")
      assert.equal("Hello", next_text(stream))
      assert.equal(1, server.open("endless-text"))
      stream:close()
      stream:close()
      assert.equal(0, llm.live())
      assert.is_true(abandoned("endless-text"))
      assert.is_nil(next_text(stream))
      assert.equal(1, server.count("endless-text"))
      local response = stream:response()
      assert.matches("^Hello", response.content)
      assert.is_true(response.usage.estimated, "what was cut off was still paid for")
    end)

    it("cancels when it is left by break: at once on 5.4, elsewhere with the garbage", function()
      against "endless-text"
      for text in client:stream_text("Hi") do
        if text == "Hello" then break end
      end
      if _VERSION ~= "Lua 5.4" then
        collectgarbage()
        collectgarbage()
      end
      assert.equal(0, llm.live())
      assert.is_true(abandoned("endless-text"))
    end)

    it("cancels when it is left by an error", function()
      against "endless-text"
      pcall(function()
        for _ in client:stream_text("Hi") do error("enough") end
      end)
      collectgarbage()
      collectgarbage()
      assert.equal(0, llm.live())
      assert.is_true(abandoned("endless-text"))
    end)

    it("cancels with the task that reads it", function()
      against "endless-text"
      local seen = 0
      local task = llm.spawn(function()
        for _ in client:stream_text("Hi") do seen = seen + 1 end
      end)
      while seen == 0 do llm.loop.step(0.01) end
      task:cancel()
      pcall(task.join, task)
      assert.equal(0, settled())
      assert.is_true(abandoned("endless-text"))
    end)
  end)

  describe("of events", function()
    it("yields each with its type", function()
      start { reasoning = "Hm.", text = "Hello", tool_calls = {
        { id = "call_1", name = "add", arguments = '{"a":1}' } } }
      local seen = {}
      local texts, arguments, finish = {}, {}, nil
      for event in client:stream_events("Hi") do
        seen[event.type] = (seen[event.type] or 0) + 1
        if event.type == "text" then texts[#texts + 1] = event.text end
        if event.type == "tool_call" then
          assert.equal(1, event.index)
          assert.equal("add", event.name)
          assert.equal("call_1", event.id)
        end
        if event.type == "tool_arguments" then arguments[#arguments + 1] = event.text end
        if event.type == "finish" then finish = event.reason end
        if event.type == "reasoning" then assert.equal("Hm.", event.text) end
      end
      assert.equal("Hello", table.concat(texts))
      assert.equal('{"a":1}', table.concat(arguments))
      assert.equal("tool_calls", finish)
      assert.is_truthy(seen.reasoning and seen.tool_call and seen.finish)
    end)

    it("yields the same for a plain answer", function()
      start { text = "Hello" }
      local types = {}
      for event in client:stream_events("Hi", { stream = false }) do
        types[#types + 1] = event.type .. "=" .. (event.text or event.reason)
      end
      assert.same({ "text=Hello", "finish=stop" }, types)
    end)
  end)
end)
