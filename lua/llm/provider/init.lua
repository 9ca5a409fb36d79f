--- Providers: data, checked when loaded. A dialect is at most four pure functions, see
-- docs/adapters.md.
-- @module llm.provider
local core = require "llm.core"
local errors = require "llm.error"
local options = require "llm.options"

local API = 1 -- the adapter contract that this library speaks

local known = {
  api = "number", name = "string", base_url = "string", base_url_env = "string",
  key_env = "string|table", auth = "table|function", dialect = "string|table", frame = "string",
  encode_request = "function", decode_event = "function", decode_request = "function",
  encode_event = "function", failure = "function", skim = "table", quirks = "table",
  headers = "table", default_model = "string", models = "table",
}

local frames = { sse = true, ndjson = true, json = true }

local function refuse(where, text) options.refuse("provider " .. where, text) end

local function dialect_of(fields, where)
  local dialect = fields.dialect
  if dialect == nil then return fields end
  if type(dialect) == "table" then return dialect end
  local ok, loaded = pcall(require, "llm.dialect." .. dialect)
  if not ok then refuse(where, ("there is no dialect %q"):format(dialect)) end
  return loaded
end

local function check_dialect(dialect, where)
  for _, name in ipairs { "encode_request", "decode_event" } do
    if type(dialect[name]) ~= "function" then refuse(where, name .. " must be a function") end
  end
  if not frames[dialect.frame] then
    refuse(where, "frame must be \"sse\", \"ndjson\" or \"json\", not " .. tostring(dialect.frame))
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
  local where = type(fields.name) == "string" and fields.name or "without a name"
  if fields.api ~= API then
    refuse(where, ("api must be %d, the adapter contract of this version, not %s"):format(
      API, tostring(fields.api)))
  end
  options.check(fields, known, "provider " .. where)
  for _, name in ipairs { "name", "base_url" } do
    if not fields[name] then refuse(where, name .. " is missing") end
  end
  local provider = {}
  for key, value in pairs(fields) do provider[key] = value end
  provider.dialect = check_dialect(dialect_of(fields, where), where)
  return provider
end

local loaded = {}

--- The provider of a name or table.
-- @tparam string|table spec
-- @treturn table
-- @treturn nil, err when there is no provider of that name
local function find(spec)
  if type(spec) == "table" then return loaded[spec] or new(spec) end
  if not loaded[spec] then
    local module = "llm.provider." .. spec
    local ok, fields = pcall(require, module)
    if not ok then
      if not tostring(fields):find("module '" .. module .. "' not found", 1, true) then
        error(fields, 0)
      end
      return nil, errors.new("invalid_request", ("there is no provider %q"):format(spec))
    end
    loaded[spec] = new(fields)
  end
  return loaded[spec]
end

--- Splits `provider/model`; a first part that is no provider belongs to the model.
-- @tparam string name
-- @treturn string|nil provider
-- @treturn string model
local function split(name)
  local provider, model = name:match("^([%w_]+)/(.+)$")
  if provider and provider ~= "init" and find(provider) then return provider, model end
  return nil, name
end

return { new = new, find = find, split = split }
