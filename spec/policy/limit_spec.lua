-- Limit: how many at once, how many a minute, in which order, and what is left behind.
local errors = require "llm.error"
local limit = require "llm.policy.limit"
local llm = require "llm"
local settled = require "spec.support.settled"
local task = require "llm.task"
local time = require "llm.time"

local mock

local function client_of(opts)
  opts.provider = mock.provider
  if opts.retry == nil then opts.retry = false end
  return llm.client(opts)
end

-- Counts how many run at once inside of the policy.
local function gauge()
  local now, most = 0, 0
  return function(request, next)
    now = now + 1
    most = math.max(most, now)
    local reply, err = next(request)
    if reply then reply:finally(function() now = now - 1 end) else now = now - 1 end
    return reply, err
  end, function() return most, now end
end

-- The policies of a client with this limit and, inside of it, a gauge.
local function limited(opts, more)
  local policy = limit.new(opts)
  local inner, read = gauge()
  more = more or {}
  more.policies = { policy, inner }
  return client_of(more), policy, read
end

describe("llm.policy.limit", function()
  before_each(function()
    mock = llm.mock { function() return "One two three." end }
  end)

  after_each(function()
    mock:close()
    llm.log.configure("warn")
    assert.equal(0, settled())
  end)

  it("lets five calls run at once unless told otherwise, plain and streamed", function()
    local client, policy, most = limited()
    local list = {}
    for i = 1, 40 do list[i] = i end
    local _, failures = llm.map(list, function(i)
      if i % 2 == 0 then return assert(client:generate_text("hi")) end
      local text = ""
      for piece in client:stream_text("hi") do text = text .. piece end
      assert.equal("One two three.", text)
    end, { concurrency = 40 })
    assert.is_nil(failures)
    assert.same({ 5, 0 }, { most() })
    assert.same({ running = 0, queued = 0, concurrency = 5 }, policy:status())
  end)

  it("is an option of a client, shared by those that are given the same one", function()
    local policy = limit.new { concurrency = 2 }
    local inner, most = gauge()
    local one = client_of { limit = policy, policies = {} }
    local two = client_of { limit = policy }
    table.insert(one.policies, inner)
    table.insert(two.policies, inner)
    one.chain = require("llm.policies").chain(one.policies)
    two.chain = require("llm.policies").chain(two.policies)
    llm.map({ 1, 2, 3, 4, 5, 6 }, function(i)
      return assert((i % 2 == 0 and one or two):generate_text("hi"))
    end)
    assert.equal(2, (most()))
    assert.is_true(client_of({ limit = true }).policies[2].concurrency == 5)
  end)

  it("serves who came first, and tells how long and behind how many it waited", function()
    local client = limited { concurrency = 1 }
    local order, tasks = {}, {}
    for i = 1, 6 do
      tasks[i] = llm.spawn(function()
        local response = assert(client:generate_text("hi"))
        order[#order + 1] = i
        return response
      end)
    end
    for i, one in ipairs(tasks) do
      local response = one:join()
      if i == 1 then
        assert.is_nil(response.queue_time)
      else
        assert.is_true(response.queue_time >= 0 and response.queue_time < 1)
        assert.equal(i - 2, response.queue_length)
      end
    end
    assert.same({ 1, 2, 3, 4, 5, 6 }, order)
  end)

  it("waits on the main chunk as well", function()
    local client = limited { concurrency = 1 }
    local next_text, stream = client:stream_text("hi")
    assert.is_string(next_text(stream))
    local other = llm.spawn(function() return assert(client:generate_text("hi")) end)
    llm.sleep(0.01)
    assert.is_nil(other.done)
    stream:close()
    assert.equal("One two three.", client:generate_text("hi").content)
    assert.equal("One two three.", other:join().content)
  end)

  it("refuses more than max_queue, and who has waited for max_wait", function()
    local client, policy = limited { concurrency = 1, max_queue = 1, max_wait = 0.02 }
    local next_text, stream = client:stream_text("hi")
    next_text(stream)
    local waits = llm.spawn(function() return { client:generate_text("hi") } end)
    llm.sleep(0)
    assert.equal(1, policy:status().queued)
    local none, err = client:generate_text("hi")
    assert.is_nil(none)
    assert.equal("rate_limit", err.kind)
    assert.matches("1 calls wait already, as many as max_queue allows", err.message)
    err = waits:join()[2]
    assert.equal("rate_limit", err.kind)
    assert.matches("waited 0.02 s for its turn", err.message)
    stream:close()
    assert.is_truthy(client:generate_text("hi"))
  end)

  it("is left at once by a task that is cancelled, waiting or running", function()
    local client, policy = limited { concurrency = 1 }
    local tasks = {}
    for i = 1, 4 do tasks[i] = llm.spawn(function() return client:generate_text("hi") end) end
    llm.sleep(0)
    assert.same({ running = 1, queued = 3, concurrency = 1 }, policy:status())
    tasks[3]:cancel()
    tasks[1]:cancel()
    llm.sleep(0)
    if _VERSION ~= "Lua 5.4" then collectgarbage() collectgarbage() end
    assert.equal("One two three.", assert(tasks[2]:join()).content)
    assert.equal("One two three.", assert(tasks[4]:join()).content)
    assert.same({ running = 0, queued = 0, concurrency = 1 }, policy:status())
  end)

  it("gives the place back after an error and after streams left or dropped", function()
    local client, policy = limited { concurrency = 1 }
    local function leave()
      for _ in client:stream_text("hi") do break end -- luacheck: ignore
    end
    local function drop()
      local next_text, stream = client:stream_text("hi")
      next_text(stream)
    end
    for _, one in ipairs { leave, drop, drop } do
      one()
      collectgarbage()
      collectgarbage()
    end
    local inner = limit.new { concurrency = 1 }
    local _, err = inner({ call = { provider = {} } }, function()
      return nil, errors.new("network", "gone")
    end)
    assert.equal("network", err.kind)
    assert.equal(0, inner:status().running)
    assert.is_truthy(client:generate_text("hi"))
    assert.equal(0, policy:status().running)
  end)

  it("halves what runs at once after a refusal and grows again", function()
    local policy = limit.new { concurrency = 8 }
    local request = { call = { provider = {} } }
    local function refused() return nil, errors.new("rate_limit", "slow down") end
    policy(request, refused)
    assert.equal(4, policy:status().concurrency)
    for _ = 1, 9 do policy(request, refused) end
    assert.equal(1, policy:status().concurrency)
    local function fine() return nil, errors.new("network", "no refusal") end
    policy(request, fine)
    assert.equal(1, policy:status().concurrency)
    local client = client_of { limit = policy }
    for _ = 1, 60 do assert(client:generate_text("hi", { stream = false })) end
    assert.equal(8, policy:status().concurrency)
    local steady = limit.new { concurrency = 8, adaptive = false }
    steady(request, refused)
    assert.equal(8, steady:status().concurrency)
  end)

  it("refuses a call that no minute has room for", function()
    local client = limited { tokens_per_minute = 100 }
    local _, err = client:generate_text("hi", { max_tokens = 200 })
    assert.equal("rate_limit", err.kind)
    assert.is_false(err.retryable)
    assert.matches("may take %d+ tokens, and tokens_per_minute is 100", err.message)
  end)

  it("names what makes no sense", function()
    for opts, message in pairs {
      [{ concurrency = 0 }] = "concurrency must be at least 1, not 0",
      [{ requests_per_minute = 0 / 0 }] = "requests_per_minute must be at least 1",
      [{ concurency = 1 }] = "did you mean \"concurrency\"",
      [{ max_wait = "1" }] = "max_wait must be a number",
    } do
      local ok, err = pcall(limit.new, opts)
      assert.is_false(ok)
      assert.matches(message, tostring(err), 1, true)
    end
  end)
end)

-- The clock and the timers are the spec's own: an hour passes in no time.
describe("the rates of llm.policy.limit", function()
  local now, timers, before

  before_each(function()
    now, timers = 0, {}
    before = { clock = time.clock, loop = task.loop }
    time.clock = function() return now end
    local real = task.loop()
    task.loop = function()
      return setmetatable({ timer = function(_, seconds)
        local timer = { due = now + seconds, close = function() end }
        timers[#timers + 1] = timer
        return timer, timer
      end }, { __index = real })
    end
  end)

  after_each(function() time.clock, task.loop = before.clock, before.loop end)

  -- Runs what can run, then lets time pass until the next timer, until all tasks have ended.
  local function run_all(tasks)
    local function is_done()
      for _, one in ipairs(tasks) do if not one.done then return false end end
      return true
    end
    while not is_done() do
      task.step(0)
      table.sort(timers, function(a, b) return a.due < b.due end)
      local timer = table.remove(timers, 1)
      if timer and not is_done() then
        now = math.max(now, timer.due)
        task.wake(timer)
      end
    end
  end

  local function sleep(seconds)
    local timer, id = task.loop():timer(seconds)
    while now < timer.due do task.wait(id) end
  end

  -- A reply that is over after some seconds and took so many tokens.
  local function reply_of(seconds, tokens)
    local endings = {}
    local reply = { transfer = { headers = function() return "" end } }
    function reply.finally(_, ending) endings[#endings + 1] = ending end
    function reply.response() return { tokens_used = tokens } end
    llm.spawn(function()
      sleep(seconds)
      for _, ending in ipairs(endings) do ending(reply) end
    end)
    return reply
  end

  it("hold over every minute, whatever the calls are; nobody starves", function()
    math.randomseed(7)
    for _, case in ipairs {
      { concurrency = 64, requests_per_minute = 20 },
      { concurrency = 64, tokens_per_minute = 30000 },
      { concurrency = 4, requests_per_minute = 50, tokens_per_minute = 60000 },
    } do
      local policy = limit.new(case)
      local starts, tasks, order = {}, {}, {}
      for i = 1, 150 do
        tasks[i] = llm.spawn(function()
          sleep(math.random(0, 90))
          local came = now
          local tokens = math.random(1, 4000)
          local request = { messages = { { role = "user", content = "x" } }, model = "mock",
            max_tokens = math.random(10, 4000), call = { provider = {} } }
          policy(request, function()
            -- the estimate is what the policy can know when it starts a call
            starts[#starts + 1] = { at = now, need = request.max_tokens }
            order[#order + 1] = came
            return reply_of(math.random() * 30, tokens)
          end)
        end)
      end
      run_all(tasks)
      assert.equal(150, #starts)
      for i = 2, #order do assert.is_true(order[i] >= order[i - 1], "first come, first served") end
      for i = 1, #starts do
        local j, tokens = i, 0
        while starts[j] and starts[j].at < starts[i].at + 60 do
          j = j + 1
        end
        assert.is_true(j - i <= (case.requests_per_minute or math.huge))
        -- tokens: those that ended meanwhile count as what they took, so look at one instant only
        j = i
        while starts[j] and starts[j].at == starts[i].at do
          tokens = tokens + starts[j].need
          j = j + 1
        end
        assert.is_true(tokens <= (case.tokens_per_minute or math.huge))
      end
    end
  end)

  it("count what calls really took, over every minute", function()
    local policy = limit.new { concurrency = 1000, tokens_per_minute = 10000 }
    local took, tasks = {}, {}
    for i = 1, 120 do
      tasks[i] = llm.spawn(function()
        local request = { messages = { { role = "user", content = "x" } }, model = "mock",
          max_tokens = 500, call = { provider = {} } }
        policy(request, function()
          took[#took + 1] = { at = now, tokens = 500 }
          return reply_of(0.5, 500)
        end)
      end)
    end
    run_all(tasks)
    assert.equal(120, #took)
    for i = 1, #took do
      local sum, j = 0, i
      while took[j] and took[j].at < took[i].at + 60 do sum, j = sum + took[j].tokens, j + 1 end
      assert.is_true(sum <= 10000, sum)
    end
    -- 120 calls of 500 tokens at 10,000 a minute: nothing is wasted either
    assert.is_true(now >= 300 and now < 390, now)
  end)

  it("wait for the reset that a provider tells when nothing is left, at most a minute", function()
    for reset, expected in pairs { ["30s"] = 30, ["2m0s"] = 60 } do
      now = 0
      local policy = limit.new {}
      local request = { call = { provider = {} } }
      local reply = reply_of(1, 5)
      reply.transfer.headers = function()
        return "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: " .. reset
      end
      policy(request, function() return reply end)
      local at
      run_all { llm.spawn(function()
        policy(request, function()
          at = now
          return reply_of(1, 5)
        end)
      end) }
      assert.equal(expected, at)
    end
  end)
end)
