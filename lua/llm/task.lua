--- Tasks: one function waits, everything else is ordinary code.
-- A task is a coroutine that parks on an operation; the loop says which operations became ready;
-- `step` resumes the tasks that wait for them. On the main chunk waiting means driving the loop;
-- in a coroutine of a host, its adapter suspends it.
-- @module llm.task
local core = require "llm.core"
local log = require "llm.log"

local signalled = package.loaded["llm.signalled"] -- of the command: the signal that came, or nil
local unpack = table.unpack or unpack -- luacheck: ignore
local running, yield, close = coroutine.running, coroutine.yield, coroutine.close -- luacheck: ignore

local Task = {}
Task.__index = Task

local PARK = {} -- our tasks yield this to wait, and
local DONE = {} -- this, with the results, at the end; anything else that they yield is the host's

local loop          -- created when first needed: a process may fork before
local parked = {}   -- key of an operation -> what waits for it: a task, or a list of several
local runnable = {} -- tasks to resume, first in first out
local first, last = 1, 0
local current       -- the task that runs now
local host          -- adapter of a foreign loop: suspend(), wake(token)

local idle, idle_count, MAX_IDLE = {}, 0, 256 -- coroutines whose task has ended, to be used again

local function the_loop()
  if not loop then
    local message
    loop, message = core.loop.new()
    if not loop then error(message, 0) end
  end
  return loop
end

-- Queues a task to be resumed.
local function push(task)
  last = last + 1
  runnable[last] = task
end

