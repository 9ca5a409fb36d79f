--- Keys: where the keys of a provider come from, and what is missing.
-- @module llm.keys
local auth = require "llm.auth"
local config = require "llm.config"
local errors = require "llm.error"
local options = require "llm.options"
local providers = require "llm.provider"
local secret = require "llm.secret"

local with_keys = {
  "anthropic", "azure", "bedrock", "deepseek", "fireworks", "google", "groq", "mistral", "openai",
  "openrouter", "together", "vertex", "xai",
}

--- The environment variables that may hold a provider's key, the usual one first.
-- @tparam table provider
-- @treturn table list of names
local function names(provider)
  local list = provider.key_env
  return type(list) == "table" and list or { list }
end

local function is_set(name)
  local value = os.getenv(name)
  return value ~= nil and value ~= ""
end

-- The variables NAME, NAME_1, NAME_2 … that are set, of the first NAME that has any.
local function variables(provider)
  for _, name in ipairs(names(provider)) do
    local list, number, numbered = {}, 0, name
    repeat
      if is_set(numbered) then list[#list + 1] = numbered end
      number = number + 1
      numbered = name .. "_" .. number
    until not os.getenv(numbered)
    if list[1] then return list end
  end
  return {}
end

local function missing(provider, problem)
  problem = problem or ("%s has no API key; set %s or give api_key"):format(
    provider.name, names(provider)[1] or "api_key")
  error(errors.new("authentication", problem, { provider = provider.name }), 0)
end

-- What `api_key` or `api_keys` refer to.
local function resolve(provider, source)
  local keys = {}
  for i, reference in ipairs(source.api_keys or { source.api_key }) do
    local key, problem = secret.resolve(reference)
    keys[i] = key or missing(provider, problem)
  end
  return keys
end

--- The keys of a provider: those that are given, else those of the environment, else those of the
-- configuration. None where none is needed: the provider asks for none, requests are signed, or
-- one's own server is addressed.
-- @tparam table provider
-- @tparam table opts of the client
-- @tparam table settings of the provider in the configuration
-- @tparam boolean is_default_url the provider's own address is used
-- @treturn table list of keys
-- @raise authentication naming the variable that is not set
local function find(provider, opts, settings, is_default_url)
  if opts.api_key or opts.api_keys then return resolve(provider, opts) end
  local keys = {}
  for i, name in ipairs(variables(provider)) do keys[i] = secret.remember(os.getenv(name)) end
  if not keys[1] then keys = resolve(provider, settings) end
  if not keys[1] and is_default_url and auth.needs_key(provider) then missing(provider) end
  return keys
end

local Report = {}

function Report:__tostring()
  local lines = {}
  for i, row in ipairs(self) do
    lines[i] = ("%-10s  %s"):format(row.provider, row.ready and "ready: " .. row.source or
      "set " .. table.concat(row.variables, " or "))
  end
  return table.concat(lines, "\n")
end

local function report_row(name)
  local provider, err = providers.find(name)
  if not provider then error(err, 0) end
  local settings = config.get().providers[name] or {}
  local found = variables(provider)
  local is_configured = settings.api_key or settings.api_keys
  local source = found[1] and table.concat(found, ", ") or is_configured and "configuration"
    or not auth.needs_key(provider) and "no key is needed" or nil
  return { provider = name, ready = source ~= nil, source = source, variables = names(provider) }
end

--- Which providers have a key, and which variable is missing for the others. No key is shown and
-- nobody is asked: `client:validate_key()` does that.
-- @tparam[opt] table|string wanted names of providers; default: all that take keys
-- @treturn boolean whether all of the wanted ones are ready; without `wanted`, whether any is
-- @treturn table a list of `provider`, `ready`, `source`, `variables`; `tostring` of it is a text
-- @usage local ok, report = llm.check_environment { "openai", "anthropic" }
-- if not ok then error(tostring(report)) end
local function check_environment(wanted)
  if type(wanted) == "string" then wanted = { wanted } end
  if wanted and type(wanted) ~= "table" then
    options.refuse("check_environment", "expected a list of names of providers")
  end
  local report, ready = setmetatable({}, Report), 0
  for i, name in ipairs(wanted or with_keys) do
    report[i] = report_row(name)
    if report[i].ready then ready = ready + 1 end
  end
  return ready == (wanted and #report or math.max(1, ready)), report
end

return { names = names, variables = variables, find = find, check_environment = check_environment }
