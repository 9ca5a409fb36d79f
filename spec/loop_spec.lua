-- The host contract: pollfd, events, timeout, step; driven here by libuv, as a real host would.
local core = require "llm.core"
local llm = require "llm"

describe("llm.loop", function()
  local clock = core.loop.clock
  local has_luv, uv = pcall(require, "luv")
  local host

  setup(function()
    if not has_luv then print("lua-luv is not installed: the host contract is tested in part") end
  end)

  after_each(function()
    if host then host.detach() end
    if has_luv then uv.run("nowait") end
    collectgarbage()
    collectgarbage()
    assert.equal(0, llm.live())
  end)

  it("tells a descriptor, what to watch it for, and when it is due", function()
    assert.is_true(llm.loop.pollfd() == nil or llm.loop.pollfd() >= 0)
    assert.equal("r", llm.loop.events())
    assert.is_nil(llm.loop.timeout())
  end)

  it("is due at once while tasks wait to be run", function()
    local task = llm.spawn(function() end)
    assert.equal(0, llm.loop.timeout())
    llm.loop.step(0)
    assert.is_true(task.done)
    assert.is_nil(llm.loop.timeout())
  end)

  it("is due when the next timer is", function()
    local task = llm.spawn(llm.sleep, 0.02)
    llm.loop.step(0)
    local seconds = llm.loop.timeout()
    assert.is_true(seconds > 0 and seconds <= 0.02, tostring(seconds))
    task:join()
  end)

  it("never waits in step(0), and no longer than it was told", function()
    local task = llm.spawn(llm.sleep, 60)
    local started = clock()
    llm.loop.step(0)
    llm.loop.step(0.01)
    assert.is_true(clock() - started < 1)
    task:cancel()
    pcall(task.join, task)
  end)

  if not has_luv then return end

  -- As poll(2): waits until the descriptor is readable or the time is over.
  local function poll(fd, seconds)
    local watch, timer, over = uv.new_poll(fd), uv.new_timer(), false
    watch:start(llm.loop.events(), function() over = true end)
    timer:start(math.ceil(seconds * 1000), 0, function()
      over = true
      watch:stop() -- or libuv would go on waiting for it in this very turn
    end)
    while not over do uv.run("once") end
    watch:close()
    timer:close()
  end

  -- An outer loop that knows nothing but the contract. Returns how often it woke.
  local function drive(condition)
    local turns, deadline = 0, clock() + 5
    while not condition() do
      assert(clock() < deadline, "it never came true")
      poll(llm.loop.pollfd(), llm.loop.timeout() or 1)
      llm.loop.step(0)
      turns = turns + 1
    end
    return turns
  end

  it("lets an outer loop run tasks, timers and requests, without turning idly", function()
    local mock = llm.mock { text = "one two three", pace = 0.005 }
    local client = llm.client { provider = mock.provider, retry = false }
    local texts = {}
    local slow = llm.spawn(llm.sleep, 0.05)
    local asking = llm.spawn(function()
      for text in client:stream_text("Hi") do texts[#texts + 1] = text end
    end)
    local turns = drive(function() return slow.done and asking.done end)
    asking:join()
    assert.equal("one two three", table.concat(texts))
    assert.is_true(turns < 60, turns .. " turns")
    mock:close()
    drive(function() return mock.serving.done end)
    client:close()
  end)

  it("wakes the outer loop for a timer without its own timeout", function()
    local task = llm.spawn(llm.sleep, 0.01)
    llm.loop.step(0)
    local started = clock()
    poll(llm.loop.pollfd(), 5)
    assert.is_true(clock() - started < 1)
    llm.loop.step(0)
    assert.is_true(task.done)
  end)

  describe("llm.host.luv", function()
    before_each(function()
      host = require "llm.host.luv"
      host.attach()
    end)

    it("suspends a coroutine that waits, while libuv goes on", function()
      local order = {}
      local timer = uv.new_timer()
      timer:start(5, 0, function()
        order[#order + 1] = "timer of libuv"
        timer:close()
      end)
      coroutine.wrap(function()
        llm.sleep(0.02)
        order[#order + 1] = "coroutine"
      end)()
      order[#order + 1] = "main"
      uv.run()
      assert.same({ "main", "timer of libuv", "coroutine" }, order)
    end)

    it("runs calls, map and spawned tasks, and ends when they have ended", function()
      local mock = llm.mock { text = "yes", delay = 0.005 }
      local client = llm.client { provider = mock.provider, retry = false }
      local results, spawned
      llm.spawn(function() spawned = client:generate_text("Hi").content end)
      coroutine.wrap(function()
        results = llm.map({ 1, 2, 3 }, function() return client:generate_text("Hi").content end)
        mock:close()
      end)()
      uv.run()
      assert.same({ "yes", "yes", "yes", n = 3 }, results)
      assert.equal("yes", spawned)
      client:close()
    end)

    it("cancels a stream that a coroutine leaves, and raises errors in it", function()
      local mock = llm.mock { status = 401, message = "no" }
      local client = llm.client { provider = mock.provider }
      local kind
      coroutine.wrap(function()
        local ok, err = pcall(function() for _ in client:stream_text("Hi") do end end) -- luacheck: ignore
        kind = not ok and err.kind
        mock:close()
      end)()
      uv.run()
      assert.equal("authentication", kind)
      client:close()
    end)

    it("detaches, after which waits block again, and attaches once more", function()
      host.detach()
      host.detach()
      local started = clock()
      coroutine.wrap(function() llm.sleep(0.01) end)()
      assert.is_true(clock() - started >= 0.01)
      host.attach()
      local done
      coroutine.wrap(function()
        llm.sleep(0.001)
        done = true
      end)()
      assert.is_nil(done)
      uv.run()
      assert.is_true(done)
    end)
  end)
end)
