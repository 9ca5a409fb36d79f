--- Client: one provider, one set of options, one chain of policies.
-- @module llm.client
local config = require "llm.config"
local cost = require "llm.cost"
local exchange = require "llm.exchange"
local keys_of = require "llm.keys"
local log = require "llm.log"
local merge = require "llm.merge"
local message = require "llm.message"
local options = require "llm.options"
local policies = require "llm.policies"
local providers = require "llm.provider"
local requests = require "llm.request"
local stream = require "llm.stream"
local url = require "llm.url"

local Client = {}
Client.__index = Client
for name, method in pairs(require "llm.queries") do Client[name] = method end
for name, method in pairs(require "llm.later") do Client[name] = method end

local known = {
  provider = "string|table", api_key = "string", api_keys = "table", base_url = "string",
  proxy = "string",
  ca_file = "string", insecure_http = "boolean", follow_redirects = "number",
  max_connections = "number", max_connections_per_host = "number", policies = "table",
  costs = "table", system = "string",
}
for name, kind in pairs(policies.known) do known[name] = kind end
for name, kind in pairs(requests.model_options) do known[name] = kind end
for name, kind in pairs(requests.call_options) do known[name] = kind end

local function environment_url(provider)
  local value = provider.base_url_env and os.getenv(provider.base_url_env)
  return value ~= "" and value or nil
end

local function check_url(text, key, proxy, insecure)
  local parsed, problem = url.parse(text)
  if not parsed then options.refuse("base_url", problem) end
  if parsed.path:find("[?#]") then options.refuse("base_url", "the URL must end with its path") end
  local is_clear = key and parsed.scheme == "http" and (proxy or not parsed.is_loopback)
  if is_clear and not insecure then
    options.refuse("base_url", "a key is not sent over plain http to " ..
      (proxy and "a proxy" or parsed.host) .. "; use https, or set insecure_http = true")
  end
end

-- A copy of the provider's data with the address that this client uses.
local function bind_provider(opts, is_offline)
  local found, err = providers.find(opts.provider)
  if not found then error(err, 0) end
  local settings = config.get().providers[found.name] or {}
  local address = opts.base_url or environment_url(found) or settings.base_url or found.base_url
  local provider = setmetatable({
    base_url = providers.expand(found, address):gsub("/+$", ""),
    headers = merge(found.headers or {}, settings.headers or {}),
  }, { __index = found })
  local is_default_url = address:gsub("/+$", "") == found.base_url
  local keys = is_offline and {} or keys_of.find(found, opts, settings, is_default_url)
  check_url(provider.base_url, keys[1], opts.proxy or settings.proxy, opts.insecure_http)
  return provider, keys, settings
end

local function copy(source)
  local target = {}
  for key, value in pairs(source) do target[key] = value end
  return target
end

