--- Batch: the same done to every row of a source of any length, several at once. With a file as
-- its output it can be killed at any moment and gone on with: see llm.journal.
-- @module llm.batch
local each = require "llm.each"
local errors = require "llm.error"
local guard = require "llm.guard"
local journal = require "llm.journal"
local json = require("llm.core").json
local options = require "llm.options"
local output = require "llm.output"
local progress = require "llm.batch_progress"

local HOPELESS_ROWS = 20 -- that fail so one after the other, and none before them was answered

-- What other rows would meet as well; the run ends at once where the second says so.
local hopeless = { authentication = true, permission = true, model_not_found = true, quota = true }
local ends_run = { budget = true, cancelled = true }
local CANCELLED = errors.new("cancelled", "the run ends")

local function of_answer(answer)
  if type(answer) ~= "table" then return { content = tostring(answer) } end
  if not answer.provider then return answer end
  return { content = answer.content, object = answer.object, model = answer.model,
    tokens_used = answer.tokens_used, cost_estimate = answer.cost_estimate,
    response_time = answer.response_time and math.floor(answer.response_time * 1000 + 0.5) / 1000,
    finish_reason = answer.finish_reason, tool_calls = answer.tool_calls, id = nil }
end

-- The only member of its line but `id`: so `error` comes first, which is how a journal knows it.
local function of_error(err)
  return { error = { kind = err.kind, message = tostring(err), raw = err.raw,
    cost_estimate = err.partial and err.partial.cost_estimate } }
end

-- What came of a row, as the members of its line behind the index.
local function line_of(row, fields)
  local source = row.fields
  if source then fields.id = source.id or source.custom_id end
  fields.index = nil
  return json.encode(fields):sub(2)
end

local Run = {}
Run.__index = Run

-- An error that is not of the row ends the run; those that are on their way are waited for.
local function ending_error(self, err)
  if type(err) ~= "table" or not err.kind then return err end
  if ends_run[err.kind] or err.kind == "invalid_request" and not err.status then return err end
  if not hopeless[err.kind] or self.answered then return nil end
  self.hopeless_rows = self.hopeless_rows + 1
  if self.hopeless_rows < HOPELESS_ROWS then return nil end
  return errors.new(err.kind, ("gave up after %d rows that all failed so: %s"):format(
    HOPELESS_ROWS, err.message), { provider = err.provider, status = err.status })
end

-- What a row's line says; nil: it has none, and the run ends.
local function outcome(self, row, ok, value)
  local ending = not ok and not row.error and ending_error(self, value)
  if ending then
    self.ending = self.ending or { ending }
    return nil
  end
  self.answered = self.answered or ok
  local fields = row.error and { error = { kind = "invalid_request", message = row.error } } or
    ok and of_answer(value) or of_error(value)
  progress.count(self.state, fields)
  return fields
end

-- Called when a row has ended, in whatever order: its line is written.
local function ended(self, row, ok, value)
  local fields = outcome(self, row, ok, value)
  if not fields then return end
  local written, message = self.journal:write(row.slot, row.index, line_of(row, fields))
  if not written then self.ending = { message } end
end

-- One row, in a task of its own.
local function work(self, row)
  if self.ending then error(CANCELLED, 0) end
  if self.journal then row.slot = self.journal:begin(row.index) end
  if row.error then error(row.error, 0) end
  local answer, err = self.body(row)
  if answer == nil then error(err or "the function of a batch gave nothing", 0) end
  return answer
end

-- The rows that have no line yet.
local function rows_left(self)
  return function()
    local row
    repeat row = self.rows() until not row or not self.journal or not self.journal:has(row.index)
    return row
  end
end

local function go(self)
  local opts = { concurrency = self.concurrency }
  if self.journal then
    opts.ended = function(row, ok, value) ended(self, row, ok, value) end
  end
  local function body(row) return work(self, row) end
  for _, answer, err, row in each.each(rows_left(self), body, opts) do
    local fields = not self.journal and outcome(self, row, err == nil, answer or err)
    if self.ending then error(self.ending[1], 0) end
    if fields then output.write('{"index":', row.index, ",", line_of(row, fields), "\n") end
    progress.show(self.state)
  end
  return true
end

--- Called when an error or a signal ended the run. Idempotent.
function Run:close()
  if self.closed then return end
  self.closed = true
  progress.finish()
  if not self.journal then return end
  self.journal:close()
  io.stderr:write(("llmrun: %d rows are done; --resume goes on with the others\n"):format(
    self.journal.done))
end

local known = {
  rows = "function", run = "function", output = "string", concurrency = "number", total = "number",
  job = "table", resume = "boolean", retry_failed = "boolean", unordered = "boolean",
}

local function tell_unsure(kept)
  if not kept.unsure[1] then return end
  table.sort(kept.unsure)
  io.stderr:write(("llmrun: %d rows were on their way when the last run ended; they are asked "
    .. "again: %s\n"):format(#kept.unsure, table.concat(kept.unsure, ", ")))
end

--- Does the same to every row. Each gives a line of JSON: `index`, then `content` or what else the
-- function gave, or `error` (`kind`, `message`); `id`, where the row has one; `model`,
-- `tokens_used`, `cost_estimate` (USD), `response_time` (seconds). A row that fails does not stop
-- the others, unless the first twenty all fail for want of a key, a model or money.
-- @tparam table opts `rows`: an iterator of llm.rows; `run(row)` gives a text, a table, a Response,
-- or nil and an error; `concurrency` (8); `output`: a file (default: standard output); with it
-- `resume` (go on with a file that is there), `retry_failed` (that, and failed rows once more),
-- `unordered` (leave the lines in the order in which rows were finished), `job` (`input`, `model`,
-- `task`: texts that must be the same to go on); `total`: the number of rows, where it is known
-- @treturn table `done`, `failed`, `cost` (USD), `tokens`
-- @raise what ended the run: a budget that is used up, an output that cannot be written
-- @usage llm.batch { rows = llm.rows { file = "in.csv" }, output = "out.jsonl",
--   run = function(row) return client:generate_text(row.text) end }
local function batch(opts)
  options.check(opts, known, "llm.batch")
  for _, name in ipairs { "rows", "run" } do
    if not opts[name] then options.refuse("llm.batch", name .. " is missing: a function") end
  end
  local self = setmetatable({ rows = opts.rows, body = opts.run,
    concurrency = opts.concurrency or 8, hopeless_rows = 0 }, Run)
  if opts.output then
    self.journal = journal.open(opts.output, opts.job or {}, opts)
    self.answered = self.journal.done > 0
    tell_unsure(self.journal)
  end
  self.state = progress.new(opts.total, self.journal and self.journal.done or 0)
  self.guard = guard.new(self)
  guard.run(self, go)
  self.closed = true
  progress.finish()
  if self.journal then self.journal:finish(not opts.unordered) end
  return self.state
end

return { batch = batch, of_answer = of_answer, of_error = of_error, line_of = line_of }
