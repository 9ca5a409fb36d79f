--- Batch: the tool calls of one step, run as tasks side by side. Whoever drops it (see llm.guard)
-- or closes it cancels those that still run.
-- @module llm.tool_batch
local errors = require "llm.error"
local task = require "llm.task"
local time = require "llm.time"

local Batch = {}
Batch.__index = Batch

--- Makes an empty batch.
-- @tparam number most how many calls may run at once
-- @treturn Batch
local function new(most)
  return setmetatable({ most = most, jobs = {}, next_job = 1, running = {}, running_count = 0,
    ended = {}, next_ended = 1, timer = nil, timer_id = nil, closed = nil }, Batch)
end

--- Adds a call. The first of those that end is waited for by `next`.
-- @tparam table call its record; `call.time` is set at the end (seconds)
-- @tparam Tool tool
-- @tparam table arguments
function Batch:add(call, tool, arguments)
  self.jobs[#self.jobs + 1] = { body = tool.run, first = arguments, second = call, run = self,
    joined = true, tool = tool, started = nil, coroutine = nil, done = nil, ok = nil, value = nil }
  self:fill()
end

-- Starts what may run.
function Batch:fill()
  while self.running_count < self.most and self.jobs[self.next_job] do
    local job = self.jobs[self.next_job]
    self.next_job, self.running_count = self.next_job + 1, self.running_count + 1
    job.started = time.clock()
    self.running[job] = job.started + job.tool.timeout
    task.start(job)
  end
end

-- Called by llm.task when a call has ended.
function Batch:settle(job)
  job.second.time = time.clock() - job.started
  self.running[job], self.running_count = nil, self.running_count - 1
  self.ended[#self.ended + 1] = job
  if self.closed then return end
  self:fill()
  task.wake(self.timer_id or self)
end

-- Stops what is late; the time of the next that will be.
function Batch:stop_late()
  local now, first = time.clock(), math.huge
  for job, deadline in pairs(self.running) do
    if deadline > now then
      first = math.min(first, deadline)
    else
      self.running[job] = math.huge
      job:cancel(errors.new("timeout", ("it took longer than %g s and was stopped"):format(
        job.tool.timeout)))
    end
  end
  return first - now
end

function Batch:wait()
  local left = self:stop_late()
  if self.ended[self.next_ended] then return end
  if left == math.huge then return task.wait(self) end
  self.timer, self.timer_id = task.loop():timer(left)
  task.wait(self.timer_id)
  self:disarm()
end

function Batch:disarm()
  if self.timer then self.timer:close() end
  self.timer, self.timer_id = nil, nil
end

--- Waits for a call to end.
-- @treturn table|nil a task with `ok`, `value`, `more`, `tool` and the record as `second`; nil when
-- all were handed out
function Batch:next()
  local index = self.next_ended
  if index > #self.jobs then return nil end
  while not self.ended[index] do self:wait() end
  self.next_ended = index + 1
  return self.ended[index]
end

--- Cancels what still runs. Idempotent.
function Batch:close()
  self.closed = true
  self:disarm()
  for job in pairs(self.running) do job:cancel() end
end

return { new = new }
