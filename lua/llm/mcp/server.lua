--- Server: offers Lua functions to whatever started us, over standard input and output.
-- @module llm.mcp.server
local content = require "llm.mcp.content"
local core = require "llm.core"
local log = require "llm.log"
local options = require "llm.options"
local parents = require "llm.mcp.parent"
local peers = require "llm.mcp.peer"
local task = require "llm.task"
local tool = require "llm.tool"
local versions = require "llm.mcp.versions"

local array_mt, codes = core.json.array_mt, peers.codes

local known = {
  name = "string", version = "string", instructions = "string", tools = "table",
  resources = "table", prompts = "table",
}
local known_fields = {
  resources = { uri = "string", name = "string", description = "string", mime = "string",
    read = "function" },
  prompts = { name = "string", description = "string", arguments = "table", get = "function" },
}

local function problem(code, message) return nil, { code = code, message = message } end

local function list_of(items, shape)
  local list = setmetatable({}, array_mt)
  for i, item in ipairs(items) do list[i] = shape(item) end
  return list
end

-- What is offered by its key; each of it has that and a function.
local function index(kind, items, key, method)
  local by_key = {}
  for i, item in ipairs(items) do
    local where = ("llm.mcp_server: %s[%d]"):format(kind, i)
    options.check(item, known_fields[kind], where)
    if not (item[key] and item[method]) then
      options.refuse(where, key .. " and " .. method .. " are needed")
    end
    if by_key[item[key]] then options.refuse(where, "there are two of " .. item[key]) end
    by_key[item[key]] = item
  end
  return by_key
end

-- --- tools ---------------------------------------------------------------------------------------

local function failed(message)
  return { content = content.blocks_of(tostring(message)), isError = true }
end

local function result_of(value, err)
  if value == nil and err ~= nil then return failed(err) end
  local blocks, structured = content.blocks_of(value)
  return { content = blocks, structuredContent = structured }
end

local function call_tool(called, params, call)
  local arguments = params.arguments == nil and {} or params.arguments
  if type(arguments) ~= "table" then return problem(codes.params, "arguments is no object") end
  local misfit = called:misfit(arguments)
  if misfit then return failed(misfit) end
  call.failed = failed -- what it raises is the model's to read
  return result_of(called.run(arguments, { progress = function(...) call:progress(...) end }))
end

local function offer_tools(methods, given)
  local sent, tools = tool.index(given)
  local list = list_of(sent, function(one)
    return { name = one.name, description = one.description, inputSchema = one.parameters }
  end)
  methods["tools/list"] = function() return { tools = list } end
  methods["tools/call"] = function(params, call)
    local called = tools[params.name]
    if called then return call_tool(called, params, call) end
    return problem(codes.params, ("there is no tool %q"):format(tostring(params.name)))
  end
end

-- --- resources and prompts -----------------------------------------------------------------------

local function contents_of(resource, value)
  local one = { uri = resource.uri, mimeType = resource.mime }
  local is_text = not resource.mime or resource.mime:find("^text/") or resource.mime:find("json")
  if is_text then one.text = value else one.blob = core.base64.encode(value) end
  return { contents = { one } }
end

local function offer_resources(methods, given)
  local by_uri = index("resources", given, "uri", "read")
  local list = list_of(given, function(one)
    return { uri = one.uri, name = one.name or one.uri, description = one.description,
      mimeType = one.mime }
  end)
  methods["resources/list"] = function() return { resources = list } end
  methods["resources/templates/list"] = function()
    return { resourceTemplates = setmetatable({}, array_mt) }
  end
  methods["resources/read"] = function(params)
    local resource = by_uri[params.uri]
    if not resource then return problem(-32002, "there is no resource " .. tostring(params.uri)) end
    local value, err = resource.read(params.uri)
    if value == nil then return problem(codes.internal, tostring(err)) end
    return contents_of(resource, value)
  end
end

local function messages_of(value)
  if type(value) == "string" then value = { { role = "user", content = value } } end
  local list = setmetatable({}, array_mt)
  for i, message in ipairs(value) do
    list[i] = { role = message.role, content = content.blocks_of(message.content)[1] }
  end
  return list
end

local function missing_argument(prompt, arguments)
  for _, argument in ipairs(prompt.arguments or {}) do
    if argument.required and arguments[argument.name] == nil then return argument.name end
  end
end

local function offer_prompts(methods, given)
  local by_name = index("prompts", given, "name", "get")
  local list = list_of(given, function(one)
    return { name = one.name, description = one.description, arguments = one.arguments }
  end)
  methods["prompts/list"] = function() return { prompts = list } end
  methods["prompts/get"] = function(params)
    local prompt = by_name[params.name]
    if not prompt then return problem(codes.params, "there is no such prompt") end
    local arguments = params.arguments or {}
    local missing = missing_argument(prompt, arguments)
    if missing then return problem(codes.params, "the argument " .. missing .. " is missing") end
    return { description = prompt.description, messages = messages_of(prompt.get(arguments)) }
  end
end

-- --- the session ---------------------------------------------------------------------------------

local offers = { tools = offer_tools, resources = offer_resources, prompts = offer_prompts }

local function methods_of(opts)
  local methods, capabilities = { ping = function() return {} end }, {}
  for kind, offer in pairs(offers) do
    if opts[kind] then
      offer(methods, opts[kind])
      capabilities[kind] = {}
    end
  end
  function methods.initialize(params)
    local version = params.protocolVersion
    return { protocolVersion = versions.is_known(version) and version or versions[1],
      capabilities = capabilities, instructions = opts.instructions,
      serverInfo = { name = opts.name or "llmrun", version = opts.version or core.version } }
  end
  return methods
end

local function refuse(peer, text, id)
  log.write("debug", peer.name, "no message: " .. text:sub(1, 100))
  if id == nil then return peer:reject(core.json.null, codes.parse, "this is no JSON") end
  peer:reject(id, codes.request, "this is no JSON-RPC message")
end

local function copy(jobs)
  local list = {}
  for _, job in pairs(jobs) do list[#list + 1] = job end
  return list
end

-- Calls that are under way when the input ends are answered first, if somebody reads that.
local function serve(peer, transport)
  while transport:pump(nil, peer.receiver) do transport:park() end
  local is_read = transport.lines:flush()
  for _, job in pairs(copy(peer.calls)) do
    if not is_read then job:cancel() end
    while not job.done do task.wait(job) end
  end
  transport:drain()
end

--- Serves until the other side closes our input. Standard output is the protocol's: what the script
-- prints meanwhile goes to standard error.
-- @tparam table opts `name`, `version`, `instructions` (for the model), `tools` (a list of `{name,
-- description, parameters, run(arguments, context)}`: `parameters` is a JSON Schema or a short
-- notation; `run` returns a text, message parts or a table, and raises or returns `nil, message`
-- when it failed; `context.progress(done, total, message)`), `resources` (a list of `{uri, name,
-- description, mime, read(uri)}`), `prompts` (a list of `{name, description, arguments, get(
-- arguments)}`: `get` returns a text or messages)
-- @treturn true
-- @treturn nil, err
-- @usage llm.mcp_server { name = "dice", tools = { { name = "roll", description = "Rolls a die",
--   parameters = "sides: integer", run = function(a) return math.random(a.sides) end } } }
local function run(opts)
  opts = options.check(opts, known, "llm.mcp_server")
  local methods = methods_of(opts)
  local transport, err = parents.new()
  if not transport then return nil, err end
  serve(peers.new { name = opts.name or "llmrun", transport = transport, methods = methods,
    senseless = refuse, notified = function() end }, transport)
  transport:close()
  return true
end

return { run = run }
