--- Peer: JSON-RPC 2.0 with the other side of an MCP connection: requests of ours are matched with
-- their answers, requests of theirs run as tasks. How messages travel is the transport's:
--   send(text[, entry]) -> true | nil, err    without waiting; entry: the request that it begins
--   pump(entry, receive) -> true | nil, err   gives each message that came to receive(text)
--   park(entry)                               waits until there may be more
-- @module llm.mcp.peer
local core = require "llm.core"
local errors = require "llm.error"
local log = require "llm.log"
local task = require "llm.task"
local time = require "llm.time"

local encode, decode, null = core.json.encode, core.json.decode, core.json.null

local Peer = {}
Peer.__index = Peer

local Entry = {} -- a request of ours that waits for its answer
Entry.__index = Entry

local Call = {} -- a request of theirs that is answered
Call.__index = Call

--- Error codes of JSON-RPC.
local codes = { parse = -32700, request = -32600, method = -32601, params = -32602,
  internal = -32603 }

-- Some write null for what is not there.
local function present(value)
  if value ~= null then return value end
end

--- @tparam table fields `name` (for messages), `transport`, `timeout` (seconds, nil: none),
-- `methods` (name -> `function(params, call) -> result | nil, {code=, message=}`),
-- `notified(method, params)`, `senseless(peer, text, id)` for what is no JSON (then without an id)
-- or no message
-- @treturn Peer
local function new(fields)
  fields.pending, fields.calls, fields.last_id = {}, {}, 0
  fields.receiver = function(text) fields:receive(text) end
  return setmetatable(fields, Peer)
end

function Peer:send(message, entry)
  message.jsonrpc = "2.0"
  return self.transport:send(encode(message), entry)
end

--- Tells something that has no answer.
-- @treturn true
-- @treturn nil, err
function Peer:notify(method, params) return self:send { method = method, params = params } end

-- --- requests of ours ----------------------------------------------------------------------------

-- Also called when the task that waits is cancelled: the other side is told.
function Entry:close()
  local peer = self.peer
  if peer.pending[self.id] ~= self then return end
  peer.pending[self.id] = nil
  if self.transfer then self.transfer:close() end
  if self.answer or self.is_dead or self.method == "initialize" then return end
  peer:notify("notifications/cancelled", { requestId = self.id, reason = "no longer wanted" })
end
Entry.__close = Entry.close

function Entry:extend() self.deadline = self.timeout and time.clock() + self.timeout end

local function goes_on(entry)
  local peer = entry.peer
  local ok, err = peer.transport:pump(entry, peer.receiver)
  if entry.answer then return nil end
  if not ok then
    entry.is_dead, entry.err = err.kind ~= "timeout", err
    return nil
  end
  if entry.deadline and time.clock() >= entry.deadline then
    entry.err = errors.new("timeout", ("%s did not answer %s in %g s"):format(
      peer.name, entry.method, entry.timeout), { provider = peer.name })
    return nil
  end
  return true
end

local kinds = { [codes.request] = "invalid_request", [codes.method] = "invalid_request",
  [codes.params] = "invalid_request" }

local function failure(peer, answer)
  local problem = type(answer.error) == "table" and answer.error or {}
  return nil, errors.new(kinds[problem.code] or "provider_unavailable",
    tostring(problem.message or "an error without a message"),
    { provider = peer.name, code = problem.code, data = problem.data, retryable = false })
end

