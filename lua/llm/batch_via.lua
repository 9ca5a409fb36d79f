--- Batch via: a batch through the provider's half-price batch API. Rows are encoded as for a call
-- of their own, sent as one or several batches, waited for and written as `llm.batch` writes them.
-- Killed at any moment it can be gone on with: see llm.journal and llm.batch_record.
-- @module llm.batch_via
local batch = require "llm.batch"
local core = require "llm.core"
local guard = require "llm.guard"
local journal = require "llm.journal"
local options = require "llm.options"
local output = require "llm.output"
local progress = require "llm.batch_progress"
local record = require "llm.batch_record"
local remote = require "llm.batch_remote"
local submit_rows = require("llm.batch_submit").submit_rows
local task = require "llm.task"

local json = core.json
local POLL, FIRST_POLL = 60, 1 -- seconds between two looks: at most, at first
local PAGES_MAX = 50 -- of a list of batches

local Run = {}
Run.__index = Run

local function say(text)
  io.stderr:write("llmrun: ", core.system.neutralise(text), "\n")
end

local function check(value, err)
  if not value then error(err, 0) end
  return value
end

Run.say = say

-- The line of a row.
function Run:write(row, fields)
  progress.count(self.state, fields)
  check(self.journal:write(nil, row.index, batch.line_of(row, fields)))
end

function Run:write_error(row, kind, message)
  self:write(row, { error = { kind = kind, message = message } })
end

-- --- what a killed run left ----------------------------------------------------------------------

local function find(self, entry)
  local after
  for _ = 1, PAGES_MAX do
    local page = check(remote.patiently(function()
      return remote.ask(self.client, self.wire.list(after))
    end, self.poll))
    local last
    for _, data in ipairs(type(page.data) == "table" and page.data or {}) do
      local found = self.wire.decode_batch(data)
      last = found.id
      local is_free = found.id and not self.record:has(found.id) and not entry.foreign[found.id]
      if is_free and self.wire.is_ours(found, entry) then return found.id end
    end
    if page.has_more ~= true or not last then return nil end
    after = last
  end
end

local function find_lost(self)
  for _, entry in ipairs(self.record:open_batches()) do
    if not entry.id then
      local id = find(self, entry)
      self.record:add { number = entry.number, id = id, over = not id or nil }
      say(("rows %d to %d were being sent when the last run ended; %s %s"):format(entry.first,
        entry.last, self.name, id and "has them as " .. id or "has not got them"))
    end
  end
end

-- --- waiting and collecting ----------------------------------------------------------------------

local function tell(self, state, entry)
  local text = ("%s %s: %s, %d/%d done, %d failed"):format(self.name, entry.id, state.status,
    state.done, entry.count, state.failed)
  if text == self.told then return end
  self.told = text
  if self.state.is_terminal then return output.progress(text) end
  say(text)
end

local function look(self, entry)
  local data = check(remote.patiently(function()
    return remote.ask(self.client, self.wire.look(entry.id))
  end, self.poll))
  return self.wire.decode_batch(data)
end

local function wait_for(self, entry)
  local pause = math.min(FIRST_POLL, self.poll)
  while true do
    local state = look(self, entry)
    tell(self, state, entry)
    if state.ended then return state end
    task.sleep(pause)
    pause = math.min(pause * 1.5, self.poll)
  end
end

-- The rows of a batch with what their lines need; the rows are read once from the first to the last
-- of all batches, but where those are not in order.
local function rows_of(self, entry)
  if not self.reader or self.reader_at >= entry.first then
    self.reader, self.reader_at = self.rows(), 0
  end
  local ids = {}
  while self.reader_at < entry.last do
    local row = self.reader()
    if not row then break end
    self.reader_at = row.index
    local fields = row.fields
    if row.index >= entry.first then ids[row.index] = fields and (fields.id or fields.custom_id) end
  end
  return ids
end

local function fields_of(self, result)
  if not result.body then return { error = { kind = result.kind, message = result.message } } end
  local request = self.client:request("?", { stream = false })
  request.batch = true -- a term of its price
  local answer, err = remote.answer_of(self.client, request, result)
  return answer and batch.of_answer(answer) or batch.of_error(err)
end

local function row_with(index, ids) return { index = index, fields = { id = ids[index] } } end

-- A line of a file of results; what cannot be read or is nobody's is counted, and its row gets an
-- error in the end.
local function take(self, entry, ids, line)
  local data = json.decode(line)
  local result = type(data) == "table" and self.wire.decode_result(data) or {}
  local tag, text = tostring(result.id):match("^(.*)%-(%d+)$")
  local index = tag == entry.tag and tonumber(text)
  if tag and tag ~= entry.tag then self.is_foreign = true end
  if not index or index < entry.first or index > entry.last then return end
  self.is_known = true
  if not self.journal:has(index) then
    self:write(row_with(index, ids), fields_of(self, result))
  end