-- The policy that answers everything from a recording: neither a key nor a network is needed.
local function replay_of(opts)
  local given = copy(opts.policies or {})
  given[#given + 1] = Client.recorder
  for _, policy in ipairs(given) do
    if type(policy) == "table" and policy.offline then return policy end
  end
end

-- Prices of one's own; nil: there are none, which is looked at in every call.
local function own_costs(configured, given)
  local costs = merge(configured or {}, given or {})
  return next(costs) and costs or nil
end

--- Makes a client.
-- @tparam[opt] table opts `provider` (name or table), `model` (`"gpt-5-mini"` or
-- `"provider/model"`), `api_key` (the key, or `env:NAME`, `file:PATH`, `cmd:COMMAND`) or a list
-- `api_keys`, `base_url`,
-- `retry` and the other policies by name (see docs/policies.md), `policies`, limits and every
-- option of a call
-- @treturn Client
-- @raise an error of kind invalid_request or authentication
-- @usage local client = llm.client { model = "openai/gpt-5-mini", timeout = 60 }
local function new(opts)
  opts = copy(options.check(opts, known, "llm.client"))
  local settings = config.get()
  local replay = replay_of(opts)
  require("llm.discover").choose(opts, settings, replay and replay.provider)
  local provider, keys, own = bind_provider(opts, replay ~= nil)
  if keys[2] and opts.keys == nil then opts.keys = keys end
  local defaults = settings.defaults
  local self = setmetatable({
    provider = provider, provider_name = provider.name, options = opts, defaults = defaults,
    costs = own_costs(settings.costs, opts.costs),
    replies = setmetatable({}, { __mode = "k" }), setups = {}, models = {}, key = keys[1],
  }, Client)
  opts.model = opts.model or provider.default_model
  self.transport = {
    client = self, provider = provider, key = keys[1], setups = self.setups,
    http = exchange.http_of(opts), proxy = opts.proxy or own.proxy,
    ca_file = opts.ca_file or own.ca_file, headers = opts.headers,
    connect_timeout = opts.connect_timeout or defaults.connect_timeout,
    timeout = opts.timeout or defaults.timeout,
    first_timeout = opts.first_timeout or defaults.first_timeout,
    deadline = opts.deadline or defaults.deadline, max_response_bytes = opts.max_response_bytes,
    follow_redirects = opts.follow_redirects or 0, dry_run = Client.dry_run, tag = opts.tag,
  }
  self.call_meta = { __index = self.transport }
  self.template = requests.template(opts, defaults)
  self.policies = policies.list(opts, settings.policies or {}, self)
  self.chain = policies.chain(self.policies)
  return self
end

local warned = {} -- "provider/model" -> true

-- Says once that a model has had its end.
local function warn_of_end(provider, model)
  local name = provider .. "/" .. model
  local notice = not warned[name] and cost.notice(model, provider)
  warned[name] = true
  if notice then log.write("warn", provider, notice) end
end

-- "provider/model" without the provider; remembered, since most calls name the same one.
local function model_name(self, name)
  if not name then
    options.refuse("request", "no model is given and " .. self.provider_name ..
      " has no default; set model or LLM_DEFAULT_MODEL")
  end
  local provider, model = providers.split(name)
  if not provider or providers.find(provider).name ~= self.provider_name then model = name end
  self.models[name] = model
  warn_of_end(self.provider_name, model)
  return model
end

-- What one call needs beside its request: the client's transport, and the call's own options.
local function call_of(self, own)
  local call = setmetatable({ own = own, attempts = 1 }, self.call_meta)
  if own then
    for name, value in pairs(own) do call[name] = value end
    if own.headers then call.headers = merge(self.transport.headers or {}, own.headers) end
  end
  return call
end

local function with_system(self, messages)
  local system = self.options.system
  if not system then return messages end
  messages = copy(message.normalise(messages))
  if messages[1].role ~= "system" then
    table.insert(messages, 1, { role = "system", content = system })
  end
  return messages
end

--- Adds a policy: it sees every request after those added before it, and every reply before them.
-- @tparam function policy `function(request, next) -> reply | nil, err`
-- @treturn Client itself
function Client:use(policy)
  table.insert(self.policies, 1, policy)
  self.chain = policies.chain(self.policies)
  return self
end

-- Gives a canonical request what the chain needs: the provider's name of the model, and the call.
function Client:prepare(request, own)
  if self.closed then error("this client is closed", 0) end
  local name = request.model or self.options.model
  request.model = self.models[name] or model_name(self, name)
  request.call = call_of(self, own)
  return request
end

-- The canonical request of a call, ready for the chain.
function Client:request(messages, opts)
  return self:prepare(requests.new(with_system(self, messages), opts, self.template))
end

--- Asks and waits for the whole answer.
-- @tparam string|table messages a text, or a list of `{role=, content=}`
-- @tparam[opt] table opts model, temperature, max_tokens, stop, tools, response_schema, timeout …
-- @treturn Response
-- @treturn nil, err
-- @usage local response = assert(client:generate_text("What is a closure?"))
function Client:generate_text(messages, opts)
  local reply, err = self.chain(self:request(messages, opts))
  if not reply then return nil, err end
  return reply:fold()
end

--- Asks and yields the text as it comes. Leaving the loop cancels the request.
-- @tparam string|table messages
-- @tparam[opt] table opts as for generate_text
-- @return an iterator for `for`; its second value is the stream, with `:response()`, `:close()`
-- @raise the error that ended the reply
-- @usage for text in client:stream_text("Tell me a story") do io.write(text) end
function Client:stream_text(messages, opts)
  return stream.texts(self, self:request(messages, opts))
end

--- Asks and yields every event: `{type=, text=}` and so on, see docs/guide.md.
-- @tparam string|table messages
-- @tparam[opt] table opts as for generate_text
-- @return an iterator for `for`
-- @raise the error that ended the reply
function Client:stream_events(messages, opts)
  return stream.events(self, self:request(messages, opts))
end

--- As generate_text, but a failure that may pass is logged and gives nil; others are raised.
-- @tparam string|table messages
-- @tparam[opt] table opts
-- @treturn Response|nil
function Client:safe_generate_text(messages, opts)
  local response, err = self:generate_text(messages, opts)
  if response then return response end
  if not (err:is("RateLimitError") or err:is("ProviderNotAvailableError")) then error(err, 0) end
  log.write("warn", self.provider_name, tostring(err))
end

-- USD of a usage, by the name that answered or else the one that was asked for; a price of one's
-- own for either goes before ours.
function Client:cost(answered, asked, usage, terms)
  local provider, costs = self.provider.name, self.costs
  if costs and cost.is_own(costs, asked, provider) and
    not cost.is_own(costs, answered, provider) then
    answered = asked
  end
  return cost.of(answered, provider, usage, costs, terms) or
    answered ~= asked and cost.of(asked, provider, usage, costs, terms) or nil
end

Client.estimate_usage = require("llm.estimate").usage

--- Cancels what is in flight; the client refuses further calls. Idempotent.
function Client:close()
  self.closed = true
  for reply in pairs(self.replies) do reply:cancel() end
  for _, policy in ipairs(self.policies) do
    if type(policy) == "table" and policy.close then policy:close() end
  end
end
Client.__close = Client.close -- and nothing on collection: replies keep their client

return { new = new, Client = Client }