--- Asks and waits for the answer.
-- @tparam string method
-- @tparam[opt] table params
-- @tparam[opt] number timeout seconds without a sign of the request, in place of the peer's
-- @treturn table result
-- @treturn nil, err
function Peer:request(method, params, timeout)
  self.last_id = self.last_id + 1
  local entry = setmetatable({ peer = self, id = self.last_id, method = method,
    timeout = timeout or self.timeout }, Entry)
  entry:extend()
  if method == "tools/call" then params._meta = { progressToken = entry.id } end
  self.pending[entry.id] = entry
  local ok, err = self:send({ id = entry.id, method = method, params = params }, entry)
  if not ok then
    self.pending[entry.id] = nil
    return nil, err
  end
  for _ in goes_on, entry, nil, entry do self.transport:park(entry) end
  entry:close()
  if not entry.answer then return nil, entry.err end
  if present(entry.answer.error) then return failure(self, entry.answer) end
  if type(entry.answer.result) ~= "table" then
    return nil, errors.new("protocol", ("%s answered %s without a result"):format(
      self.name, method), { provider = self.name })
  end
  return entry.answer.result
end

--- Takes what has come meanwhile, without waiting.
function Peer:poll() self.transport:pump(nil, self.receiver) end

-- --- requests of theirs --------------------------------------------------------------------------

function Peer:reject(id, code, message)
  return self:send { id = id, error = { code = code, message = message } }
end

--- Tells how far a call came, if that was asked for.
-- @tparam number progress grows
-- @tparam[opt] number total
-- @tparam[opt] string message
function Call:progress(progress, total, message)
  local meta = type(self.params._meta) == "table" and self.params._meta or {}
  if meta.progressToken == nil then return end
  self.peer:notify("notifications/progress", { progressToken = meta.progressToken,
    progress = progress, total = total, message = message })
end

-- Of llm.task: the method's function has ended.
function Call:settle(ended)
  local peer = self.peer
  peer.calls[self.id] = nil
  if ended.cancelled then return end
  local result, problem = ended.value, ended.more and ended.more[1]
  if not ended.ok then
    result = self.failed and self.failed(ended.value)
    problem = { code = codes.internal, message = tostring(ended.value) }
  end
  if not result then return peer:reject(self.id, problem.code, problem.message) end
  peer:send { id = self.id, result = result }
end

local function begin_call(peer, message, params)
  local method = peer.methods[message.method]
  if not method then
    return peer:reject(message.id, codes.method, ("there is no method %q"):format(message.method))
  end
  local call = setmetatable({ peer = peer, id = message.id, params = params }, Call)
  local job = { body = method, first = call.params, second = call, run = call, joined = true }
  peer.calls[message.id] = job
  task.start(job)
end

-- --- what comes ----------------------------------------------------------------------------------

local function on_answer(peer, message)
  local entry = peer.pending[message.id]
  if not entry then
    return log.write("debug", peer.name, "an answer to no request of ours was passed over")
  end
  entry.answer = message
  if entry.parked then task.wake(entry.parked) end
end

local function on_notification(peer, method, params)
  if method == "notifications/cancelled" then
    local job = params.requestId ~= nil and peer.calls[params.requestId]
    if job then job:cancel() end
  elseif method == "notifications/progress" then
    local entry = params.progressToken ~= nil and peer.pending[params.progressToken]
    if entry then entry:extend() end
  end
  peer.notified(method, params)
end

local function is_id(id)
  return type(id) == "string" or type(id) == "number"
end

local function on_message(peer, message)
  local params = present(message.params)
  local is_good = type(params) == "table" or params == nil
  if type(message.method) == "string" and is_good then
    if message.id == nil then return on_notification(peer, message.method, params or {}) end
    if is_id(message.id) then return begin_call(peer, message, params or {}) end
  elseif message.method == nil and is_id(message.id) and
    (message.result or present(message.error) or peer.pending[message.id]) then
    return on_answer(peer, message)
  end
  peer:senseless(encode(message), is_id(message.id) and message.id or null)
end

--- Takes a message, or a list of them as the protocol of March 2025 has it.
-- @tparam string text
function Peer:receive(text)
  if not text:find("%S") then return end
  local message = decode(text)
  if type(message) ~= "table" then return self:senseless(text) end
  if message[1] == nil then return on_message(self, message) end
  for _, one in ipairs(message) do
    if type(one) == "table" then on_message(self, one) end
  end
end

return { new = new, codes = codes }