end

local function write_missing(self, entry, ids, state)
  local message = ("batch %s ended as %s without a result for this row%s"):format(entry.id,
    state.status, state.message and ": " .. state.message or "")
  for index = entry.first, entry.last do
    if not self.journal:has(index) then
      self:write_error(row_with(index, ids), state.ended, message)
    end
  end
end

local function collect(self, entry)
  local state = wait_for(self, entry)
  local ids = rows_of(self, entry)
  self.is_foreign, self.is_known = false, false
  for _, path in ipairs(state.paths) do
    check(remote.patiently(function()
      return remote.lines(self.client, path, function(line) take(self, entry, ids, line) end)
    end, self.poll))
  end
  if self.is_foreign and not self.is_known then
    self.record:add { number = entry.number, foreign = entry.id }
    return
  end
  write_missing(self, entry, ids, state)
  self.record:add { number = entry.number, over = true }
end

local function go(self)
  repeat
    find_lost(self)
    submit_rows(self)
    for _, entry in ipairs(self.record:open_batches()) do collect(self, entry) end
  until not self.record:open_batches()[1]
  return true
end

local function cancel(self)
  find_lost(self)
  for _, entry in ipairs(self.record:open_batches()) do
    check(remote.ask(self.client, self.wire.cancel(entry.id)))
    say(("%s was asked to cancel %s; --resume collects what it has done"):format(self.name,
      entry.id))
  end
  return true
end

--- Called when an error or a signal ended the run: what is at the provider goes on there.
-- Idempotent.
function Run:close()
  if self.closed then return end
  self.closed = true
  output.progress()
  self.journal:close()
  local ids = {}
  for _, entry in ipairs(self.record:open_batches()) do ids[#ids + 1] = entry.id end
  local left = ids[1] and (", and %s works at %s (--cancel ends that)"):format(self.name,
    table.concat(ids, ", ")) or ""
  say(("%d rows are done%s; --resume goes on"):format(self.journal.done, left))
end

local known = {
  client = "table", rows = "function", ask = "function", output = "string", job = "table",
  resume = "boolean", retry_failed = "boolean", unordered = "boolean", cancel = "boolean",
  poll = "number", batch_rows = "number",
}

local function wire_of(client)
  local name = client.provider.batches
  if name then return require("llm.dialect." .. name) end
  options.refuse("llm.batch_via", client.provider_name ..
    " has no batch API that is known here; anthropic and openai have one")
end

local function open(self, opts)
  self.journal = journal.open(opts.output, opts.job or {}, opts)
  self.record = record.open(opts.output .. ".via")
  if self.record.batches[1] and not (opts.resume or opts.retry_failed or opts.cancel) then
    self.journal:close()
    options.refuse("llm.batch_via", opts.output .. ".via tells of batches at the provider; go " ..
      "on with them (resume), or remove it")
  end
end

--- Does the same to every row through the provider's batch API, at half the price and within a day.
-- The lines are those of llm.batch, without `response_time`.
-- @tparam table opts `client`; `rows`: a function that gives an iterator of llm.rows, each time
-- from the start; `ask(row)` gives messages and options of the call; `output`: a file, which
-- `resume` and `retry_failed` go on with; `unordered`, `job` as of llm.batch;
-- `cancel`: only cancels what is at the provider;
-- `poll`: the longest pause between two looks (60 seconds);
-- `batch_rows`: the most rows of a batch (default: what the provider takes)
-- @treturn table `done`, `failed`, `cost` (USD), `tokens`
-- @raise what ended the run; nothing is lost, and it can be gone on with
-- @usage llm.batch_via { client = client, output = "out.jsonl",
--   rows = function() return llm.rows { file = "in.csv" } end,
--   ask = function(row) return row.text end }
local function batch_via(opts)
  options.check(opts, known, "llm.batch_via")
  for _, name in ipairs { "client", "rows", "ask", "output" } do
    if not opts[name] then options.refuse("llm.batch_via", name .. " is missing") end
  end
  local wire = wire_of(opts.client)
  local self = setmetatable({ client = opts.client, name = opts.client.provider_name, wire = wire,
    rows = opts.rows, ask = opts.ask, poll = opts.poll or POLL,
    batch_rows = math.min(opts.batch_rows or wire.requests_max, wire.requests_max) }, Run)
  open(self, opts)
  self.state = progress.new(nil, self.journal.done)
  self.guard = guard.new(self)
  guard.run(self, opts.cancel and cancel or go)
  self.closed = true
  output.progress()
  if opts.cancel then
    self.journal:close()
  else
    self.journal:finish(not opts.unordered)
    self.record:finish()
  end
  return self.state
end

return { batch_via = batch_via }
