--- Journal: the output of a batch is its own record. FILE gets one whole line a row as rows are
-- finished; beside it FILE.job, which is there as long as the job is not complete, says in its
-- first line what the job is and who works at it, and then in lines of one length which rows are
-- on their way: what a process that was killed may have asked without writing the answer.
-- @module llm.journal
local core = require "llm.core"
local errors = require "llm.error"

local system = core.system
local BLOCK = 1024 * 1024
local HEAD, SLOT = 4096, 20 -- bytes of the description, of a row on its way
local ROW = "%-" .. SLOT - 1 .. "d\n"

local Journal = {}
Journal.__index = Journal

local function refuse(text) error(errors.new("invalid_request", "batch: " .. text), 0) end

local function must(value, message)
  if not value then refuse(message) end
  return value
end

-- Rows that are done: all below `next`, and those beyond it.
local function mark(self, index)
  self.done = self.done + 1
  if index ~= self.next then
    self.beyond[index] = true
    return
  end
  repeat
    self.beyond[self.next] = nil
    self.next = self.next + 1
  until not self.beyond[self.next]
end

--- Whether a row has its line.
function Journal:has(index) return index < self.next or self.beyond[index] == true end

-- Calls f(index, is_error, from, to) for each whole line of a file; gives where the last one ends.
local function scan(path, f)
  local file = io.open(path, "rb")
  if not file then return 0 end
  local rest, base = "", 0 -- what is left of the block before, and where it begins
  while true do
    local bytes = file:read(BLOCK)
    if not bytes then break end
    local block, at = rest .. bytes, 1
    local stop = block:find("\n", at, true)
    while stop do
      local index, key = block:match('^{"index":(%d+),"(%a+)"', at)
      if index then f(tonumber(index), key == "error", base + at - 1, base + stop) end
      at = stop + 1
      stop = block:find("\n", at, true)
    end
    rest, base = block:sub(at), base + at - 1
  end
  file:close()
  return base
end

local function read_range(file, from, to)
  file:seek("set", from)
  return file:read(to - from)
end

-- Copies some lines of FILE to a draft that takes its place.
local function rewrite(path, body)
  local draft = path .. ".new"
  local from, to = assert(io.open(path, "rb")), must(io.open(draft, "wb"))
  body(from, to)
  from:close()
  must(to:close())
  must(os.rename(draft, path))
end

-- Failed rows lose their lines, so that they are done again; a row keeps the line it has otherwise.
local function drop_failed(path)
  rewrite(path, function(from, to)
    scan(path, function(_, is_error, first, last)
      if not is_error then must(to:write(read_range(from, first, last))) end
    end)
  end)
end

