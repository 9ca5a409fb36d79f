--- luv: our loop inside libuv's. A call inside a coroutine then waits without holding up libuv;
-- `uv.run()` ends when nothing of ours and nothing of libuv's is left. Say detach() before the
-- process forks or libuv's loop is closed: a descriptor must not be closed while it is watched.
-- @usage require("llm.host.luv").attach()
-- coroutine.wrap(function() print(client:generate_text("Hi")) end)()
-- uv.run()
-- @module llm.host.luv
local task = require "llm.task"
local uv = require "luv"

local watch, prepare -- prepare runs each time before libuv waits

local function run_spawned()
  if task.timeout() == 0 then task.step(0) end
  if task.live() > 0 then watch:ref() else watch:unref() end
end

local function suspend(register)
  watch:ref()
  register(coroutine.running())
  coroutine.yield()
end

local function wake(co)
  local ok, problem = coroutine.resume(co)
  if not ok then error(debug.traceback(co, tostring(problem)), 0) end
end

local function attach()
  watch, prepare = uv.new_poll(assert(task.pollfd(), "no descriptor to watch")), uv.new_prepare()
  watch:start("r", function() task.step(0) end)
  prepare:start(run_spawned)
  prepare:unref()
  task.attach { suspend = suspend, wake = wake }
end

local function detach()
  if not watch then return end
  task.attach(nil)
  watch:stop()
  watch:close()
  prepare:close()
  watch, prepare = nil, nil
end

return { attach = attach, detach = detach }
