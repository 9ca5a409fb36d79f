--- MCP: a session with a server of the Model Context Protocol, whose tools become tools of a call.
-- @module llm.mcp
local asked = require "llm.mcp.asked"
local content = require "llm.mcp.content"
local core = require "llm.core"
local errors = require "llm.error"
local log = require "llm.log"
local options = require "llm.options"
local peers = require "llm.mcp.peer"
local url = require "llm.url"
local versions = require "llm.mcp.versions"

local Session = {}
Session.__index = Session

local TIMEOUT = 60
local PAGES_MAX = 100 -- of a list; a server that never ends is left

local known = {
  command = "table", env = "table", cwd = "string", url = "string", headers = "table",
  timeout = "number", roots = "table", sampling = "table", notified = "function",
}

-- --- connecting ----------------------------------------------------------------------------------

local function check_url(text, headers)
  local parsed, problem = url.parse(text)
  if not parsed then options.refuse("llm.mcp", "url: " .. problem) end
  if headers and next(headers) and parsed.scheme == "http" and not parsed.is_loopback then
    options.refuse("llm.mcp", "headers are not sent over plain http to " .. parsed.host ..
      "; use https")
  end
  return parsed.host
end

local function transport_of(opts)
  if opts.url then
    local name = check_url(opts.url, opts.headers)
    return require("llm.mcp.http").new { name = name, url = opts.url, headers = opts.headers }
  end
  return require("llm.mcp.stdio").start(opts.command[1], opts.command, opts)
end

local levels = { debug = "debug", info = "info", notice = "info", warning = "warn" }

local function on_notification(session, method, params)
  local list = method:match("^notifications/(%a+)/list_changed$")
  if list then
    session.lists[list] = nil
  elseif method == "notifications/message" then
    local data = params.data
    log.write(levels[params.level] or "error", session.name,
      type(data) == "string" and data or core.json.encode(data))
  end
  if session.notified then session.notified(method, params) end
end

local function skip(peer, text)
  log.write("warn", peer.name, "skipped what is no message: " .. text:sub(1, 100))
end

-- In errors and logs it bears the name that it gives itself.
local function name_it(session, name)
  if type(name) ~= "string" or name == "" then return end
  name = name:gsub("[^%w_./@ -]", "_"):sub(1, 60)
  session.name, session.peer.name, session.transport.name = name, name, name
end

local function initialize(session)
  local peer = session.peer
  local result, err = peer:request("initialize", {
    protocolVersion = versions[1], capabilities = asked.capabilities(session),
    clientInfo = { name = "llmrun", version = core.version },
  })
  if not result then return nil, err end
  if not versions.is_known(result.protocolVersion) then
    return nil, errors.new("protocol", "the MCP server speaks version " ..
      tostring(result.protocolVersion) .. ", which is not known here", { provider = session.name })
  end
  session.version, session.instructions = result.protocolVersion, result.instructions
  session.transport.version = result.protocolVersion
  session.server = type(result.serverInfo) == "table" and result.serverInfo or {}
  name_it(session, session.server.name)
  session.capabilities = type(result.capabilities) == "table" and result.capabilities or {}
  session.lists = {}
  local ok
  ok, err = peer:notify("notifications/initialized")
  if not ok then return nil, err end
  session.transport:begin(peer, session.roots or session.sampling or session.notified)
  return true
end

--- Opens a session: starts a server, or reaches one over HTTP.
-- @tparam table opts either `command` (the program and its arguments; `cwd`; `env`: name -> a
-- value, `true` for ours, since keys are not passed on otherwise) or `url` (with `headers`: name ->
-- value, `env:NAME` or `file:PATH`); `timeout` (seconds without a sign of a request, 60); `roots`
-- (URIs that it may ask for); `sampling` (a Client that may answer what the server asks of a
-- model); `notified(method, params)` hears what it tells; it must not wait
-- @treturn Session with `server`, `version`, `capabilities`, `instructions`
-- @treturn nil, err
-- @usage local files = assert(llm.mcp { command = { "npx", "-y",
--   "@modelcontextprotocol/server-filesystem", "." } })
-- local response = assert(client:run_tools("What is in here?", { tools = files:tools() }))
local function new(opts)
  opts = options.check(opts, known, "llm.mcp")
  if (opts.command and opts.command[1] == nil) or not opts.command == not opts.url then
    options.refuse("llm.mcp", "give command (a list of words) or url")
  end
  local transport, err = transport_of(opts)
  if not transport then return nil, err end
  local session = setmetatable({ transport = transport, name = transport.name, lists = {},
    roots = opts.roots, sampling = opts.sampling, notified = opts.notified }, Session)
  session.peer = peers.new { name = session.name, transport = transport, senseless = skip,
    timeout = opts.timeout or TIMEOUT, methods = asked.methods(session),
    notified = function(method, params) on_notification(session, method, params) end }
  local ok
  ok, err = initialize(session)
  if ok then return session end
  session:close()
  return nil, err
end

-- A session that an HTTP server has forgotten is begun again, once.
local function ask(session, method, params, timeout)
  if session.closed then error("this MCP session is closed", 3) end
  local result, err = session.peer:request(method, params, timeout)
  if result or not err.is_lost then return result, err end
  local ok
  ok, err = initialize(session)
  if not ok then return nil, err end
  return session.peer:request(method, params, timeout)
