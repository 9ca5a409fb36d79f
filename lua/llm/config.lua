--- Configuration: call options over client options over environment over file over defaults.
-- @module llm.config
local options = require "llm.options"
local system = require("llm.core").system

local LARGEST = 1024 * 1024

local defaults = { temperature = 0.7, timeout = 30, connect_timeout = 10 }

local file_keys = {
  providers = "table", defaults = "table", costs = "table", policies = "table",
}
local provider_keys = {
  api_key = "string", api_keys = "table", base_url = "string", models = "table",
  headers = "table", proxy = "string", ca_file = "string",
}
local default_keys = {
  model = "string", temperature = "number", max_tokens = "number", timeout = "number",
  first_timeout = "number", connect_timeout = "number", deadline = "number",
}

local overrides = {} -- what the command line sets, over the environment
local override_path

-- A variable that is set to nothing counts as not set.
local function variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function path_of_file()
  local named = override_path or variable("LLM_CONFIG")
  if named then return named, true end
  local home = variable("XDG_CONFIG_HOME") or (os.getenv("HOME") or "") .. "/.config"
  return home .. "/llmrun/config.lua", false
end

local function load_chunk(text, path)
  local chunk, message
  if setfenv then -- luacheck: ignore
    chunk, message = loadstring(text, "@" .. path) -- luacheck: ignore
    if chunk then setfenv(chunk, {}) end -- luacheck: ignore
  else
    chunk, message = load(text, "@" .. path, "t", {})
  end
  if not chunk then options.refuse("config", message) end
  local ok, value = pcall(chunk)
  if not ok then options.refuse("config", tostring(value)) end
  return value
end

local ENOENT, ENOTDIR = 2, 20

local function read(path, must_exist)
  local file, message, code = io.open(path, "r")
  if not file then
    if must_exist or code ~= ENOENT and code ~= ENOTDIR then options.refuse("config", message) end
    return {}
  end
  local text = file:read(LARGEST + 1) or ""
  file:close()
  if #text > LARGEST then options.refuse(path, "the file is larger than 1 MiB") end
  if text:byte(1) == 27 then options.refuse(path, "the file must be Lua text, not bytecode") end
  local mode = system.mode(path)
  if mode and math.floor(mode / 2) % 2 == 1 then
    options.refuse(path, "the file can be written by everybody; chmod o-w it")
  end
  local value = load_chunk(text, path)
  if type(value) ~= "table" then options.refuse(path, "the file must return a table") end
  options.check(value, file_keys, path)
  options.check(value.defaults, default_keys, path .. ": defaults")
  for name, provider in pairs(value.providers or {}) do
    options.check(provider, provider_keys, path .. ": providers." .. tostring(name))
  end
  return value
end

local function number_of(name)
  local text = variable(name)
  if not text then return nil end
  local number = tonumber(text)
  if not number then
    options.refuse("environment", ("%s must be a number, not %q"):format(name, text))
  end
  return number
end

local function from_environment()
  return {
    model = variable("LLM_DEFAULT_MODEL"),
    temperature = number_of("LLM_DEFAULT_TEMPERATURE"),
    max_tokens = number_of("LLM_MAX_TOKENS"),
    timeout = number_of("LLM_TIMEOUT"),
  }
end

-- Whether calls and answers are kept are switches of the environment, too: 1, 0, or a file.
local switches = { log = "LLM_LOG_CALLS", cache = "LLM_CACHE" }
local switched_on = { log = true, cache = { file = true } }

local function with_switches(policies)
  local result = setmetatable({}, { __index = policies })
  for name, switch in pairs(switches) do
    local text = variable(switch)
    if text == "1" then
      result[name] = switched_on[name]
    elseif text then
      result[name] = text ~= "0" and { file = text }
    end
  end
  return result
end

local current

--- The configuration below the client's options: `providers`, `defaults`, `costs`, `policies`.
-- Read once, when first needed; the file is Lua without any library, see docs/configuration.md.
-- @treturn table
local function get()
  if current then return current end
  local file = read(path_of_file())
  local merged = {}
  for _, layer in ipairs { defaults, file.defaults or {}, from_environment(), overrides } do
    for key, value in pairs(layer) do merged[key] = value end
  end
  current = { providers = file.providers or {}, defaults = merged, costs = file.costs,
    policies = with_switches(file.policies) }
  return current
end

--- Sets defaults over the environment and the path of the file, as the command line does.
-- @tparam table values
-- @tparam[opt] string path
local function override(values, path)
  for key, value in pairs(values) do overrides[key] = value end
  override_path = path or override_path
  current = nil
end

return { get = get, override = override }
