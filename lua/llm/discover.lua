--- Discover: which provider answers when the caller did not say.
-- @module llm.discover
local core = require "llm.core"
local cost = require "llm.cost"
local keys = require "llm.keys"
local options = require "llm.options"
local providers = require "llm.provider"
local task = require "llm.task"

local with_keys = { "openai", "anthropic", "google" } -- asked in this order
local local_servers = {
  { "ollama", "http://127.0.0.1:11434", "/v1/models" },
  { "llamacpp", "http://127.0.0.1:9931/v1", "/models" },
  { "llamacpp", "http://127.0.0.1:8080/v1", "/models" },
}

local function is_set(name)
  local value = name and os.getenv(name)
  return value and value ~= ""
end

local function has_key(provider)
  return keys.variables(provider)[1] ~= nil or is_set(provider.base_url_env)
end

local function configured(settings)
  for _, name in ipairs(with_keys) do
    local provider = providers.find(name)
    if provider and (has_key(provider) or settings.providers[name]) then return name end
  end
  return (next(settings.providers))
end

-- The first model that a local server offers, nil when nothing answers there.
local function first_model(http, url)
  local transfer, id = http:start {
    method = "GET", url = url, connect_timeout = 0.25, deadline = 1,
  }
  if not transfer then return nil end
  local kind, data, model
  repeat
    kind, data = transfer:next()
    if not kind then
      task.wait(id)
    elseif kind == "event" then
      local list = core.json.decode(data)
      local first = type(list) == "table" and type(list.data) == "table" and list.data[1]
      model = first and first.id
    end
  until kind == "end" or kind == "error"
  transfer:close()
  return model
end

local function choose_local(opts)
  local http = require("llm.exchange").http_of {}
  for _, server in ipairs(local_servers) do
    local model = first_model(http, server[2] .. server[3])
    if model then
      opts.provider, opts.base_url, opts.model = server[1], server[2], model
      return true
    end
  end
end

local function by_price_table(model)
  local row = cost.find(model)
  return row and providers.find(row.provider) and row.provider
end

-- Whether the default model may be asked of the provider that the caller named.
local function fits(model, opts)
  local provider = opts.provider or "openai"
  if type(provider) == "string" then provider = providers.find(provider) or {} end
  local owner = providers.split(model)
  if owner then return providers.find(owner).name == provider.name end
  owner = provider.default_model and by_price_table(model)
  return not owner or owner == provider.name
end

local function default_model(opts, settings)
  local model = settings.defaults.model
  if not model or not opts.provider and not opts.base_url or fits(model, opts) then return model end
end

--- Completes a client's options with a provider, and with the model that goes with it.
-- @tparam table opts of the client; changed
-- @tparam table settings of llm.config
-- @tparam[opt] string recorded the provider whose replies are played back
local function choose(opts, settings, recorded)
  local model = opts.model or default_model(opts, settings)
  if model then
    local named, rest = providers.split(model)
    if named and (not opts.provider or opts.provider == named) then
      opts.provider, model = named, rest
    end
    opts.model = model
  end
  if recorded and not (opts.provider or opts.base_url or model) and providers.find(recorded) then
    opts.provider = recorded
  end
  if opts.provider == "mock" and not (opts.base_url or settings.providers.mock or recorded) then
    opts.provider = require("llm.mock").default_provider(true)
  end
  if opts.provider then return end
  if opts.base_url then
    opts.provider = "openai"
  elseif model then
    opts.provider = by_price_table(model) or configured(settings)
    if not opts.provider then
      options.refuse("model", ("nobody is configured who offers %q; name it as provider/model, "
        .. "or set base_url"):format(model))
    end
  else
    opts.provider = configured(settings)
    if not opts.provider and not choose_local(opts) then
      opts.provider = require("llm.mock").default_provider()
    end
  end
end

return { choose = choose }