local function park(key, waiter)
  local before = parked[key]
  if not before then
    parked[key] = waiter
  elseif before.several then
    before[#before + 1] = waiter
  else
    parked[key] = { before, waiter, several = true }
  end
end

-- A task is queued, a host's coroutine is handed to its adapter.
local function wake_one(waiter)
  if waiter.token then host.wake(waiter.token) else push(waiter) end
end

-- Wakes whoever waits for key.
local function wake(key)
  local waiter = parked[key]
  if not waiter then return end
  parked[key] = nil
  if not waiter.several then return wake_one(waiter) end
  for i = 1, #waiter do wake_one(waiter[i]) end
end

local function finish(task, ok, value, ...)
  task.done, task.ok, task.value = true, ok, value
  local more = select("#", ...)
  if more > 0 then task.more = { n = more, ... } end
  wake(task)
  if task.run then task.run:settle(task) end
end

-- What every coroutine of ours runs: one task after another.
local function run_tasks(task)
  while true do
    task = coroutine.yield(DONE, task.body(task.first, task.second))
  end
end

local function in_foreign_coroutine()
  local co, is_main = running()
  return co and not is_main
end

local resume

local function after_resume(task, before, ok, yielded, ...)
  current = before
  if not ok then
    if close then close(task.coroutine) end -- 5.4: what its loops held is closed, and
    task.coroutine = nil                    -- everywhere: what its stack held is let go
    return finish(task, false, yielded)
  end
  if yielded == DONE then
    if idle_count < MAX_IDLE then
      idle_count = idle_count + 1
      idle[idle_count] = task.coroutine
    end
    task.coroutine = nil
    return finish(task, true, ...)
  end
  if yielded == PARK then return end
  -- A host's function yielded inside the task: pass it outward and bring the answer back in.
  if in_foreign_coroutine() then return resume(task, yield(yielded, ...)) end
  return finish(task, false, "a task yielded, and no coroutine is around it to take what it gave")
end

-- A coroutine inside a task may drive the loop, so that one task runs within another.
function resume(task, ...)
  local before = current
  current = task
  return after_resume(task, before, coroutine.resume(task.coroutine, ...))
end

local function begin(task)
  if idle_count > 0 then
    task.coroutine, idle[idle_count] = idle[idle_count], nil
    idle_count = idle_count - 1
  else
    task.coroutine = coroutine.create(run_tasks)
  end
  return resume(task, task)
end

local function run_queued()
  local ran = false
  while first <= last do
    local task = runnable[first]
    runnable[first] = nil
    first = first + 1
    ran = true
    if not task.done then
      if task.coroutine then resume(task) else begin(task) end
    end
  end
  return ran
end

--- Lets the loop work once: resumes what is ready, waits at most so long for more, resumes that.
-- A host calls `step(0)` when the descriptor of `pollfd()` is readable.
-- @tparam[opt] number seconds longest wait; nil: until something happens
local function step(seconds)
  if run_queued() then seconds = 0 end
  local id, message = the_loop():step(seconds)
  if message then error(message, 0) end
  while id do
    local waiter = parked[id]
    if waiter and waiter.coroutine then -- one task, the usual case
      parked[id] = nil
      resume(waiter)
    elseif waiter then
      wake(id)
    end
    id = loop:next()
  end
  run_queued()
end

--- The one function that waits: until the operation may have become ready. The caller found that it
-- is not, and looks again afterwards.
-- @param key what the loop or `wake` calls the operation: its id, or the object itself
local function wait(key)
  local task = current
  if task and task.cancelled then error(task.cancelled, 0) end
  if task and running() == task.coroutine then
    if parked[key] then park(key, task) else parked[key] = task end
    yield(PARK)
    if task.cancelled then error(task.cancelled, 0) end
  elseif host and in_foreign_coroutine() then
    host.suspend(function(token) park(key, { token = token }) end)
  else
    step()
    -- The command interrupts its main chunk; a coroutine that drives the loop must ask.
    if signalled and signalled() then error("interrupted", 0) end
  end
end

--- Waits for a task and returns what its function returned; raises what it raised.
-- @return the results
function Task:join()
  while not self.done do wait(self) end
  self.joined = true
  if not self.ok then error(self.value, 0) end
  if self.more then return self.value, unpack(self.more, 1, self.more.n) end
  return self.value
end

local function unpark(task)
  for key, waiter in pairs(parked) do
    if waiter == task then
      parked[key] = nil
      return
    end
    for i = waiter.several and #waiter or 0, 1, -1 do
      if waiter[i] == task then table.remove(waiter, i) end
    end
  end
end

--- Ends a task with the given error (by default one of kind `cancelled`): one that waits in its
-- wait, one that runs at its next, one that has not begun at once.
-- @param[opt] err
function Task:cancel(err)
  if self.done or self.cancelled then return end
  self.cancelled = err or require("llm.error").new("cancelled", "the task was cancelled")
  self.joined = true
  if not self.coroutine then return finish(self, false, self.cancelled) end
  if coroutine.status(self.coroutine) ~= "suspended" then return end
  unpark(self)
  push(self)
end

-- A table of `body`, `first`, `second` becomes a task; `run:settle(task)` hears when it has ended.
local function start(fields)
  push(setmetatable(fields, Task))
end

-- A failure that nobody joined must not vanish.
function Task:__gc()
  if self.done and not self.ok and not self.joined then
    log.write("error", "task", "a task that nobody joined failed: " .. tostring(self.value))
  end
end

--- Starts a function as a task; it first runs when somebody waits.
-- @tparam function body
-- @param ... its arguments
-- @treturn Task with `join()`, `cancel()`, `done`
-- @usage local a, b = llm.spawn(ask, "one"), llm.spawn(ask, "two"); print(a:join(), b:join())
local function spawn(body, ...)
  local one, two = ...
  local count = select("#", ...)
  if count > 2 then
    local inner, arguments = body, { ... }
    body = function() return inner(unpack(arguments, 1, count)) end
  end
  local task = setmetatable({ body = body, first = one, second = two }, Task)
  if newproxy then -- luacheck: ignore
    task.guard = newproxy(true) -- luacheck: ignore
    getmetatable(task.guard).__gc = function() Task.__gc(task) end
  end
  push(task)
  return task
end

local function close_one(waiter)
  if waiter.coroutine and coroutine.status(waiter.coroutine) == "suspended" then
    close(waiter.coroutine)
    waiter.coroutine = nil
  end
end

-- At the end of the command: closes what the loops of waiting tasks hold, while Lua is whole. What
-- is closed by lua_close itself can make nothing new, such as the figures of a cancelled request.
local function abandon()
  local waiters = parked
  parked = {}
  for _, waiter in pairs(waiters) do
    if waiter.several then
      for i = 1, #waiter do close_one(waiter[i]) end
    else
      close_one(waiter)
    end
  end
end

--- Pauses the running task; others go on.
-- @tparam number seconds
local function sleep(seconds)
  local timer, id = the_loop():timer(seconds)
  while not timer:ready() do wait(id) end
  timer:close()
end

--- Attaches the adapter of a foreign loop, see llm.host.*; nil detaches it.
-- @tparam table|nil adapter `suspend(register)` and `wake(token)`
local function attach(adapter) host = adapter end

return {
  spawn = spawn, start = start, sleep = sleep, wait = wait, wake = wake, step = step,
  attach = attach, abandon = abandon,
  loop = the_loop,
  live = function() return loop and loop:live() or 0 end,
  pollfd = function() return the_loop():pollfd() end,
  events = function() return "r" end,
  timeout = function() return first <= last and 0 or the_loop():timeout() end,
}
