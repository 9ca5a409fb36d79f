--- Http: requests to what is no model: webhooks, MCP servers. Over the connections of the clients.
-- @module llm.http
local core = require "llm.core"
local errors = require "llm.error"
local secret = require "llm.secret"
local task = require "llm.task"

local CONNECT = 10 -- seconds

local kinds = { timeout = "timeout", network = "network", cut = "network", closed = "cancelled",
  invalid = "invalid_request" }

--- The error of a transfer that failed.
-- @tparam string code what `transfer:next()` gave
-- @tparam string message
-- @treturn table
local function failure(code, message) return errors.new(kinds[code] or "protocol", message) end

-- Lines in one fixed order. A value may be a reference as keys are: `env:NAME`, `file:PATH`.
local function lines_of(headers)
  local lines = { "User-Agent: llmrun/" .. core.version .. "\n" }
  for name, value in pairs(headers or {}) do
    local text, problem = secret.resolve(value)
    local line
    if text then line, problem = core.http.header_line(name, text) end
    if not line then
      return nil, errors.new("invalid_request",
        ("header %s cannot be sent: %s"):format(name, problem))
    end
    lines[#lines + 1] = line
  end
  table.sort(lines)
  return table.concat(lines)
end

--- Sends a request.
-- @tparam table request `method`, `url`, `headers` (name -> value), `body`, `frame` (how a reply
-- that is a stream is cut), `first_timeout`, `timeout`, `deadline` (seconds), `ca_file`, `proxy`;
-- `once`: over a connection of its own (libcurl sends a request again when one that was used before
-- breaks)
-- @treturn Transfer see core/lua/http.c
-- @treturn number what to wait for
-- @treturn userdata the HTTP client, to be kept as long as the transfer
-- @treturn nil, err
local function start(request)
  local lines, err = lines_of(request.headers)
  if not lines then return nil, err end
  local limits = request.once and { max_connections = 1 } or {}
  local http = require("llm.exchange").http_of(limits)
  local transfer, id = http:start({ method = request.method, url = request.url, headers = lines,
    frame = request.frame or "json", connect_timeout = CONNECT, deadline = request.deadline,
    first_timeout = request.first_timeout, timeout = request.timeout, ca_file = request.ca_file,
    proxy = request.proxy }, request.body)
  if not transfer then return nil, errors.new("network", id, { retryable = false }) end
  return transfer, id, http
end

--- Sends a request and waits for all of the reply.
-- @tparam table request as for start
-- @treturn number status
-- @treturn string body
-- @treturn nil, err
local function fetch(request)
  local transfer, id = start(request)
  if not transfer then return nil, id end
  local body = {}
  local kind, data, message
  repeat
    kind, data, message = transfer:next()
    if not kind then
      task.wait(id)
    elseif kind == "event" or kind == "rest" then
      body[#body + 1] = data
    end
  until kind == "end" or kind == "error"
  local status = transfer:status()
  transfer:close()
  if kind == "error" then return nil, failure(data, message) end
  return status, table.concat(body)
end

return { start = start, fetch = fetch, failure = failure }
