--- Streams: a reply as an iterator. The request is sent when the first value is asked for.
-- @module llm.stream
local guard = require "llm.guard"

local Stream = {}
Stream.__index = Stream

local function new(client, request)
  return setmetatable({ client = client, request = request }, Stream)
end

local function open(self)
  if self.closed then error("this stream is closed", 0) end
  local reply, err = self.client.chain(self.request)
  if not reply then
    self.closed = true
    error(err, 0)
  end
  self.reply, self.guard = reply, guard.new(self)
  return reply
end

local function next_text(self)
  local reply = self.reply or open(self)
  local kind, value
  repeat kind, value = reply:next() until kind == "text" or not kind
  return value
end

--- An event of a reply as a table.
-- @tparam string kind what Reply:next gives
-- @param value
-- @treturn table
local function event_of(kind, value)
  if kind == "finish" then return { type = kind, reason = value } end
  if type(value) ~= "table" then return { type = kind, text = value } end
  local event = { type = kind }
  for key, item in pairs(value) do event[key] = item end
  return event
end

local function next_event(self)
  local reply = self.reply or open(self)
  local kind, value = reply:next()
  return kind and event_of(kind, value)
end

--- What has come so far, and all of it after the loop.
-- @treturn Response|nil nil before the first event
function Stream:response()
  return self.reply and self.reply:response()
end

--- Cancels the request at once. Idempotent.
function Stream:close()
  self.closed = true
  if self.reply then self.reply:close() end
end
Stream.__close = Stream.close

-- The fourth value is closed by Lua 5.4 when the loop is left; elsewhere collection does it.
local function texts(client, request)
  local stream = new(client, request)
  return next_text, stream, nil, stream
end

local function events(client, request)
  local stream = new(client, request)
  return next_event, stream, nil, stream
end

return { texts = texts, events = events, event = event_of }
