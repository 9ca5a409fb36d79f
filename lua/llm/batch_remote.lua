--- Batch remote: asks a provider about batches. Nothing here is sent twice unasked: what creates
-- is sent once, what only looks is repeated while the failure may pass.
-- @module llm.batch_remote
local auth = require "llm.auth"
local errors = require "llm.error"
local failure = require "llm.failure"
local headers_of = require "llm.headers"
local http = require "llm.http"
local json = require("llm.core").json
local playback = require "llm.playback"
local reply = require "llm.reply"
local task = require "llm.task"

local TRIES = 12 -- of a look that fails in a way that may pass
local PAUSE, PAUSE_MAX = 1, 60 -- seconds

local function headers_for(client, wire)
  local provider = client.provider
  local headers = { ["Content-Type"] = "application/json" }
  for _, more in ipairs { provider.headers or {}, auth.of_key(provider, client.key),
    client.transport.headers or {}, wire.headers or {} } do
    for name, value in pairs(more) do headers[name] = value end
  end
  return headers
end

local function start(client, wire, frame)
  local transport = client.transport
  return http.start { method = wire.body and "POST" or "GET", body = wire.body, frame = frame,
    url = client.provider.base_url .. wire.path, headers = headers_for(client, wire),
    timeout = transport.timeout, first_timeout = transport.timeout and 4 * transport.timeout,
    once = wire.body ~= nil, ca_file = transport.ca_file, proxy = transport.proxy }
end

local function refusal(client, transfer, body)
  local status = transfer:status()
  local decoded = json.decode(body)
  local kind, message = failure.kind_of_status(status) or "protocol", "HTTP " .. status
  if type(decoded) == "table" then kind, message = failure.classify(status, decoded) end
  return errors.new(kind, message, { provider = client.provider_name, status = status,
    retry_after = headers_of.retry_after(headers_of.parse(transfer:headers())) })
end

-- Calls take(text) for each frame of a good reply; gives true, or nil and an error.
local function receive(client, wire, frame, take)
  local transfer, id, connections = start(client, wire, frame)
  if not transfer then return nil, id end
  local kind, data, message
  local refused = {}
  repeat
    kind, data, message = transfer:next()
    if not kind then
      task.wait(id)
    elseif kind == "event" or kind == "rest" then
      local status = transfer:status()
      if status >= 200 and status <= 299 then take(data) else refused[#refused + 1] = data end
    end
  until kind == "end" or kind == "error"
  local status, err = transfer:status(), nil
  if kind == "error" then
    err = http.failure(data, message)
  elseif status < 200 or status > 299 then
    err = refusal(client, transfer, table.concat(refused))
  end
  transfer:close()
  if wire.body then connections:close() end
  return not err or nil, err
end

--- Asks once.
-- @tparam Client client
-- @tparam table wire `path`, `body` (a text), `headers`
-- @treturn table the reply
-- @treturn nil, err
local function ask(client, wire)
  local parts = {}
  local ok, err = receive(client, wire, "json", function(text) parts[#parts + 1] = text end)
  if not ok then return nil, err end
  local data = json.decode(table.concat(parts))
  if type(data) == "table" then return data end
  return nil, errors.new("protocol", "the reply about a batch is not JSON",
    { provider = client.provider_name })
end

--- Repeats what changes nothing, as long as the failure may pass.
-- @tparam function look gives a value, or nil and an error
-- @tparam[opt] number pause_max seconds
-- @return the value; or nil, err
local function patiently(look, pause_max)
  local pause = math.min(PAUSE, pause_max or PAUSE_MAX)
  for try = 1, TRIES do
    local value, err = look()
    if value or not err.retryable or try == TRIES then return value, err end
    task.sleep(math.max(pause, err.retry_after or 0))
    pause = math.min(pause * 2, pause_max or PAUSE_MAX)
  end
end

--- Calls take(line) for each line of a file of results as it comes.
-- @tparam Client client
-- @tparam string path
-- @tparam function take
-- @treturn boolean true
-- @treturn nil, err
local function lines(client, path, take) return receive(client, { path = path }, "ndjson", take) end

--- A result, through the same road as the reply of a call of its own.
-- @tparam Client client
-- @tparam table request canonical
-- @tparam table result `status`, `body`
-- @treturn Response priced as of a batch
-- @treturn nil, err
local function answer_of(client, request, result)
  local parts = { { "event", json.encode(result.body), "body" }, { "end" } }
  local transfer = playback.new({ status = result.status, headers = {} }, function()
    local part = table.remove(parts, 1)
    return part[1], part[2], part[3]
  end)
  local answer, err = reply.new(transfer, {}, client.provider.dialect, request):fold()
  if answer then answer.response_time = nil end
  return answer, err
end

return { ask = ask, patiently = patiently, lines = lines, answer_of = answer_of }
