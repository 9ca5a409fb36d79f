-- Replies: pulled event by event or folded; what is recorded, and what is never said twice.
-- The transfer is a stand-in here, so that each step is in the hands of the spec.
local llm = require "llm"
local reply = require "llm.reply"

describe("llm.reply", function()
  after_each(function() assert.equal(0, llm.live()) end)

  -- A transfer that gives these items; nothing is waited for.
  local function transfer_of(items, status)
    local at = 0
    local transfer = { touched = 0, closed = 0 }
    function transfer.next()
      at = at + 1
      local item = items[at] or { "end" }
      return item[1], item[2], item[3]
    end
    function transfer.status() return status or 200 end
    function transfer.headers() return "X-Request-Id: req_1\r\n" end
    function transfer.header() return "text/event-stream" end
    function transfer.phase() return "stream" end
    function transfer.sent() return true end
    function transfer.touch() transfer.touched = transfer.touched + 1 end
    function transfer.expect_end() transfer.expected = true end
    function transfer.close() transfer.closed = transfer.closed + 1 end
    return transfer
  end

  -- A dialect whose events are calls: {"text", "Hi"} is reply:text("Hi").
  local dialect = { decode_event = function(event, answer)
    local call = event.json
    answer[call[1]](answer, call[2], call[3], call[4])
  end }

  local settled

  local function new(items, status)
    settled = 0
    local request = { model = "m", messages = { { role = "user", content = "Hi" } }, call = {
      provider = { name = "test", base_url = "http://127.0.0.1" }, attempts = 1,
      client = { replies = {},
        cost = function() return nil end,
        estimate_usage = function() return { input_tokens = 1, output_tokens = 1,
          estimated = true } end,
      },
    } }
    local transfer = transfer_of(items, status)
    local made = reply.new(transfer, 1, dialect, request)
    made:finally(function() settled = settled + 1 end)
    return made, transfer
  end

  local function event(...) return { "event", llm.json.encode { ... }, "message" } end

  it("folds what came into one response", function()
    local answer, transfer = new { event("model", "m-1"), event("reasoning", "Hm."),
      event("text", "Hello, "), { "text", "wor" }, event("text", "ld"),
      event("tool_call", 2, "b", "sub"), event("tool_call", 1, "a", "add"),
      event("tool_arguments", 1, '{"x"'), event("tool_arguments", 1, ":1}"),
      event("usage", { input_tokens = 5 }),
      event("usage", { output_tokens = 7, cached_tokens = 2 }),
      event("finish", "tool_calls", "tool_use"), event("complete") }
    local response = assert(answer:fold())
    assert.equal("Hello, world", response.content)
    assert.equal("Hm.", response.reasoning)
    assert.equal("m-1", response.model)
    assert.equal("tool_calls", response.finish_reason)
    assert.equal("tool_use", response.finish_reason_raw)
    assert.same({ { id = "a", name = "add", arguments = '{"x":1}' },
      { id = "b", name = "sub", arguments = "{}" } }, response.tool_calls)
    assert.same({ 5, 7, 12, 2 }, { response.prompt_tokens, response.completion_tokens,
      response.tokens_used, response.usage.cached_tokens })
    assert.equal("req_1", response.request_id)
    assert.is_true(transfer.expected)
    assert.same({ 1, 1 }, { transfer.closed, settled })
  end)

  it("hands out events one by one, in order", function()
    local answer = new { event("text", "a"), event("text", ""), event("refusal", "no"),
      { "text", "b" }, event("finish", "stop"), event("complete") }
    local seen = {}
    for kind, value in answer.next, answer do seen[#seen + 1] = kind .. "=" .. tostring(value) end
    assert.same({ "text=a", "refusal=no", "text=b", "finish=stop" }, seen)
    assert.is_nil(answer:next())
  end)

  it("measures time on content: what shows nothing does not reset it", function()
    local answer, transfer = new { event("model", "m"), event("usage", {}), event("text", ""),
      event("text", "a"), event("reasoning", "b"), event("finish", "stop"), event("complete") }
    answer:fold()
    assert.equal(2, transfer.touched)
  end)

  it("is truncated without its terminal event, and keeps what came", function()
    local answer = new { event("text", "Half") }
    local response, err = answer:fold()
    assert.is_nil(response)
    assert.equal("truncated", err.kind)
    assert.equal("Half", err.partial.content)
    assert.is_true(err.partial.usage.estimated)
    assert.equal("test", err.provider)
    assert.equal("req_1", err.request_id)
  end)

  it("is no protocol's answer when nothing came at all", function()
    local _, err = new({}):fold()
    assert.equal("protocol", err.kind)
    assert.matches("the reply is empty", err.message)
    _, err = new({ { "event", "<html>", "body" } }):fold()
    assert.equal("protocol", err.kind)
    _, err = new({ { "event", "{broken", "message" } }):fold()
    assert.matches("not JSON", err.message)
  end)

  it("raises its error once, after the content that came before it", function()
    local answer = new { event("text", "Half"), { "error", "network", "reset" } }
    assert.same({ "text", "Half" }, { answer:next() })
    local ok, err = pcall(answer.next, answer)
    assert.is_false(ok)
    assert.equal("network", err.kind)
    assert.equal("stream", err.phase)
    assert.is_true(err.maybe_billed)
    assert.equal("Half", err.partial.content)
    assert.is_nil(answer:next())
  end)

  it("opens with content, or with the error that came instead", function()
    local answer = new { event("model", "m"), { "text", "a" }, event("finish", "stop") }
    assert.equal(answer, answer:open())
    assert.same({ "text", "a" }, { answer:next() })
    local failed, err = new({ event("fail", "provider_unavailable", "overloaded") }):open()
    assert.is_nil(failed)
    assert.equal("provider_unavailable", err.kind)
    assert.equal(1, settled)
  end)

  it("does not fail after its terminal event", function()
    local answer = new { event("text", "a"), event("finish", "stop"), event("complete"),
      { "error", "network", "reset" } }
    assert.equal("a", assert(answer:fold()).content)
  end)

  it("ends with close, silently; with cancel, by an error for its reader", function()
    local answer, transfer = new { event("text", "a"), event("text", "b") }
    answer:next()
    answer:close()
    answer:close()
    assert.is_nil(answer:next())
    assert.same({ 1, 1 }, { transfer.closed, settled })
    answer = new { event("text", "a"), event("text", "b") }
    answer:next()
    answer:cancel()
    local ok, err = pcall(answer.next, answer)
    assert.is_false(ok)
    assert.equal("cancelled", err.kind)
    assert.equal("a", err.partial.content)
  end)

  it("takes no count for a count that makes no sense", function()
    local usage = { input_tokens = -1, output_tokens = 0 / 0, cached_tokens = 2 ^ 60,
      reasoning_tokens = 3 }
    local answer = new { event("text", "a"), event("finish", "stop") }
    answer:usage(usage)
    assert.same({ reasoning_tokens = 3 }, answer.counts)
  end)

  it("refuses a tool call at a place that is none", function()
    for _, index in ipairs { 0, -1, 1.5, 5000, "x" } do
      local _, err = new({ event("tool_call", index, "id", "name") }):fold()
      assert.equal("protocol", err.kind)
    end
  end)
end)
