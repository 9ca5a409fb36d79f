--- Batch record: FILE.via, which batches of a job are at the provider. A line is added before a
-- batch is sent and another when its id is known: what lies between the two is what a process that
-- was killed cannot know, and is looked up. The lock of the journal covers it.
-- @module llm.batch_record
local core = require "llm.core"
local errors = require "llm.error"

local json = core.json

local Record = {}
Record.__index = Record

local function refuse(text) error(errors.new("invalid_request", "batch: " .. text), 0) end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text
end

-- Lines add to what those before said of the same batch; a torn one says nothing.
local function take(self, fields)
  local batch = self.batches[fields.number]
  if not batch then
    batch = { foreign = {} }
    self.batches[fields.number] = batch
  end
  if fields.foreign then
    batch.foreign[fields.foreign], batch.id, fields.foreign = true, nil, nil
  end
  for name, value in pairs(fields) do batch[name] = value end
  return batch
end

--- Opens the record that belongs to an output.
-- @tparam string path
-- @treturn Record
local function open(path)
  local self = setmetatable({ path = path, batches = {} }, Record)
  local text = read(path)
  for line in text:gmatch("[^\n]+") do
    local fields = json.decode(line)
    if type(fields) == "table" and (self.batches[fields.number] or fields.first) then
      take(self, fields)
    end
  end
  local message
  self.file, message = io.open(path, "ab")
  if not self.file then refuse(message) end
  if text ~= "" and text:sub(-1) ~= "\n" then self.file:write("\n") end
  return self
end

--- Adds a line.
-- @tparam table fields `number`, and what is new: `tag`, `first`, `last`, `count`, `began` (of the
-- rows and the time); `id`; `foreign` (an id that turned out to be another's); `over` (true)
-- @treturn table all that is known of the batch
function Record:add(fields)
  local ok, message = self.file:write(json.encode(fields), "\n")
  if ok then ok, message = self.file:flush() end
  if not ok then refuse("cannot write " .. self.path .. ": " .. tostring(message)) end
  return take(self, fields)
end

--- The batches that are not over, in the order in which they were begun.
-- @treturn table list
function Record:open_batches()
  local list = {}
  for _, batch in ipairs(self.batches) do
    if not batch.over then list[#list + 1] = batch end
  end
  return list
end

--- Whether an id is a batch of this job.
-- @tparam string id
-- @treturn boolean
function Record:has(id)
  for _, batch in ipairs(self.batches) do
    if batch.id == id then return true end
  end
  return false
end

--- The job is complete.
function Record:finish()
  self.file:close()
  os.remove(self.path)
end

return { open = open }
