--- Exchange: the innermost step of every call. Translates the request, sends it, opens the reply.
-- @module llm.exchange
local auth = require "llm.auth"
local core = require "llm.core"
local errors = require "llm.error"
local log = require "llm.log"
local providers = require "llm.provider"
local reply = require "llm.reply"
local secret = require "llm.secret"
local task = require "llm.task"
local url = require "llm.url"

local encode = core.json.encode

local shared -- connections are shared by all clients that do not ask for limits of their own

--- The HTTP client of a client object.
-- @tparam table limits `max_connections`, `max_connections_per_host`
local function http_of(limits)
  if limits.max_connections or limits.max_connections_per_host then
    return assert(core.http.new(task.loop(), limits))
  end
  shared = shared or assert(core.http.new(task.loop(), {}))
  return shared
end

-- Header lines in one fixed order; nil and an error for one that may not be sent.
local function header_lines(provider, ...)
  local keys, lines = {}, {} -- by the name in lower case, which is what counts
  for i = 1, select("#", ...) do
    for name, value in pairs((select(i, ...)) or {}) do
      local key = name:lower()
      if not lines[key] then keys[#keys + 1] = key end
      lines[key] = { name, tostring(value) }
    end
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    local name, value = lines[key][1], lines[key][2]
    local line, fault = core.http.header_line(name, value)
    if not line then
      return nil, errors.new("invalid_request",
        ("header %q cannot be sent: %s"):format(name, fault), { provider = provider.name })
    end
    keys[i] = line
  end
  return table.concat(keys)
end

local fixed = { ["Content-Type"] = "application/json", ["User-Agent"] = "llmrun/" .. core.version }

local function url_of(call, path)
  local form = call.provider.auth
  local text = call.provider.base_url .. path
  if type(form) == "table" and form.query and call.key then
    text = text .. (path:find("?", 1, true) and "&" or "?") .. form.query .. "=" ..
      secret.percent(call.key)
  end
  return text
end

-- Everything about a request but its body. Calls without options of their own share one.
local function setup_of(call, wire, kind)
  local cached = not call.own and not wire.headers and call.setups[wire.path]
  if cached then return cached end
  local provider = call.provider
  local lines, err = header_lines(provider, fixed, provider.headers,
    auth.of_key(provider, call.key), wire.headers, call.headers)
  if not lines then return nil, err end
  local setup = {
    method = wire.body and "POST" or "GET", url = url_of(call, wire.path), headers = lines,
    frame = kind and "json" or provider.dialect.frame, ca_file = call.ca_file, proxy = call.proxy,
    connect_timeout = call.connect_timeout, timeout = call.timeout,
    first_timeout = call.first_timeout or call.timeout and 4 * call.timeout,
    deadline = call.deadline, max_response_bytes = call.max_response_bytes,
  }
  if not call.own and not wire.headers then call.setups[wire.path] = setup end
  return setup
end

-- The setup with the headers that are made anew for each request: signatures, tokens that expire.
local function signed(call, setup, body)
  if call.http.offline or not auth.is_made_anew(call) then return setup end
  local headers, err = auth.make(call, setup, body)
  local lines
  if headers then lines, err = header_lines(call.provider, headers) end
  if not lines then return nil, err end
  return setmetatable({ headers = setup.headers .. lines }, { __index = setup })
end

-- A provider's own path in place of its dialect's: `paths = {["/chat/completions"] = "/…/{model}"}`
local function path_of(request, path)
  local provider = request.call.provider
  local template = provider.paths and provider.paths[path]
  if not template then return path end
  local model, problem = url.segment(request.model)
  return model and providers.expand(provider, template, { model = model }), problem
end

local subjects = { embed = "embeddings", models = "list of models", count = "count of tokens" }

-- The request as the provider wants it: path, headers, body.
local function translate(request)
  local provider, kind = request.call.provider, request.kind
  local encode_wire = provider.dialect["encode_" .. (kind or "request")]
  if not encode_wire then return nil, ("%s has no %s"):format(provider.name, subjects[kind]) end
  local wire, problem = encode_wire(request, provider)
  if wire then wire.path, problem = path_of(request, wire.path) end
  if problem then return nil, problem end
  return wire
end

--- What is asked, and of whom, in canonical bytes: requests with the same ones are the same.
-- @tparam table request canonical
-- @treturn string|nil nil: it cannot be sent
local function identity(request)
  local provider = request.call.provider
  local wire = translate(request)
  return wire and encode { provider.name, provider.base_url .. wire.path, provider.headers,
    wire.headers or {}, request.call.headers or {}, wire.body }
end

local function shell_quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- The request as a curl command, keys masked.
local function curl_command(setup, body)
  local lines = { "curl " .. shell_quote(setup.url) }
  for line in setup.headers:gmatch("[^\n]+") do lines[#lines + 1] = "-H " .. shell_quote(line) end
  if body then lines[#lines + 1] = "--data-raw " .. shell_quote(body) end
  return secret.scrub(table.concat(lines, " \\\n  "))
end

--- Opens the reply that a transfer brings.
-- @param transfer
-- @param id what the loop calls it
-- @tparam table request canonical
-- @treturn Reply
-- @treturn nil, err
local function open(transfer, id, request)
  local answer = reply.new(transfer, id, request.call.provider.dialect, request)
  request.call.client.replies[answer] = true
  return answer:open()
end

local function start(request, setup, body)
  local call = request.call
  log.write("debug", call.provider.name, setup.method .. " " .. setup.url)
  local skimmer = request.stream and call.provider.dialect.skimmer or nil
  local transfer, id = call.http:start(setup, body, skimmer)
  if not transfer then
    if errors.is_error(id) then return nil, id end -- of llm.recording
    return nil, errors.new("network", id, { provider = call.provider.name, retryable = false })
  end
  return open(transfer, id, request)
end

local function with_url(setup, address)
  return setmetatable({ url = address }, { __index = setup })
end

--- Sends a request and waits until there is something to show.
-- @tparam table request canonical
-- @treturn Reply
-- @treturn nil, err
local function send(request)
  local call = request.call
  local provider = call.provider
  local wire, problem = translate(request)
  if not wire then
    return nil, errors.new("invalid_request", problem, { provider = provider.name })
  end
  local body = wire.body and encode(wire.body)
  local setup, err = setup_of(call, wire, request.kind)
  if setup then setup, err = signed(call, setup, body) end
  if not setup then return nil, err end
  if call.dry_run then
    call.dry_run(curl_command(setup, body))
    return nil, errors.new("cancelled", "dry run: nothing was sent", { dry_run = true })
  end
  local answer
  for _ = 0, call.follow_redirects do
    answer, err = start(request, setup, body)
    if answer or not err.redirect_url then break end
    setup = with_url(setup, err.redirect_url)
  end
  return answer, err
end

return { send = send, open = open, identity = identity, http_of = http_of }
