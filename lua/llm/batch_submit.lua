--- Batch submit: sends the rows of a batch run that have no line to the provider's batch API.
-- @module llm.batch_submit
local core = require "llm.core"
local errors = require "llm.error"
local remote = require "llm.batch_remote"
local time = require "llm.time"

local BYTES_MAX = 4 * 1024 * 1024 -- of a batch: it is in memory until it is sent

local function encode_row(self, row)
  if row.error then return nil, row.error end
  local messages, opts = self.ask(row)
  local request = self.client:request(messages, opts)
  request.stream = false
  local wire, problem = self.client.provider.dialect.encode_request(request, self.client.provider)
  if not wire then return nil, problem end
  return self.wire.encode_item(self.pending.tag .. "-" .. row.index, wire)
end

-- What a provider refused is not there; what became of anything else, a resumed run finds out.
local function create(self, items, entry)
  local file, reply, err
  if self.wire.upload then
    reply, err = remote.ask(self.client, self.wire.upload(items))
    file = reply and reply.id
    if not reply then
      self.record:add { number = entry.number, over = true }
      error(err, 0)
    end
  end
  reply, err = remote.ask(self.client, self.wire.create(items, file, entry.tag))
  local id = reply and self.wire.decode_batch(reply).id
  if id then return id end
  err = err or errors.new("protocol", "the reply to a new batch does not name it",
    { provider = self.name })
  if err.status and err.status < 500 then
    self.record:add { number = entry.number, over = true }
  end
  error(err, 0)
end

local function new_pending(self)
  local number = #self.record.batches + 1
  self.pending = { items = {}, bytes = 0, number = number,
    tag = ("r%x-%d-%d"):format(math.floor(time.now() * 1000), core.system.pid(), number) }
end

local function submit(self)
  local pending = self.pending
  if pending.items[1] then
    local entry = self.record:add { number = pending.number, tag = pending.tag,
      first = pending.first, last = pending.last, count = #pending.items,
      began = math.floor(time.now()) }
    local id = create(self, pending.items, entry)
    self.record:add { number = entry.number, id = id }
    self.say(("%s has rows %d to %d as %s"):format(self.name, entry.first, entry.last, id))
  end
  new_pending(self)
end

local function is_at_provider(open, index)
  for _, entry in ipairs(open) do
    if index >= entry.first and index <= entry.last then return true end
  end
  return false
end

local function add(self, row)
  local item, problem = encode_row(self, row)
  if not item then return self:write_error(row, "invalid_request", problem) end
  local pending = self.pending
  pending.first, pending.last = pending.first or row.index, row.index
  pending.items[#pending.items + 1], pending.bytes = item, pending.bytes + #item
  if #pending.items == self.batch_rows or pending.bytes >= BYTES_MAX then submit(self) end
end

-- Sends the rows that have no line and are at the provider with no batch. The rows of a batch are
-- a range that no other one has a part in.
local function submit_rows(self)
  local open = self.record:open_batches()
  new_pending(self)
  for row in self.rows() do
    if is_at_provider(open, row.index) then
      submit(self)
    elseif not self.journal:has(row.index) then
      add(self, row)
    end
  end
  submit(self)
end

return { submit_rows = submit_rows }
