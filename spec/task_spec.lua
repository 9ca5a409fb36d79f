-- Tasks: spawn, join, map, sleep, cancel; who drives the loop, and what passes through a task.
local core = require "llm.core"
local llm = require "llm"

describe("llm.task and llm.map", function()
  local clock = core.loop.clock
  local logged

  before_each(function()
    logged = {}
    llm.log.configure("warn", function(level, source, text)
      logged[#logged + 1] = level .. " " .. source .. " " .. text
    end)
  end)

  after_each(function()
    llm.task.attach(nil)
    llm.log.configure("warn")
    collectgarbage()
    collectgarbage()
    assert.equal(0, llm.live())
  end)

  describe("spawn and join", function()
    it("returns all that the function returned, nil among it", function()
      local task = llm.spawn(function(...) return select("#", ...), nil, ... end, 1, nil, 3, nil)
      local results = { n = select("#", task:join()), task:join() }
      assert.equal(6, results.n)
      assert.equal(4, results[1])
      assert.is_nil(results[2])
      assert.equal(3, results[5])
    end)

    it("returns nothing for a function that returns nothing", function()
      assert.is_nil(llm.spawn(function() end):join())
    end)

    it("raises what the function raised, a table as that very table", function()
      local problem = {}
      local task = llm.spawn(error, problem)
      local ok, err = pcall(task.join, task)
      assert.is_false(ok)
      assert.equal(problem, err)
    end)

    it("starts tasks in the order in which they were spawned, when somebody waits", function()
      local order = {}
      local function note(name) order[#order + 1] = name end
      local a, b = llm.spawn(note, "a"), llm.spawn(note, "b")
      assert.same({}, order)
      b:join()
      a:join()
      assert.same({ "a", "b" }, order)
    end)

    it("lets several wait for one, and joins a task that ended long ago", function()
      local slow = llm.spawn(function()
        llm.sleep(0.01)
        return "done"
      end)
      local function wait() return slow:join() end
      local a, b = llm.spawn(wait), llm.spawn(wait)
      assert.equal("done", a:join())
      assert.equal("done", b:join())
      assert.equal("done", slow:join())
    end)

    it("uses a coroutine again without anything left of the task before", function()
      for i = 1, 3 do
        assert.equal(i, llm.spawn(function(...)
          assert.equal(i, (...))
          llm.sleep(0)
          return ...
        end, i):join())
      end
      assert.is_nil(llm.spawn(function(...) return ... end):join())
    end)

    it("joins a task from a task", function()
      local outer = llm.spawn(function()
        return llm.spawn(function()
          llm.sleep(0.001)
          return "inner"
        end):join()
      end)
      assert.equal("inner", outer:join())
    end)
  end)

  describe("sleep", function()
    it("lets others sleep at the same time", function()
      local started = clock()
      local tasks = {}
      for i = 1, 50 do tasks[i] = llm.spawn(llm.sleep, 0.03) end
      for i = 1, 50 do tasks[i]:join() end
      local took = clock() - started
      assert.is_true(took >= 0.03 and took < 0.3, "took " .. took)
    end)

    it("blocks a plain script for that long", function()
      local started = clock()
      llm.sleep(0.02)
      assert.is_true(clock() - started >= 0.02)
    end)

    it("refuses a negative time", function()
      assert.has_error(function() llm.sleep(-1) end)
      assert.has_error(function() llm.sleep(0 / 0) end)
    end)
  end)

  describe("map", function()
    it("keeps the order of the list, whatever ends first", function()
      local results, failures = llm.map({ 0.02, 0.001, 0.01 }, function(seconds, index)
        llm.sleep(seconds)
        return index * 10
      end)
      assert.same({ 10, 20, 30, n = 3 }, results)
      assert.is_nil(failures)
    end)

    it("runs as many at once as was said, and no more", function()
      local running, most = 0, 0
      llm.map({ 1, 2, 3, 4, 5, 6, 7 }, function()
        running = running + 1
        most = math.max(most, running)
        llm.sleep(0.002)
        running = running - 1
      end, { concurrency = 3 })
      assert.equal(3, most)
      assert.equal(0, running)
    end)

    it("tells failures by index and goes on with the rest", function()
      local results, failures = llm.map({ "a", "b", "c" }, function(name)
        llm.sleep(0)
        if name == "b" then error({ name = name }) end
        return name
      end, { concurrency = 1 })
      assert.same({ [1] = "a", [3] = "c", n = 3 }, results)
      assert.same({ [2] = { name = "b" } }, failures)
      collectgarbage()
      assert.same({}, logged)
    end)

    it("tells progress once for each element", function()
      local seen = {}
      llm.map({ 5, 6, 7 }, function(_, index) llm.sleep(0.001 * (4 - index)) end, {
        progress = function(done, total, index) seen[#seen + 1] = { done, total, index } end,
      })
      assert.same({ { 1, 3, 3 }, { 2, 3, 2 }, { 3, 3, 1 } }, seen)
    end)

    it("gives an empty result for an empty list", function()
      assert.same({ n = 0 }, (llm.map({}, error)))
    end)

    it("nests", function()
      local results = llm.map({ 1, 2 }, function(outer)
        local inner = llm.map({ 1, 2, 3 }, function(value)
          llm.sleep(0)
          return outer * value
        end)
        return inner[1] + inner[2] + inner[3]
      end)
      assert.same({ 6, 12, n = 2 }, results)
    end)

    -- A concurrency of 0 started nothing, and map said "deadlock".
    it("refuses options that make no sense, before anything runs", function()
      for _, opts in ipairs { { concurrency = 0 }, { concurrency = -1 }, { concurrency = 0 / 0 },
        { concurrency = "2" }, { progress = true }, { concurency = 2 } } do
        local ok, err = pcall(llm.map, { 1 }, error, opts)
        assert.is_false(ok)
        assert.equal("invalid_request", err.kind)
      end
    end)

    -- An error in progress passed through whoever drove the loop; the one who called map waited on.
    it("raises in its caller what progress raised, at once", function()
      local caller = llm.spawn(function()
        return pcall(llm.map, { 1, 2, 3 }, function() llm.sleep(0.001) end,
          { progress = function() error("no progress", 0) end })
      end)
      local ok, problem = caller:join()
      assert.is_false(ok)
      assert.equal("no progress", problem)
      llm.sleep(0.01) -- what still runs ends by itself
    end)
  end)

  describe("cancel", function()
    it("raises in the wait, so that the task can clean up", function()
      local seen
      local task = llm.spawn(function()
        local ok, err = pcall(llm.sleep, 60)
        seen = { ok = ok, kind = err.kind }
        error(err, 0)
      end)
      llm.sleep(0)
      task:cancel()
      local ok, err = pcall(task.join, task)
      assert.is_false(ok)
      assert.equal("cancelled", err.kind)
      assert.same({ ok = false, kind = "cancelled" }, seen)
      assert.is_true(task.done)
    end)

    it("raises the error that it is given", function()
      local task = llm.spawn(llm.sleep, 60)
      llm.sleep(0)
      task:cancel("enough")
      local ok, err = pcall(task.join, task)
      assert.is_false(ok)
      assert.equal("enough", err)
    end)

    -- A task that was cancelled before it first ran was run all the same, up to its first wait.
    it("keeps a task from starting", function()
      local ran = false
      local task = llm.spawn(function() ran = true end)
      task:cancel()
      local ok, err = pcall(task.join, task)
      assert.is_false(ok)
      assert.equal("cancelled", err.kind)
      assert.is_false(ran)
    end)

    it("leaves a task alone that has ended, and may be said twice", function()
      local task = llm.spawn(function() return 1 end)
      task:join()
      task:cancel()
      assert.equal(1, task:join())
      local other = llm.spawn(llm.sleep, 60)
      llm.sleep(0)
      other:cancel()
      other:cancel()
      assert.is_false((pcall(other.join, other)))
    end)

    it("frees a place where several wait for the same", function()
      local slow = llm.spawn(llm.sleep, 0.01)
      local a = llm.spawn(slow.join, slow)
      local b = llm.spawn(slow.join, slow)
      llm.sleep(0)
      a:cancel()
      assert.is_false((pcall(a.join, a)))
      b:join()
      assert.is_true(b.ok)
    end)

    it("reaches a task that cancels itself, at its next wait", function()
      local after = false
      local task
      task = llm.spawn(function()
        task:cancel()
        after = true
        llm.sleep(60)
      end)
      local ok, err = pcall(task.join, task)
      assert.is_false(ok)
      assert.equal("cancelled", err.kind)
      assert.is_true(after)
    end)
  end)

  describe("failures and dead ends", function()
    it("reports the failure of a task that nobody joined", function()
      llm.spawn(function() error("lost and found", 0) end)
      llm.sleep(0)
      collectgarbage()
      collectgarbage()
      assert.same({ "error task a task that nobody joined failed: lost and found" }, logged)
    end)

    it("is silent about one that was joined or cancelled", function()
      local joined = llm.spawn(error, "known")
      pcall(joined.join, joined)
      local cancelled = llm.spawn(llm.sleep, 60)
      llm.sleep(0)
      cancelled:cancel()
      llm.sleep(0)
      joined, cancelled = nil, nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.same({}, logged)
    end)

    it("says that nothing is left that could end a wait", function()
      local a, b
      a = llm.spawn(function() return b:join() end)
      b = llm.spawn(function() return a:join() end)
      local ok, problem = pcall(a.join, a)
      assert.is_false(ok)
      assert.matches("deadlock", problem)
      a:cancel()
      pcall(a.join, a)
      pcall(b.join, b)
    end)
  end)

  describe("coroutines of others", function()
    it("passes foreign yields outward and their answers inward", function()
      local host = coroutine.wrap(function()
        return llm.spawn(function()
          local answer = coroutine.yield("question", 1)
          llm.sleep(0.001)
          return answer, coroutine.yield("another")
        end):join()
      end)
      assert.same({ "question", 1 }, { host() })
      assert.same({ "another" }, { host("yes") })
      assert.same({ "yes", "no" }, { host("no") })
    end)

    -- The error was raised in the one who drove the loop, and the task hung in the air.
    it("fails a task that yields where nobody takes it", function()
      local task = llm.spawn(function() coroutine.yield("to whom?") end)
      local other = llm.spawn(function() return "fine" end)
      local ok, problem = pcall(task.join, task)
      assert.is_false(ok)
      assert.matches("yield", problem)
      assert.equal("fine", other:join())
    end)

    it("waits inside a coroutine of the script, as the script itself does", function()
      local texts = {}
      for text in coroutine.wrap(function()
        for i = 1, 3 do
          llm.sleep(0.001)
          coroutine.yield("text " .. i)
        end
      end) do texts[#texts + 1] = text end
      assert.same({ "text 1", "text 2", "text 3" }, texts)
    end)

    -- After a wait in a coroutine inside a task, the task was no longer known as one: its own waits
    -- drove the loop and held up all others.
    it("waits inside a coroutine inside a task, which stays a task", function()
      local order = {}
      local function note(name) order[#order + 1] = name end
      local a = llm.spawn(function()
        local generate = coroutine.wrap(function()
          llm.sleep(0.001)
          coroutine.yield("generated")
        end)
        note(generate())
        llm.sleep(0.05)
        note("a ends")
      end)
      local b = llm.spawn(function()
        llm.sleep(0.005)
        note("b between")
        llm.spawn(note, "c"):join()
      end)
      a:join()
      b:join()
      assert.same({ "generated", "b between", "c", "a ends" }, order)
    end)

    it("cancels a task while a coroutine inside it waits", function()
      local task = llm.spawn(function()
        coroutine.wrap(function() llm.sleep(0.01) end)()
        llm.sleep(60)
      end)
      llm.spawn(function()
        llm.sleep(0.001)
        task:cancel()
      end)
      local ok, err = pcall(task.join, task)
      assert.is_false(ok)
      assert.equal("cancelled", err.kind)
    end)
  end)
end)
