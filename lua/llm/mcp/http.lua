--- Http: MCP messages over streamable HTTP: each of ours is posted, its answer comes as JSON or as
-- a stream of events, which is taken up again where it broke off. What the server says unasked
-- comes on a stream of its own.
-- @module llm.mcp.http
local errors = require "llm.error"
local failure = require "llm.failure"
local http = require "llm.http"
local log = require "llm.log"
local task = require "llm.task"
local time = require "llm.time"

local Http = {}
Http.__index = Http

local RESUMES = 5   -- in a row without a message
local PATIENCE = 10 -- seconds for what has no answer

--- @tparam table fields `name`, `url`, `headers`
-- @treturn Http
local function new(fields)
  fields.posts = {}
  return setmetatable(fields, Http)
end

local function headers_of(self, more)
  local headers = { Accept = "application/json, text/event-stream",
    ["Mcp-Session-Id"] = self.session, ["MCP-Protocol-Version"] = self.version }
  for _, source in ipairs { self.headers or {}, more } do
    for name, value in pairs(source) do headers[name] = value end
  end
  return headers
end

-- What a status that is no success means.
local function refusal(self, status, body, is_unasked)
  local kind = status >= 300 and status < 400 and "protocol" or status == 404 and "invalid_request"
    or failure.kind_of_status(status)
  local said = body:gsub("%s+", " "):sub(1, 200)
  local err = errors.new(kind, ("the MCP server answered HTTP %d%s"):format(status,
    said ~= "" and ": " .. said or ""), { provider = self.name, status = status })
  if status == 404 and self.session and not is_unasked then
    err.is_lost, self.session, self.version = true, nil, nil
  end
  return err
end

-- Posts what has no answer.
local function post(self, text)
  local status, body = http.fetch { method = "POST", url = self.url, body = text,
    headers = headers_of(self, { ["Content-Type"] = "application/json" }), deadline = PATIENCE }
  local err = not status and body or status > 299 and refusal(self, status, body)
  if err then log.write("warn", self.name, "a message was not delivered: " .. tostring(err)) end
end

local function open(entry, request)
  request.frame, request.first_timeout, request.timeout = "sse", entry.timeout, entry.timeout
  local transfer, id = http.start(request)
  if not transfer then return nil, id end
  entry.transfer, entry.key = transfer, id
  return true
end

function Http:send(text, entry)
  if not entry then
    self.posts[#self.posts + 1] = task.spawn(post, self, text)
    return true
  end
  return open(entry, { method = "POST", url = self.url, body = text,
    headers = headers_of(self, { ["Content-Type"] = "application/json" }) })
end

local function settle(self)
  local posts = self.posts
  self.posts = {}
  for _, posted in ipairs(posts) do posted:join() end
end

-- --- what comes ----------------------------------------------------------------------------------

-- The stream is over and the answer has not come: ask for the rest of it, after a while.
local function resume_later(entry, err)
  local last_id, seconds = entry.transfer:resumption()
  entry.last_id = last_id or entry.last_id
  entry.resumes = (entry.resumes or 0) + 1
  if not entry.is_unasked and not (entry.last_id and entry.resumes <= RESUMES) then
    return nil, err
  end
  entry.transfer:close()
  entry.transfer, entry.resume_at = nil, time.clock() + (seconds or 1)
  return true
end

local function resume(self, entry)
  if time.clock() < entry.resume_at then return true end
  entry.resume_at = nil
  return open(entry, { method = "GET", url = self.url,
    headers = headers_of(self, { ["Last-Event-ID"] = entry.last_id }) })
end

local function on_end(self, entry)
  local status = entry.transfer:status()
  if status > 299 then
    return nil, refusal(self, status, entry.refused or "", entry.is_unasked)
  end
  return resume_later(entry, errors.new("protocol", ("the MCP server ended its reply to %s " ..
    "before the answer"):format(entry.method), { provider = self.name, status = status }))
end

local function on_error(self, entry, code, message)
  local err = http.failure(code, message)
  err.provider = self.name
  local is_final = code == "timeout" or code == "protocol" or entry.transfer:status() == 0
  if is_final then return nil, err end
  return resume_later(entry, err)
end

local function on_message(self, entry, data, receive)
  local transfer = entry.transfer
  if transfer:status() > 299 then
    entry.refused = data
    return
  end
  self.session = transfer:header("mcp-session-id") or self.session
  transfer:touch()
  if data == "" then return end
  entry:extend()
  entry.resumes = 0
  receive(data)
end

function Http:pump(entry, receive)
  if not entry then return true end
  if entry.resume_at then
    local ok, err = resume(self, entry)
    if not ok or entry.resume_at then return ok, err end
  end
  while true do
    local kind, data, message = entry.transfer:next()
    if not kind then return true end
    if kind == "end" then return on_end(self, entry) end
    if kind == "error" then return on_error(self, entry, data, message) end
    on_message(self, entry, data, receive)
    if entry.answer then return true end
  end
end

function Http:park(entry) -- luacheck: ignore
  if not entry.resume_at then
    entry.parked = entry.key
    return task.wait(entry.key)
  end
  local timer, id = task.loop():timer(math.max(0, entry.resume_at - time.clock()))
  entry.parked = id
  task.wait(id)
  timer:close()
end

-- A server that has nothing to say unasked answers 405.
local function listen(self, entry)
  local peer = entry.peer
  local ok, err = open(entry, { method = "GET", url = self.url, headers = headers_of(self, {}) })
  while ok do
    ok, err = self:pump(entry, peer.receiver)
    if ok then self:park(entry) end
  end
  log.write("debug", self.name, "it is not listened to: " .. tostring(err))
end

local function hush(self)
  local listener = self.listener
  if not listener then return end
  self.listener = nil
  listener:cancel()
  if listener.second.transfer then listener.second.transfer:close() end
end

--- The session is open: waits until that has been said, and listens where somebody is interested.
function Http:begin(peer, is_listening)
  settle(self)
  hush(self)
  if not is_listening then return end
  self.listener = task.spawn(listen, self, { peer = peer, method = "GET", is_unasked = true,
    extend = function() end })
end

--- Whether changes of a list are heard of.
-- @treturn boolean
function Http:hears() return self.listener and not self.listener.done end

--- Ends the session on the server, too; one that keeps no sessions answers 405.
function Http:close()
  settle(self)
  hush(self)
  if not self.session then return end
  http.fetch { method = "DELETE", url = self.url, headers = headers_of(self, {}),
    deadline = PATIENCE }
  self.session = nil
end

return { new = new }
