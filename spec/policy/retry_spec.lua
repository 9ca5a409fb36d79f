-- Retry: what may be asked again, when, and how often.
local core = require "llm.core"
local llm = require "llm"
local errors = require "llm.error"
local retry = require "llm.policy.retry"
local task = require "llm.task"
local time = require "llm.time"

-- Cases of other implementations; they lie beside the project, not in it.
local function read_cases(name)
  local file = io.open("../shared/cases/" .. name .. ".jsonl")
  if not file then
    print("../shared/cases/" .. name .. ".jsonl is not there: its cases are not run")
    return {}
  end
  local cases = {}
  for line in file:lines() do cases[#cases + 1] = assert(core.json.decode(line)) end
  file:close()
  return cases
end

describe("llm.policy.retry", function()
  after_each(function()
    llm.log.configure("warn")
    collectgarbage()
    assert.equal(0, llm.live())
  end)

  describe("delay", function()
    it("doubles from half a second to eight, less up to a quarter", function()
      for attempt, longest in ipairs { 0.5, 1, 2, 4, 8, 8, 8 } do
        local least, most = math.huge, 0
        for _ = 1, 200 do
          local seconds = retry.delay(attempt)
          least, most = math.min(least, seconds), math.max(most, seconds)
        end
        assert.is_true(least >= 0.75 * longest and most <= longest)
        assert.is_true(most - least > 0.1 * longest, "it is spread")
      end
      assert.is_true(retry.delay(10000) <= 8)
    end)

    it("does what the provider asks for, up to the cap; then it gives up", function()
      assert.equal(20, retry.delay(1, { ["retry-after"] = "20" }))
      assert.equal(1.5, retry.delay(3, { ["retry-after-ms"] = "1500", ["retry-after"] = "5" }))
      assert.equal(120, retry.delay(1, { ["retry-after"] = "120" }))
      assert.is_nil(retry.delay(1, { ["retry-after"] = "121" }))
      assert.is_nil(retry.delay(1, { ["retry-after"] = "11" }, { cap = 10 }))
      assert.equal(121, retry.delay(1, { ["retry-after"] = "121" }, { cap = 200 }))
    end)

    it("counts a date from now", function()
      local headers = { ["retry-after"] = "Fri, 29 Sep 2023 16:26:57 GMT" }
      assert.equal(20, retry.delay(1, headers, { now = 1696004797 }))
      local seconds = retry.delay(1, headers) -- long ago: as if nothing was said
      assert.is_true(seconds >= 0.375 and seconds <= 0.5)
    end)

    -- openai-python backs off where more than two minutes are asked for, and in another of its
    -- own tests it gives up. One rule is enough: above the cap we give up.
    local contradicts = { ["openai-python/remaining=3 retry-after='121'"] = true }

    local function check(case)
      local seconds = retry.delay(case.retry_count + 1, case.headers, { now = case.now_unix })
      if case.kind == "cap" or contradicts[case.name] then
        assert.equal(case.kind == "cap" and case.expect_retry or false, seconds ~= nil)
      elseif case.expect_seconds then
        assert.equal(case.expect_seconds, seconds)
      else
        local low, high = case.expect_range[1], case.expect_range[2]
        assert.is_true(seconds >= low and seconds <= high, tostring(seconds))
        assert.is_true(seconds > 0, "no hot loop")
      end
    end

    for _, case in ipairs(read_cases "retry_after") do
      it("agrees with " .. case.name:sub(1, 80), function() check(case) end)
    end
  end)

  describe("the policy", function()
    local mock, client

    after_each(function()
      if client then client:close() end
      if mock then mock:close() end
      mock, client = nil, nil
      llm.sleep(0)
    end)

    -- A mock that gives these answers one after the other, and a client that does not wait long.
    local function start(answers, opts)
      local count = 0
      mock = llm.mock { function()
        count = count + 1
        local answer = answers[math.min(count, #answers)]
        if type(answer) == "table" and answer.status and not answer.headers then
          answer.headers = { ["retry-after-ms"] = "1" }
        end
        return answer
      end }
      client = llm.client { provider = mock.provider, retry = opts }
      return client
    end

    it("asks again after what may pass, and counts its attempts", function()
      local response = assert(start({ { status = 429 }, { status = 503 }, "yes" })
        :generate_text("Hi"))
      assert.equal("yes", response.content)
      assert.equal(3, response.attempts)
      assert.equal(3, mock.count)
    end)

    it("gives up after the third attempt, or as many as it was told", function()
      local response, err = start({ { status = 503 } }):generate_text("Hi")
      assert.is_nil(response)
      assert.equal("provider_unavailable", err.kind)
      assert.equal(3, err.attempts)
      assert.equal(3, mock.count)
      mock:close()
      client:close()
      response, err = start({ { status = 503 } }, { attempts = 5 }):generate_text("Hi")
      assert.is_nil(response)
      assert.equal(5, err.attempts)
      assert.equal(5, mock.count)
    end)

    it("asks once with attempts = 1 or retry = false", function()
      for _, opts in ipairs { { attempts = 1 }, false } do
        local _, err = start({ { status = 429 } }, opts):generate_text("Hi")
        assert.equal("rate_limit", err.kind)
        assert.equal(1, mock.count)
        mock:close()
        client:close()
      end
    end)

    -- attempts = 0 asked nobody and gave nil without an error.
    it("refuses options that make no sense", function()
      for _, opts in ipairs { { attempts = 0 }, { attempts = "3" }, { tries = 3 }, { cap = -1 } } do
        local ok, err = pcall(retry.new, opts)
        assert.is_false(ok)
        assert.equal("invalid_request", err.kind)
      end
    end)

    it("gives up at once when it would have to wait too long", function()
      local started = core.loop.clock()
      local _, err = start({ { status = 429, headers = { ["retry-after"] = 121 } } })
        :generate_text("Hi")
      assert.equal("rate_limit", err.kind)
      assert.equal(121, err.retry_after)
      assert.equal(1, mock.count)
      assert.is_true(core.loop.clock() - started < 1)
    end)

    it("tells what it does", function()
      local heard, logged = {}, {}
      llm.log.configure("info", function(level, source, text)
        logged[#logged + 1] = level .. " " .. source .. ": " .. text
      end)
      start({ { status = 429 }, "yes" }, { on_retry = function(err, attempt, seconds)
        heard[#heard + 1] = { err.kind, attempt, seconds }
      end })
      assert(client:generate_text("Hi"))
      assert.same({ { "rate_limit", 1, 0.001 } }, heard)
      assert.same({ "info mock: attempt 1 failed (rate_limit); again in 0.0 s" }, logged)
    end)

    it("asks again for a stream that failed before its first text, and never after it", function()
      start { { status = 503 }, "one two" }
      local texts = {}
      for text in client:stream_text("Hi") do texts[#texts + 1] = text end
      assert.equal("one two", table.concat(texts))
      assert.equal(2, mock.count)
      mock:close()
      client:close()
      start { { text = "one two three four", cut_after = 3 } }
      texts = {}
      local ok, err = pcall(function()
        for text in client:stream_text("Hi") do texts[#texts + 1] = text end
      end)
      assert.is_false(ok)
      assert.equal("truncated", err.kind)
      assert.equal("one two", table.concat(texts))
      assert.equal("one two", err.partial.content)
      assert.equal(1, mock.count)
    end)

    it("does not send again what may have been billed, unless it was told to", function()
      local calls = 0
      local function lost()
        calls = calls + 1
        return nil, errors.new("network", "lost",
          { maybe_billed = true, retry_after = 0.001 })
      end
      local _, err = retry.new()({ call = {} }, lost)
      assert.equal("network", err.kind)
      assert.equal(1, calls)
      retry.new { resend = true } ({ call = {} }, lost)
      assert.equal(1 + 3, calls)
    end)

    it("does what it is told of kinds, and of each error", function()
      local _, err = start({ { status = 503 } }, { kinds = { provider_unavailable = false } })
        :generate_text("Hi")
      assert.equal(1, err.attempts)
      mock:close()
      client:close()
      assert.equal("yes", assert(start({ { status = 400 }, "yes" },
        { kinds = { invalid_request = true } }):generate_text("Hi")).content)
      mock:close()
      client:close()
      local heard = {}
      start({ { status = 400 }, { status = 503 }, { status = 503 } }, { attempts = 9,
        decide = function(failed, attempt)
          heard[attempt] = failed.kind
          if attempt == 1 then return 0.001 end
          if attempt == 3 then return false end
        end })
      _, err = client:generate_text("Hi")
      assert.equal(3, err.attempts)
      assert.same({ "invalid_request", "provider_unavailable", "provider_unavailable" }, heard)
    end)

    it("keeps within the deadline of the call, which is for all attempts", function()
      start({ { status = 503, headers = { ["retry-after"] = "3" } } })
      local began = core.loop.clock()
      local _, err = client:generate_text("Hi", { deadline = 2 })
      assert.equal("provider_unavailable", err.kind)
      assert.equal(1, err.attempts)
      assert.is_true(core.loop.clock() - began < 1)
      mock:close()
      client:close()
      mock = llm.mock { function()
        if mock.count == 1 then
          return { status = 503, headers = { ["retry-after-ms"] = "100" } }
        end
        return { text = "late", delay = 5 }
      end }
      client = llm.client { provider = mock.provider }
      began = core.loop.clock()
      _, err = client:generate_text("Hi", { deadline = 0.3 })
      assert.equal("timeout", err.kind)
      assert.is_true(core.loop.clock() - began < 0.6, "the second attempt has what is left")
      llm.sleep(0.03)
    end)

    local function retries(case)
      local answer = { status = case.status, headers = { ["retry-after-ms"] = "1" } }
      for name, value in pairs(case.headers or {}) do answer.headers[name] = value end
      start({ answer, "yes" })
      local response = client:generate_text("Hi")
      assert.equal(case.expect_retry, response ~= nil)
      assert.equal(case.expect_retry and 2 or 1, mock.count)
    end

    local function counts(case)
      local answers = {}
      for i = 1, case.failures_before_success do answers[i] = { status = 503 } end
      if case.failure_mode == "exception" then
        for i = 1, #answers do answers[i] = { status = 408 } end -- the nearest that a mock can do
      end
      answers[#answers + 1] = "yes"
      start(answers, { attempts = case.max_retries + 1 })
      assert.equal("yes", assert(client:generate_text("Hi")).content)
      assert.equal(case.expect_requests, mock.count)
    end

    for _, case in ipairs(read_cases "retry_status") do
      if case.expect_retry ~= nil then
        it("agrees with " .. case.name, function() retries(case) end)
      elseif case.failures_before_success then
        it("agrees with " .. case.name, function() counts(case) end)
      end -- what is left is about request bodies that can be sent only once; ours can be again
    end
  end)
end)

-- The clock is the spec's own, and nobody sleeps.
describe("the budget of llm.policy.retry", function()
  local now, clock, sleep

  before_each(function()
    llm.log.configure("off")
    now, clock, sleep = 0, time.clock, task.sleep
    time.clock = function() return now end
    task.sleep = function() end
  end)

  after_each(function()
    time.clock, task.sleep = clock, sleep
    llm.log.configure("warn")
  end)

  local function down() return nil, errors.new("provider_unavailable", "down") end

  it("is a fifth of the calls of a minute, or ten attempts: over any minute", function()
    math.randomseed(3)
    local policy, sent = retry.new { attempts = 5 }, {}
    for _ = 1, 3000 do
      now = now + math.random() * 0.4
      policy({ call = {} }, function()
        sent[#sent + 1] = now
        return down()
      end)
    end
    local first = {}
    for i, at in ipairs(sent) do first[at] = first[at] or i end
    assert.is_true(#sent > 3000 and #sent <= 3000 * 1.2 + 20, #sent)
    -- of the requests within any minute those that share a time are one call and its retries
    local calls, extra, from = {}, 0, 1
    for i, at in ipairs(sent) do calls[i] = first[at] == i end
    local in_window = 0
    for i = 1, #sent do
      if calls[i] then in_window = in_window + 1 else extra = extra + 1 end
      while sent[from] <= sent[i] - 60 do
        if calls[from] then in_window = in_window - 1 else extra = extra - 1 end
        from = from + 1
      end
      assert.is_true(extra <= math.max(10, 0.2 * in_window) + 0.2 * in_window / 12 + 1, extra)
    end
  end)

  it("lets a thousand calls that wait for a recovery come back without a wave", function()
    local policy, is_down, sent = retry.new(), true, 0
    local function send()
      sent = sent + 1
      if is_down then return down() end
      return {}
    end
    for _ = 1, 1000 do policy({ call = {} }, send) end
    assert.is_true(sent <= 1000 * 1.2 + 10, sent)
    is_down, sent, now = false, 0, now + 1
    for _ = 1, 1000 do policy({ call = {} }, send) end
    assert.equal(1000, sent, "at most twice the steady rate; here just that")
  end)

  it("is never in the way of a few calls", function()
    local policy, sent = retry.new(), 0
    for _ = 1, 5 do
      policy({ call = {} }, function()
        sent = sent + 1
        return down()
      end)
    end
    assert.equal(15, sent)
    assert.has_error(function() retry.new { budget = -1 } end)
    assert.has_error(function() retry.new { kinds = { rate = true } } end)
  end)
end)
