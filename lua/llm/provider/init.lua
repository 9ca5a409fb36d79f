--- Providers: data, checked when loaded. A dialect is at most four pure functions, see
-- docs/adapters.md.
-- @module llm.provider
local core = require "llm.core"
local errors = require "llm.error"
local merge = require "llm.merge"
local options = require "llm.options"

local API = 1 -- the adapter contract that this library speaks

local known = {
  api = "number", name = "string", base_url = "string", base_url_env = "string",
  key_env = "string|table", auth = "table|function", dialect = "string|table", frame = "string",
  encode_request = "function", decode_event = "function", decode_request = "function",
  encode_event = "function", failure = "function", skim = "table", quirks = "table",
  headers = "table", default_model = "string", models = "table", variables = "table",
  paths = "table", batches = "string",
  encode_embed = "function", decode_embed = "function", encode_models = "function",
  decode_models = "function", encode_count = "function", decode_count = "function",
}
local known_auth = { bearer = "boolean", header = "string", query = "string", sigv4 = "string" }

-- What a dialect consists of; a provider's own go before its dialect's.
local dialect_fields = {
  "frame", "encode_request", "decode_event", "decode_request", "encode_event", "failure", "skim",
  "encode_embed", "decode_embed", "encode_models", "decode_models", "encode_count", "decode_count",
}

local frames = { sse = true, ndjson = true, eventstream = true, json = true }

local function refuse(where, text) options.refuse("provider " .. where, text) end

local function load_dialect(name, where)
  if type(name) ~= "string" then return name or {} end
  local ok, loaded = pcall(require, "llm.dialect." .. name)
  if ok then return loaded end
  if tostring(loaded):find("module 'llm.dialect." .. name .. "' not found", 1, true) then
    refuse(where, ("there is no dialect %q"):format(name))
  end
  error(loaded, 0)
end

local function dialect_of(fields, where)
  local base = load_dialect(fields.dialect, where)
  local dialect, is_own = {}, false
  for _, name in ipairs(dialect_fields) do
    dialect[name] = fields[name] == nil and base[name] or fields[name]
    is_own = is_own or fields[name] ~= nil
  end
  if not is_own then return base end
  if fields.decode_event then dialect.skim = fields.skim end -- it is part of reading events
  return dialect
end

local function check_dialect(dialect, where)
  for _, name in ipairs { "encode_request", "decode_event" } do
    if type(dialect[name]) ~= "function" then refuse(where, name .. " must be a function") end
  end
  for _, kind in ipairs { "embed", "models", "count" } do
    if dialect["encode_" .. kind] and not dialect["decode_" .. kind] then
      refuse(where, ("encode_%s needs a decode_%s"):format(kind, kind))
    end
  end
  if not frames[dialect.frame] then
    refuse(where, 'frame must be "sse", "ndjson", "eventstream" or "json", not ' ..
      tostring(dialect.frame))
  end
  if dialect.skim and not dialect.skimmer then
    dialect.skimmer = core.http.skim(core.json.encode(dialect.skim))
  end
  return dialect
end

--- Checks a provider table and makes it usable.
-- @tparam table fields see docs/adapters.md
-- @treturn table the provider
local function new(fields)
  local where = type(fields) == "table" and type(fields.name) == "string" and fields.name
    or "without a name"
  if type(fields) ~= "table" then refuse(where, "expected a table, not a " .. type(fields)) end
  if fields.api ~= API then
    refuse(where, ("api must be %d, the adapter contract of this version, not %s"):format(
      API, tostring(fields.api)))
  end
  options.check(fields, known, "provider " .. where)
  for _, name in ipairs { "name", "base_url" } do
    if not fields[name] then refuse(where, name .. " is missing") end
  end
  if type(fields.auth) == "table" then
    options.check(fields.auth, known_auth, "provider " .. where .. ": auth")
  end
  local provider = {}
  for key, value in pairs(fields) do provider[key] = value end
  provider.dialect = check_dialect(dialect_of(fields, where), where)
  return provider
end

local loaded = {}

-- The fields of an adapter in a file of Lua text, which must return them.
local function load_file(path)
  local chunk, message = loadfile(path, "t")
  if not chunk then refuse(path, message) end
  local ok, fields = pcall(chunk)
  if not ok then refuse(path, tostring(fields)) end
  if type(fields) ~= "table" then refuse(path, "the file must return a table") end
  return fields
end

local function load_module(name)
  local module = "llm.provider." .. name
  local ok, fields = pcall(require, module)
  if ok then return fields end
  if not tostring(fields):find("module '" .. module .. "' not found", 1, true) then
    error(fields, 0)
  end
  return nil, errors.new("invalid_request", ("there is no provider %q"):format(name))
end

--- The provider of a name, of the path of a Lua file, or of a table.
-- @tparam string|table spec
-- @treturn table
-- @treturn nil, err when there is no provider of that name
local function find(spec)
  if type(spec) == "table" then return new(spec) end
  if not loaded[spec] then
    local load = spec:find("%.lua$") and load_file or load_module
    local fields, err = load(spec)
    if not fields then return nil, err end
    loaded[spec] = new(fields)
  end
  return loaded[spec]
end

--- A provider like another one, but for some fields. Maps are merged; lists, the dialect and auth
-- are replaced.
-- @tparam string|table base name, path or table of a provider
-- @tparam table fields see docs/adapters.md
-- @treturn table the provider
-- @raise invalid_request naming the field that is wrong
-- @usage local mine = llm.extend("vllm", { name = "mine", base_url = "https://llm.example.org" })
local function extend(base, fields)
  local found, err = find(base)
  if not found then error(err, 0) end
  options.check(fields, known, "llm.extend")
  local merged = merge(found, fields)
  merged.dialect, merged.auth = fields.dialect or found.dialect, fields.auth or found.auth
  return new(merged)
end

--- Fills the `{name}`s of an address or path from the environment, as the provider's `variables`
-- tell: name -> name of an environment variable, or a list of them.
-- @tparam table provider
-- @tparam string address
-- @tparam[opt] table values name -> value, before the environment
-- @treturn string
-- @raise invalid_request naming the variable that is not set
local function expand(provider, address, values)
  return (address:gsub("{([%w_]+)}", function(name)
    if values and values[name] then return values[name] end
    local variables = (provider.variables or {})[name]
    if type(variables) ~= "table" then variables = { variables } end
    for _, variable in ipairs(variables) do
      local value = os.getenv(variable)
      if value and value ~= "" then return (value:gsub("/+$", "")) end
    end
    refuse(provider.name, ("%s is not known; set %s, or give base_url"):format(
      name, variables[1] or "base_url"))
  end))
end

--- Splits `provider/model`; a first part that is no provider belongs to the model. The provider may
-- be the path of a Lua file: `./mine.lua/some-model`.
-- @tparam string name
-- @treturn string|nil provider
-- @treturn string model
local function split(name)
  local path, rest = name:match("^(.-%.lua)/(.+)$")
  if path and find(path) then return path, rest end
  local provider, model = name:match("^([%w_]+)/(.+)$")
  if provider and provider ~= "init" and find(provider) then return provider, model end
  return nil, name
end

return { new = new, find = find, extend = extend, expand = expand, split = split }
