--- Fallback: other models, of this provider or of others, when one cannot answer. It happens before
-- the first content or not at all. What was tried stands in `response.tried`.
-- @module llm.policy.fallback
local errors = require "llm.error"
local log = require "llm.log"
local options = require "llm.options"
local providers = require "llm.provider"

local known = { models = "table", on = "table" }

local causes = { "rate_limit", "quota", "provider_unavailable", "network", "timeout",
  "model_not_found", "context_length", "authentication", "permission" }

local Fallback = {}
Fallback.__index = Fallback

-- What a client of another provider does not take over: who answers, and what sees a call from
-- without, which is this client's.
local own = {
  provider = "", model = "", api_key = "", api_keys = "", keys = "", base_url = "", headers = "",
  policies = "", fallback = false, log = false, alert = false, metrics = false, cache = false,
}

local function options_for(client, name)
  local opts = { model = name }
  for key, value in pairs(client.options) do if own[key] == nil then opts[key] = value end end
  for key, value in pairs(own) do if value == false then opts[key] = false end end
  for _, policy in ipairs(client.policies) do -- the same purse
    if type(policy) == "table" and policy.can_make_request then opts.budget = policy end
  end
  return opts
end

-- The client that asks a model of another provider, made when first needed; nil, err.
local function other_client(self, name, model)
  local made = self.clients[name]
  if not made then
    local opts = options_for(self.client, name)
    local ok, result = pcall(require("llm.client").new, opts) -- raises for a missing key, say
    made = { client = ok and result, err = not ok and result or nil }
    if made.err and not errors.is_error(made.err) then error(made.err, 0) end
    if made.err then made.err.model = model end
    self.clients[name] = made
  end
  return made.client, made.err
end

local function copy(request)
  local again = {}
  for name, value in pairs(request) do again[name] = value end
  return again
end

-- Asks a model by its name: reply | nil, err
local function ask(self, name, request, next)
  local again = copy(request)
  local provider, model = providers.split(name)
  if not provider or provider == self.client.provider_name then
    again.model = model
    return next(again)
  end
  local client, err = other_client(self, name, model)
  if not client then return nil, err end
  again.model = name
  return client.chain(client:prepare(again, request.call.own))
end

-- The models to try after one: its own list, or the list for all.
local function models_after(self, request)
  local models = self.map and self.map[request.model] or self.models
  return type(models) == "table" and models or { models }
end

--- The policy itself.
function Fallback:__call(request, next)
  local reply, err = next(request)
  if reply or request.kind then return reply, err end
  local tried = {}
  for _, name in ipairs(models_after(self, request)) do
    if not self.on[err.kind] or err.dry_run then break end
    log.write("warn", "fallback", ("%s: %s; asking %s"):format(err.model or request.model, err.kind,
      name))
    tried[#tried + 1] = err
    reply, err = ask(self, name, request, next)
    if reply then
      reply.request.call.tried = tried
      return reply
    end
  end
  if tried[1] then err.tried = tried end
  return nil, err
end

--- Ends what the clients of other providers do.
function Fallback:close()
  for _, made in pairs(self.clients) do if made.client then made.client:close() end end
end

local function set_of(list)
  local set = {}
  for _, kind in ipairs(list) do
    if errors.kinds[kind] == nil then
      options.refuse("fallback", ("there is no kind %q of errors"):format(tostring(kind)))
    end
    set[kind] = true
  end
  return set
end

local function is_list(value) return type(value) == "table" and type(value[1]) == "string" end

--- Makes the policy.
-- @tparam string|table opts a model (`"gpt-5-mini"`, or `"provider/model"`), a list of models, or
-- `models`: such a list, or a map from a model to the one or those after it; `on`: the kinds of
-- errors that lead on (default: all that another model may not have; add `"content_filter"` where
-- that is wanted)
-- @tparam Client client
-- @treturn policy
-- @usage local client = llm.client { model = "openai/gpt-5",
--   fallback = { "openai/gpt-5-mini", "anthropic/claude-haiku-4-5" } }
local function new(opts, client)
  if type(opts) == "string" or is_list(opts) then opts = { models = opts } end
  if type(opts.models) == "string" then opts = { models = { opts.models }, on = opts.on } end
  options.check(opts, known, "fallback")
  if not opts.models or next(opts.models) == nil then
    options.refuse("fallback", "give models: a list, or a map from a model to those after it")
  end
  local is_map = not is_list(opts.models)
  return setmetatable({ client = client, clients = {}, map = is_map and opts.models,
    models = is_map and {} or opts.models, on = set_of(opts.on or causes) }, Fallback)
end

return { new = new }
