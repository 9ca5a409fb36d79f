--- Map: a function over a list, several elements at once.
-- A run starts as many tasks as may run together; each starts the next when it ends.
-- @module llm.map
local options = require "llm.options"
local task = require "llm.task"

local Run = {}
Run.__index = Run

function Run:start()
  local index = self.next
  if index > self.count then return end
  self.next = index + 1
  task.start {
    body = self.body, first = self.list[index], second = index, run = self, joined = true,
    coroutine = nil, done = nil, ok = nil, value = nil,
  }
end

-- What progress raises belongs to the caller of map, not to whoever drives the loop now.
local function tell(self, index)
  local ok, problem = pcall(self.progress, self.finished, self.count, index)
  if not ok then self.broken = { problem } end
end

-- Called by llm.task when one of the run's tasks has ended.
function Run:settle(ended)
  local index = ended.second
  if ended.ok then
    self.results[index] = ended.value
  else
    self.failures = self.failures or {}
    self.failures[index] = ended.value
  end
  self.finished = self.finished + 1
  if self.progress then tell(self, index) end
  if self.broken or self.finished == self.count then return task.wake(self) end
  self:start()
end

local known = { concurrency = "number", progress = "function" }

--- Calls a function for every element, several at once; the results keep the order.
-- @tparam table list
-- @tparam function body `body(element, index)`; its first result is kept
-- @tparam[opt] table opts `concurrency` (8), `progress(done, total, index)` after each
-- @treturn table results (`n` is their number)
-- @treturn table|nil index -> error of the elements whose function raised, nil when none did
-- @raise what `progress` raised
-- @usage local answers = llm.map(questions, function(q) return assert(client:generate_text(q)) end)
local function map(list, body, opts)
  opts = options.check(opts, known, "llm.map")
  local concurrency = opts.concurrency or 8
  if concurrency < 1 or concurrency ~= concurrency then
    options.refuse("llm.map", "concurrency must be at least 1")
  end
  local run = setmetatable({
    list = list, body = body, count = #list, next = 1, finished = 0,
    results = { n = #list }, progress = opts.progress,
  }, Run)
  for _ = 1, math.min(concurrency, run.count) do run:start() end
  while run.finished < run.count and not run.broken do task.wait(run) end
  if run.broken then error(run.broken[1], 0) end
  return run.results, run.failures
end

return { map = map }
