--- Playback: a transfer without a socket, with the methods that core/http gives to a reply. It
-- hands out recorded bytes through a framer of the core, or recorded frames as they are.
-- @module llm.playback
local core = require "llm.core"

local Playback = {}
Playback.__index = Playback

function Playback:status() return self.recording.status end
function Playback:header(name) return self.recording.headers[name] end
function Playback:headers()
  local lines = {}
  for name, value in pairs(self.recording.headers) do
    lines[#lines + 1] = name .. ": " .. value .. "\r\n"
  end
  table.sort(lines)
  return table.concat(lines)
end
function Playback:phase() return self.recording.phase or "stream" end
function Playback:sent() return self.recording.sent ~= false end
function Playback:expect_end() self.is_closed = true end
function Playback.ready() return true end
function Playback.touch() end
function Playback.close() end

--- Makes a transfer of what the function gives.
-- @tparam table recording `status`, `headers` (names in lower case), `phase`, `sent`
-- @tparam function next as the method of a transfer: `next(self) -> kind, data, name`
-- @treturn Playback
local function new(recording, next)
  return setmetatable({ recording = recording, next = next }, Playback)
end

-- As core/transfer.c: only a good reply of the wanted kind is a stream.
local function frame_of(dialect, recording)
  local content_type = recording.headers["content-type"] or ""
  local is_good = recording.status >= 200 and recording.status <= 299
    and not content_type:find("html", 1, true)
    and not content_type:find("application/json", 1, true)
  return is_good and dialect.frame or "json"
end

-- The first event is always the dialect's; a delta without text is nobody's.
local function show(self, frame)
  local text = self.begun and self.skimmer and self.skimmer:text(frame.data)
  self.begun = true
  if not text then return "event", frame.data, frame.event end
  if text ~= "" then return "text", text end
end

local function next_of_bytes(self)
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

--- Makes a transfer of bytes.
-- @tparam table dialect
-- @tparam table recording
-- @tparam table chunks list of byte strings as they come from the network
-- @param[opt] skimmer of the dialect
-- @treturn Playback
local function of_bytes(dialect, recording, chunks, skimmer)
  local self = new(recording, next_of_bytes)
  self.chunks, self.at = chunks, 0
  self.kind = frame_of(dialect, recording)
  self.skimmer = self.kind ~= "json" and skimmer or nil
  self.framer = assert(core.framer.new(self.kind))
  return self
end

return { new = new, of_bytes = of_bytes }