-- The rows that were on their way when the last process ended.
local function read_slots(text)
  local rows = {}
  for index in text:sub(HEAD + 1):gmatch("(%d+)%s*\n") do
    if tonumber(index) > 0 then rows[#rows + 1] = tonumber(index) end
  end
  return rows
end

local function compare(job, before)
  for _, name in ipairs { "input", "model", "task" } do
    if job[name] ~= before[name] then
      refuse(("the output belongs to another job: %s was %s, now it is %s"):format(
        name, tostring(before[name]), tostring(job[name])))
    end
  end
end

local function describe(job)
  local text = core.json.encode(job)
  if #text >= HEAD then refuse("the description of the job is too long") end
  return text .. (" "):rep(HEAD - 1 - #text) .. "\n"
end

local function lock(path)
  local held, message = system.lock(path)
  if held then return held end
  local file = io.open(path, "rb")
  local job = file and core.json.decode(file:read("*l") or "")
  if file then file:close() end
  refuse(job and ("%s is locked by process %d"):format(path, job.pid) or message)
end

local function size_of(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local size = file:seek("end")
  file:close()
  return size
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text
end

local function take_up(self, job, opts)
  local before = read(self.job_path)
  if before ~= "" then compare(job, core.json.decode(before:match("^[^\n]*")) or {}) end
  if opts.retry_failed then drop_failed(self.path) end
  local whole = scan(self.path, function(index) mark(self, index) end)
  if whole < size_of(self.path) then must(system.truncate(self.path, whole)) end
  for _, index in ipairs(read_slots(before)) do
    if not self:has(index) then self.unsure[#self.unsure + 1] = index end
  end
end

--- Opens the journal of a job.
-- @tparam string path of the output
-- @tparam table job `input`, `model`, `task`: what must be the same to go on
-- @tparam table opts `resume`, `retry_failed`
-- @treturn Journal with `done` (rows that have their line), `unsure` (rows that were on their way
-- when the last process ended, and may have been paid for)
-- @raise invalid_request: the output is there and nothing was said of going on, belongs to another
-- job, or another process works at it
local function open(path, job, opts)
  local self = setmetatable({ path = path, job_path = path .. ".job", next = 1, beyond = {},
    done = 0, unsure = {}, free = {}, slots = 0 }, Journal)
  local is_there = size_of(path) ~= nil
  local goes_on = opts.resume or opts.retry_failed
  if is_there and not goes_on then
    refuse(("%s is there already; --resume goes on with it"):format(path))
  end
  self.lock = lock(self.job_path)
  if is_there then take_up(self, job, opts) end
  job.pid = system.pid()
  must(system.truncate(self.job_path, 0))
  must(self.lock:put(0, describe(job)))
  self.file = must(io.open(path, "ab"))
  self.file:setvbuf("full", 65536)
  return self
end

--- Notes that a row is on its way.
-- @treturn number for `write`
function Journal:begin(index)
  local slot = table.remove(self.free)
  if not slot then slot, self.slots = self.slots, self.slots + 1 end
  must(self.lock:put(HEAD + slot * SLOT, ROW:format(index)))
  return slot
end

--- Writes the line of a row, whole.
-- @tparam number slot what `begin` gave
-- @tparam number index
-- @tparam string rest members of the line after its index: `"content":…}`
-- @treturn boolean true
-- @treturn nil, string
function Journal:write(slot, index, rest)
  local ok, message = self.file:write('{"index":', ("%d"):format(index), ",", rest, "\n")
  if ok then ok, message = self.file:flush() end
  if not ok then return nil, "cannot write the output: " .. tostring(message) end
  mark(self, index)
  self.free[#self.free + 1] = slot
  return true
end

-- Puts the lines into the order of the rows. Most stand there already: only those that stand too
-- early are remembered, by their place.
local function put_in_order(path)
  local early, next_index, is_sorted = {}, 1, true
  local last = 0
  scan(path, function(index)
    is_sorted = is_sorted and index > last
    last = index
  end)
  if is_sorted then return end
  rewrite(path, function(from, to)
    local function copy(first, length) must(to:write(read_range(from, first, length))) end
    scan(path, function(index, _, first, last_byte)
      if index ~= next_index then
        early[index] = { first, last_byte }
        return
      end
      copy(first, last_byte)
      next_index = next_index + 1
      while early[next_index] do
        copy(early[next_index][1], early[next_index][2])
        early[next_index] = nil
        next_index = next_index + 1
      end
    end)
    local left = {}
    for index in pairs(early) do left[#left + 1] = index end
    table.sort(left)
    for _, index in ipairs(left) do copy(early[index][1], early[index][2]) end
  end)
end

--- The job is complete.
-- @tparam boolean in_order the lines are put into the order of the rows
function Journal:finish(in_order)
  must(self.file:close())
  if in_order then put_in_order(self.path) end
  os.remove(self.job_path)
  self:close()
end

--- Lets go of the files. What is not complete can be gone on with. Idempotent.
function Journal:close()
  if not self.lock then return end
  self.lock:close()
  self.lock = nil
end

return { open = open }
