--- Recording: exchanges kept in a file, and played back without a socket. The file holds one JSON
-- object a line: provider, path and body of the request; status, headers and frames of the reply,
-- each with its time in milliseconds. Credentials are masked in all of it, and only the owner may
-- read it. A request is found again by its canonical bytes.
-- @module llm.recording
local core = require "llm.core"
local errors = require "llm.error"
local headers_of = require "llm.headers"
local log = require "llm.log"
local options = require "llm.options"
local playback = require "llm.playback"
local secret = require "llm.secret"
local task = require "llm.task"

local clock, decode, encode = core.loop.clock, core.json.decode, core.json.encode

local Recording = {}
Recording.__index = Recording

-- --- what is written -----------------------------------------------------------------------------

-- A credential may be escaped in JSON; the canonical form escapes nothing that it consists of.
local function clean(text)
  text = secret.scrub(text)
  local value = decode(text)
  if type(value) ~= "table" then return text end
  local canonical = encode(value)
  local masked = secret.scrub(canonical)
  return masked ~= canonical and masked or text
end

local function clean_headers(block)
  local headers = headers_of.parse(block)
  headers["set-cookie"] = nil
  for name, value in pairs(headers) do headers[name] = secret.scrub(value) end
  return headers
end

-- The address is not part of it: neither the host nor the query, which may carry the key.
local function request_of(call, setup, body)
  return encode {
    provider = call.provider.name,
    path = secret.scrub(setup.url:match("^%a+://[^/]*([^?]*)")),
    body = body and decode(clean(body)) or nil,
  }
end

-- A transfer that notes what comes. It is written when it is over, or when its listener leaves.
local Recorder = {}
Recorder.__index = Recorder
for _, name in ipairs { "status", "header", "headers", "phase", "sent", "touch", "ready",
  "expect_end" } do
  Recorder[name] = function(self, ...) return self.transfer[name](self.transfer, ...) end
end

function Recorder:next()
  local kind, data, name = self.transfer:next()
  if kind then
    self.frames[#self.frames + 1] = { math.floor((clock() - self.started) * 1000 + 0.5), kind,
      data and clean(data), name }
  end
  if kind == "end" or kind == "error" then self:write() end
  return kind, data, name
end

function Recorder:write()
  if self.written then return end
  self.written = true
  local transfer = self.transfer
  self.recording:append {
    request = self.request, status = transfer:status(), phase = transfer:phase(),
    sent = transfer:sent(), headers = clean_headers(transfer:headers()), frames = self.frames,
  }
end

function Recorder:close()
  self:write()
  self.transfer:close()
end

function Recording:append(take)
  local line = encode { request = decode(take.request), status = take.status, phase = take.phase,
    sent = take.sent, headers = take.headers, frames = take.frames }
  local ok, message = self.file:write(line, "\n")
  if ok then ok, message = self.file:flush() end
  if not ok then log.write("error", "record", self.path .. ": " .. tostring(message)) end
end

-- --- what is read --------------------------------------------------------------------------------

local function next_frame(self)
  local frame = self.frames[self.at]
  if not frame then return "error", "cut", "the recording ends where its listener left" end
  if self.timing then
    local left = frame[1] / 1000 - (clock() - self.started)
    if left > 0 then task.sleep(left) end
  end
  self.at = self.at + 1
  return frame[2], frame[3], frame[4]
end

local function play(self, take)
  local transfer = playback.new(take, next_frame)
  transfer.frames, transfer.at = take.frames, 1
  transfer.timing, transfer.started = self.timing, clock()
  return transfer
end

