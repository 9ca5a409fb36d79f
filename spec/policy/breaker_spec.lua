-- Breaker: when a provider is left alone, and who may try it again.
local breaker = require "llm.policy.breaker"
local errors = require "llm.error"
local llm = require "llm"
local settled = require "spec.support.settled"
local time = require "llm.time"

describe("llm.policy.breaker", function()
  local mock, client, status, now, clock

  before_each(function()
    llm.log.configure("off")
    now, clock = 5000, time.clock
    time.clock = function() return now end
    status = 503
    mock = llm.mock { function() return status and { status = status } or "fine" end }
    breaker.reset()
    client = llm.client { provider = mock.provider, retry = false,
      breaker = { at_least = 4, cooldown = 10 } }
  end)

  after_each(function()
    time.clock = clock
    client:close()
    mock:close()
    llm.log.configure("warn")
    assert.equal(0, settled())
  end)

  local function fail(times)
    for _ = 1, times do assert.is_nil((client:generate_text("Hi"))) end
  end

  it("opens after enough failures: calls fail at once and are not sent", function()
    fail(4)
    assert.equal(4, mock.count)
    local _, err = client:generate_text("Hi")
    assert.equal("provider_unavailable", err.kind)
    assert.matches("left alone for another 10 s", err.message)
    assert.equal(10, err.retry_after)
    assert.is_false(err.retryable)
    assert.has_error(function() for _ in client:stream_text("Hi") do end end) -- luacheck: ignore
    assert.equal(4, mock.count)
    assert.equal("open", llm.health()[client.provider_name].breaker)
    assert.equal("down", llm.health()[client.provider_name].state)
  end)

  it("sends one call when its time has passed, and closes when that is answered", function()
    fail(4)
    now, status = now + 11, nil
    local tasks = {}
    for i = 1, 20 do tasks[i] = llm.spawn(function() return client:generate_text("Hi") end) end
    local answered = 0
    for _, one in ipairs(tasks) do if one:join() then answered = answered + 1 end end
    assert.equal(1, answered)
    assert.equal(5, mock.count)
    assert.equal("fine", client:generate_text("Hi").content)
    assert.equal("closed", breaker.state(client.provider_name))
  end)

  it("opens again when that one fails, and lets another try when it was cancelled", function()
    fail(4)
    now = now + 11
    fail(3)
    assert.equal(5, mock.count)
    now, status = now + 11, nil
    local one = llm.spawn(function() return client:generate_text("Hi") end)
    llm.sleep(0)
    one:cancel()
    llm.sleep(0)
    if _VERSION ~= "Lua 5.4" then return end -- elsewhere it is noticed when it is collected
    assert.equal("fine", assert(client:generate_text("Hi")).content)
  end)

  it("looks at what speaks of the provider, not at what speaks of the request", function()
    status = 400
    fail(12)
    assert.equal(12, mock.count)
    status = nil
    for _ = 1, 20 do assert(client:generate_text("Hi")) end
    status = 503
    fail(10)
    assert.equal(42, mock.count, "a third of the last calls is not half of them")
  end)

  it("counts a stream that breaks off as a failure", function()
    mock:close()
    client:close()
    mock = llm.mock { function() return { pieces = { "a ", "b" }, delay = 0, pace = 0.03 } end }
    client = llm.client { provider = mock.provider, retry = false, timeout = 0.01,
      first_timeout = 5, breaker = { at_least = 2 } }
    fail(2)
    local _, err = client:generate_text("Hi")
    assert.matches("left alone", err.message)
  end)

  it("forgets what is older than its window", function()
    fail(3)
    now = now + 31
    fail(3)
    assert.equal(6, mock.count)
  end)

  it("names what makes no sense", function()
    for message, opts in pairs {
      ["ratio must be at most 1"] = { ratio = 2 }, ["cooldown must be more than 0"] =
      { cooldown = 0 }, ["did you mean \"at_least\""] = { at_last = 3 },
    } do
      local ok, err = pcall(breaker.new, opts)
      assert.is_false(ok)
      assert.matches(message, tostring(err), 1, true)
    end
    assert.is_nil(breaker.state "nobody")
    assert.is_true(errors.kinds.provider_unavailable)
  end)
end)
