--- A transfer without a socket: what core/http gives to a reply, from bytes that were recorded.
local core = require "llm.core"

local Transfer = {}
Transfer.__index = Transfer

-- As core/transfer.c: only a good reply of the wanted kind is a stream.
local function frame_of(dialect, recording)
  local content_type = recording.headers["content-type"] or ""
  local is_good = recording.status >= 200 and recording.status <= 299
    and not content_type:find("html", 1, true)
    and not content_type:find("application/json", 1, true)
  return is_good and dialect.frame or "json"
end

--- @tparam table dialect
-- @tparam table recording status, headers (names in lower case)
-- @tparam table chunks list of byte strings as they come from the network
-- @param[opt] skimmer of the dialect
-- @treturn Transfer
function Transfer.new(dialect, recording, chunks, skimmer)
  local self = setmetatable({ recording = recording, chunks = chunks, at = 0 }, Transfer)
  self.kind = frame_of(dialect, recording)
  self.skimmer = self.kind ~= "json" and skimmer or nil
  self.framer = assert(core.framer.new(self.kind))
  return self
end

-- The first event is always the dialect's; a delta without text is nobody's.
local function show(self, frame)
  local text = self.begun and self.skimmer and self.skimmer:text(frame.data)
  self.begun = true
  if not text then return "event", frame.data, frame.event end
  if text ~= "" then return "text", text end
end

function Transfer:next()
  if self.over then return "end" end
  while true do
    local frame, message = self.framer:next()
    if message then return "error", "syntax", message end
    if frame then
      local kind, data, name = show(self, frame)
      if kind then return kind, data, name end
    else
      self.at = self.at + 1
      if not self.chunks[self.at] then break end
      assert(self.framer:feed(self.chunks[self.at]))
    end
  end
  self.over = true
  local rest, message = self.framer:finish()
  if message then return "error", "cut", message end
  if rest then return self.kind == "json" and "event" or "rest", rest.data, rest.event end
  return "end"
end

function Transfer:status() return self.recording.status end
function Transfer:header(name) return self.recording.headers[name] end
function Transfer:headers()
  local lines = {}
  for name, value in pairs(self.recording.headers) do
    lines[#lines + 1] = name .. ": " .. value .. "\r\n"
  end
  return table.concat(lines)
end
function Transfer.ready() return true end
function Transfer.phase() return "stream" end
function Transfer.sent() return true end
function Transfer.touch() end
function Transfer:expect_end() self.is_closed = true end
function Transfer.close() end

return Transfer