local function load(self, file)
  for line in file:lines() do
    local take = decode(line)
    local number = #self.takes + 1
    if type(take) ~= "table" or type(take.frames) ~= "table" then
      options.refuse("recording", ("%s:%d is no recorded exchange"):format(self.path, number))
    end
    self.takes[number] = take
    local key = encode(take.request)
    local list = self.by_request[key] or { used = 0 }
    self.by_request[key] = list
    list[#list + 1] = take
  end
  file:close()
end

-- The takes of one request are played in their order, the last one again and again.
local function take_of(self, request)
  local list = self.by_request[request]
  if not list then return nil end
  list.used = math.min(list.used + 1, #list)
  return list[list.used]
end

-- --- what differs --------------------------------------------------------------------------------

local function excerpt(value, from)
  if type(value) ~= "string" then return value == nil and "nothing" or encode(value):sub(1, 40) end
  local start = math.max(1, from - 10)
  return ("%s%q%s"):format(start > 1 and "..." or "", value:sub(start, start + 39),
    #value > start + 39 and "..." or "")
end

local function first_difference(a, b)
  if type(a) ~= "string" or type(b) ~= "string" then return 1 end
  for i = 1, math.max(#a, #b) do
    if a:byte(i) ~= b:byte(i) then return i end
  end
end

local function compare(recorded, asked, path, found)
  if type(recorded) ~= "table" or type(asked) ~= "table" then
    if recorded ~= asked then
      local at = first_difference(recorded, asked)
      found[#found + 1] = ("%s: recorded %s, asked %s"):format(
        path, excerpt(recorded, at), excerpt(asked, at))
    end
    return found
  end
  local names = {}
  for name in pairs(recorded) do names[#names + 1] = name end
  for name in pairs(asked) do
    if recorded[name] == nil then names[#names + 1] = name end
  end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do
    local step = type(name) == "number" and "[" .. name .. "]" or path ~= "" and "." .. name or name
    compare(recorded[name], asked[name], path .. step, found)
  end
  return found
end

local function miss(self, request)
  local asked, nearest, line = decode(request), nil, nil
  for i, take in ipairs(self.takes) do
    local found = compare(take.request, asked, "", {})
    if not nearest or #found < #nearest then nearest, line = found, i end
  end
  local text = "nothing is recorded in " .. self.path
  if nearest then
    text = ("this request is not in %s; the nearest, on line %d, differs in %d place%s: %s"):format(
      self.path, line, #nearest, #nearest == 1 and "" or "s", table.concat(nearest, "; "))
  end
  return errors.new("invalid_request", text, { provider = asked.provider, differences = nearest })
end

-- --- in between ----------------------------------------------------------------------------------

-- Starts what the exchange starts: a recorded reply, or a real one that is recorded.
local Http = {}
Http.__index = Http

function Http:start(setup, body)
  local recording, call = self.recording, self.call
  local request = request_of(call, setup, body)
  local take = take_of(recording, request)
  if take then
    local transfer = play(recording, take)
    return transfer, transfer
  end
  if self.offline then return nil, miss(recording, request) end
  -- Without the skimmer each frame comes as it was sent.
  local transfer, id = call.client.transport.http:start(setup, body)
  if not transfer then return nil, id end
  return setmetatable({ recording = recording, transfer = transfer, request = request,
    frames = {}, started = clock() }, Recorder), id
end

--- What stands in for the HTTP client of one call.
-- @tparam table call
-- @treturn table with the method `start`
function Recording:http(call)
  return setmetatable({ recording = self, call = call, offline = self.offline }, Http)
end

local modes = { record = true, replay = true, auto = true }

local function open_files(self, mode)
  local file, message
  if mode ~= "record" then file, message = io.open(self.path, "rb") end
  if file then load(self, file) end
  if mode == "replay" then return file, message end
  local ok = file
  if not file then ok, message = core.system.create(self.path) end
  if ok then self.file, message = io.open(self.path, "ab") end
  return self.file, message
end

--- Opens a recording.
-- @tparam string path
-- @tparam string mode `"record"` (the file is begun anew), `"replay"` (a request that is not in it
-- is an error) or `"auto"` (what is not in it is asked and added)
-- @tparam[opt] boolean timing replies take the time that they took
-- @treturn Recording
-- @raise invalid_request when the file cannot be opened or is no recording
local function open(path, mode, timing)
  if not modes[mode] then
    options.refuse("recording", 'mode must be "record", "replay" or "auto", not ' .. tostring(mode))
  end
  local self = setmetatable({ path = path, offline = mode == "replay", timing = timing,
    takes = {}, by_request = {} }, Recording)
  local ok, message = open_files(self, mode)
  if not ok then options.refuse("recording", message) end
  return self
end

return { open = open }
