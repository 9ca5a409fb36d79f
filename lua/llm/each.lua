--- Each: a function over rows as they come, several at once; the results leave in the order of the
-- rows. What map is for a list, this is for a source of any length: no more is read than fits.
-- @module llm.each
local options = require "llm.options"
local task = require "llm.task"

local AHEAD = 16 -- rows that may be done before the oldest one is, for each that runs

local Each = {}
Each.__index = Each

local function fill(self)
  while not self.over and self.running < self.concurrency and
    self.read - self.given < AHEAD * self.concurrency do
    local row = self.source()
    if row == nil then
      self.over = true
      return
    end
    self.read, self.running = self.read + 1, self.running + 1
    local started = { body = self.body, first = row, second = self.read, run = self,
      joined = true }
    self.tasks[self.read] = started
    task.start(started)
  end
end

-- Called by llm.task when one of ours has ended.
function Each:settle(ended)
  self.running = self.running - 1
  if self.ended then self.ended(ended.first, ended.ok, ended.value) end
  task.wake(self)
end

--- Cancels what still runs. Idempotent.
function Each:close()
  self.over = true
  for _, started in pairs(self.tasks) do started:cancel() end
end
Each.__close = Each.close

local function next_result(self)
  fill(self)
  local index = self.given + 1
  local oldest = self.tasks[index]
  if not oldest then return nil end
  while not oldest.done do
    task.wait(self)
    fill(self)
  end
  self.given, self.tasks[index] = index, nil
  if oldest.ok then return index, oldest.value, nil, oldest.first end
  return index, nil, oldest.value, oldest.first
end

local function source_of(list)
  if type(list) == "function" then return list end
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

local known = { concurrency = "number", ended = "function" }

--- Calls a function for every row, several at once. Leaving the loop cancels what runs.
-- @tparam table|function rows a list, or an iterator that gives a row or nil
-- @tparam function body `body(row, index)`; its first result is kept
-- @tparam[opt] table opts `concurrency` (8); `ended(row, ok, result or error)` hears of each row as
-- soon as it has ended, and must neither wait nor raise
-- @return an iterator for `for`: index, result, the error that the function raised, row
-- @usage for i, answer, err in llm.each(questions, ask) do print(i, answer or err) end
local function each(rows, body, opts)
  opts = options.check(opts, known, "llm.each")
  local concurrency = opts.concurrency or 8
  if concurrency < 1 or concurrency ~= concurrency then
    options.refuse("llm.each", "concurrency must be at least 1")
  end
  local self = setmetatable({ source = source_of(rows), body = body, concurrency = concurrency,
    ended = opts.ended, tasks = {}, running = 0, read = 0, given = 0 }, Each)
  return next_result, self, nil, self
end

return { each = each }