end

local function pages(session, method, field)
  local list, cursor = {}, nil
  for _ = 1, PAGES_MAX do
    local result, err = ask(session, method, { cursor = cursor })
    if not result then return nil, err end
    for _, one in ipairs(type(result[field]) == "table" and result[field] or {}) do
      list[#list + 1] = one
    end
    local following = result.nextCursor
    if type(following) ~= "string" or following == cursor then return list end
    cursor = following
  end
  return nil, errors.new("protocol", ("%s: the list does not end"):format(method),
    { provider = session.name })
end

-- --- tools ---------------------------------------------------------------------------------------

--- Calls a tool.
-- @tparam string name as the server has it
-- @tparam[opt] table arguments
-- @tparam[opt] number timeout seconds
-- @return the structured result if there is one, else a text, else a list of message parts
-- @treturn nil, err also when the tool says that it failed: `err.kind` is then `invalid_request`
-- and `err.is_tool` true
-- @usage print(assert(session:call("add", { a = 1, b = 2 })))
function Session:call(name, arguments, timeout)
  local result, err = ask(self, "tools/call", { name = name, arguments = arguments or {} }, timeout)
  if not result then return nil, err end
  local value = content.value_of(result.content)
  if result.isError == true then
    return nil, errors.new("invalid_request", type(value) == "string" and value ~= "" and value
      or "the tool failed", { provider = self.name, is_tool = true })
  end
  if type(result.structuredContent) == "table" then return result.structuredContent end
  return value
end

local function tool_of(session, tool)
  local name = tostring(tool.name)
  return {
    name = name:gsub("[^%w_-]", "_"):sub(1, 64), -- what providers take
    description = type(tool.description) == "string" and tool.description or tool.title or name,
    parameters = type(tool.inputSchema) == "table" and tool.inputSchema or { type = "object" },
    lenient = true, -- the server checks, too
    run = function(arguments)
      local value, err = session:call(name, arguments)
      if value == nil then return nil, err.is_tool and err.message or err end
      return value
    end,
  }
end

--- The server's tools, for `tools` of a call. The list is asked for again after it changed.
-- @treturn table list of `{name, description, parameters, run(arguments)}`
-- @treturn nil, err
function Session:tools()
  local list, err = self:list("tools")
  if not list then return nil, err end
  local tools = {}
  for i, tool in ipairs(list) do tools[i] = tool_of(self, tool) end
  return tools
end

-- --- what else a server offers -------------------------------------------------------------------

local methods = { tools = "tools/list", resources = "resources/list", prompts = "prompts/list",
  resourceTemplates = "resources/templates/list" }

--- A list of the server, as it came; kept until it changes.
-- @tparam string field `tools`, `resources`, `resourceTemplates` or `prompts`
-- @treturn table
-- @treturn nil, err
function Session:list(field)
  local capability = field == "resourceTemplates" and "resources" or field
  if not self.capabilities[capability] then return {} end
  self.peer:poll()
  local kept = self.transport:hears() and self.lists[capability] or {}
  self.lists[capability] = kept
  if kept[field] then return kept[field] end
  local list, err = pages(self, methods[field], field)
  if err and err.code == peers.codes.method then list, err = {}, nil end
  kept[field] = list
  return list, err
end

--- @treturn table list of `{uri, name, description, mimeType}`
-- @treturn nil, err
function Session:resources() return self:list("resources") end

--- @treturn table list of `{uriTemplate, name, description, mimeType}`
-- @treturn nil, err
function Session:resource_templates() return self:list("resourceTemplates") end

--- Reads a resource.
-- @tparam string uri
-- @treturn string|table a text, or a list of message parts
-- @treturn nil, err
function Session:read_resource(uri)
  local result, err = ask(self, "resources/read", { uri = uri })
  if not result then return nil, err end
  local blocks = {}
  for i, resource in ipairs(type(result.contents) == "table" and result.contents or {}) do
    blocks[i] = { type = "resource", resource = resource }
  end
  return content.value_of(blocks)
end

--- @treturn table list of `{name, description, arguments}`
-- @treturn nil, err
function Session:prompts() return self:list("prompts") end

--- A prompt, filled in.
-- @tparam string name
-- @tparam[opt] table arguments name -> text
-- @treturn table messages
-- @treturn nil, err
-- @usage local messages = assert(session:prompt("review", { code = text }))
function Session:prompt(name, arguments)
  local result, err = ask(self, "prompts/get", { name = name, arguments = arguments })
  if not result then return nil, err end
  local messages = {}
  for i, message in ipairs(type(result.messages) == "table" and result.messages or {}) do
    messages[i] = { role = message.role, content = content.value_of(message.content) }
  end
  return messages
end

--- Asks for a sign of life.
-- @treturn true
-- @treturn nil, err
function Session:ping()
  local result, err = ask(self, "ping")
  if not result then return nil, err end
  return true
end

--- Ends the session; a server that was started gets two seconds to end by itself.
function Session:close()
  if self.closed then return end
  self.closed = true
  self.transport:close()
end

return { new = new }
