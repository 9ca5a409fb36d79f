--- Log: keeps every exchange in a file, once it has ended in whatever way. Off unless asked for. A
-- file that cannot be written is said once and harms no call. `llm.logs` reads it.
-- @module llm.policy.log
local log = require "llm.log"
local logbook = require "llm.logbook"
local logs = require "llm.logs"
local options = require "llm.options"
local requests = require "llm.request"
local time = require "llm.time"

local known = { file = "string" }

local Log = {}
Log.__index = Log

-- What was asked; neither headers nor keys are a part of it.
local function request_of(request)
  local kept = { messages = request.messages }
  for name in pairs(requests.model_options) do kept[name] = request[name] end
  kept.model, kept.stream, kept.unsupported = nil, nil, nil
  return kept
end

local function error_of(err)
  return { kind = err.kind, message = err.message, status = err.status, phase = err.phase }
end

local function tried_of(list)
  local tried = {}
  for i, err in ipairs(list or {}) do
    tried[i] = { provider = err.provider, model = err.model, kind = err.kind,
      message = err.message }
  end
  return tried[1] and tried
end

local function new_record(request, begun)
  return {
    time = begun.time, duration = time.clock() - begun.clock, kind = request.kind or "text",
    provider = request.call.provider.name, model = request.model, tag = request.call.tag,
    attempts = request.call.attempts, request = request_of(request),
  }
end

-- A record of what a reply came to.
local function record_of(reply, begun)
  local response, request, err = reply:response(), reply.request, reply.err
  local record = new_record(request, begun)
  record.provider, record.model = response.provider, response.model
  record.first_token_time, record.finish_reason = response.first_token_time, response.finish_reason
  record.usage, record.cost_estimate = response.usage, response.cost_estimate
  record.cached = response.cached and true or nil
  record.request_id, record.tried = response.request_id, tried_of(response.tried)
  record.response, record.reasoning = response.content, response.reasoning
  record.refusal, record.tool_calls = response.refusal, response.tool_calls
  if err then
    record.error = error_of(err)
  elseif not (reply.finish_reason or request.kind) then
    record.error = { kind = "cancelled", message = "its reader left before its end" }
  end
  return record
end

local function failure_of(request, err, begun)
  local record = new_record(request, begun)
  record.provider, record.model = err.provider or record.provider, err.model or record.model
  record.attempts = err.attempts or record.attempts
  record.error, record.tried = error_of(err), tried_of(err.tried)
  record.request_id = err.request_id
  return record
end

local function warn(self, message)
  if not self.warned then
    log.write("warn", "log", "calls are not kept: " .. tostring(message))
  end
  self.warned = true
end

local function keep(self, record)
  if self.broken then return end
  local book, problem = self.book, nil
  if not book then
    book, problem = logbook.open(self.path)
    self.book, self.broken = book, not book
  end
  local ok = book
  if book then ok, problem = logbook.put(book, record) end
  if not ok then warn(self, problem) end
end

function Log:__call(request, next)
  local begun = { time = time.now(), clock = time.clock() }
  local reply, err = next(request)
  if reply then
    reply:finally(function(ended) keep(self, record_of(ended, begun)) end)
  elseif not err.dry_run then
    keep(self, failure_of(request, err, begun))
  end
  return reply, err
end

--- Makes the policy.
-- @tparam[opt] table opts `file`: a path; one that ends in `.jsonl` holds JSON lines, every other
-- one is a database of SQLite; default: `logs.db` in the user's data folder
-- @treturn policy
-- @raise invalid_request
local function new(opts)
  opts = options.check(opts, known, "log")
  local path = opts.file or logs.default_path()
  if not path then options.refuse("log", "there is no home directory; give file") end
  return setmetatable({ path = path }, Log)
end

return { new = new }
