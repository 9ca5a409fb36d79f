--- Queries: what a provider is asked beside conversations. These are methods of the Client. A query
-- is a request with a `kind` (embed, models, count) that a dialect's encode_KIND and decode_KIND
-- translate; it travels the same road as a conversation, through the same policies.
-- @module llm.queries
local config = require "llm.config"
local errors = require "llm.error"
local options = require "llm.options"
local providers = require "llm.provider"
local requests = require "llm.request"
local tokens = require "llm.tokens"

local Queries = {}

local PAGES_MAX = 100 -- of a list of models; a server that never ends is left

local function known_with(names)
  for name, kind in pairs(requests.call_options) do names[name] = kind end
  return names
end

local models_options = known_with {}
local embed_options = known_with {
  model = "string", dimensions = "number", encoding = "string", user = "string", extra = "table",
}

-- Options of the call apart from those of the request.
local function divide(opts, known, where)
  local request, own = {}, nil
  for name, value in pairs(options.check(opts, known, where)) do
    if requests.call_options[name] then
      own = own or {}
      own[name] = value
    else
      request[name] = value
    end
  end
  return request, own
end

local function send(client, kind, request)
  request.kind, request.stream = kind, false
  local reply, err = client.chain(request)
  if not reply then return nil, err end
  return reply:fold()
end

local function copy(source)
  local target = {}
  for name, value in pairs(source) do target[name] = value end
  return target
end

-- --- embeddings ----------------------------------------------------------------------------------

local function check_texts(texts)
  if type(texts) == "string" then texts = { texts } end
  if type(texts) ~= "table" or #texts == 0 then
    options.refuse("embed", "expected a text or a non-empty list of texts")
  end
  for i, text in ipairs(texts) do
    if type(text) ~= "string" or not text:find("%S") then
      options.refuse("embed", ("texts[%d] must be a text that is not blank"):format(i))
    end
  end
  return texts
end

-- Texts cut into lists that one request may carry: so many texts, so many tokens.
local function batches(texts, quirks)
  local most, most_tokens = quirks.embed_batch or 100, quirks.embed_tokens or 250000
  local list, batch, sum = {}, nil, 0
  for _, text in ipairs(texts) do
    local count = tokens.estimate_tokens(text)
    if not batch or #batch == most or sum + count > most_tokens then
      batch, sum = {}, 0
      list[#list + 1] = batch
    end
    batch[#batch + 1], sum = text, sum + count
  end
  return list
end

-- Policies know a request by its messages, so the texts stand there as well.
local function embed_request(client, fields, own, texts)
  local request = copy(fields)
  request.texts, request.messages, request.defaulted = texts, {}, {}
  for i, text in ipairs(texts) do request.messages[i] = { role = "user", content = text } end
  return client:prepare(request, own)
end

local function add_embeddings(result, response, count)
  local items = response.items or {}
  for i = 1, count do
    if not items[i] then
      return nil, errors.new("protocol", ("the reply has no embedding for text %d of %d"):format(
        i, count), { provider = response.provider, model = response.model })
    end
    result.embeddings[#result.embeddings + 1] = items[i]
  end
  local usage, cost = response.usage, response.cost_estimate
  result.model = response.model
  result.usage.input_tokens = result.usage.input_tokens + usage.input_tokens
  result.usage.estimated = usage.estimated or result.usage.estimated
  result.cost_estimate = cost and result.cost_estimate and result.cost_estimate + cost
  return true
end

--- Turns texts into vectors, in as many requests as the provider's limits need.
-- @tparam string|table texts a text or a list of texts
-- @tparam[opt] table opts `model`, `dimensions`, `encoding` (`"base64"` or `"float"`: how vectors
-- travel), `user`, `extra`, and limits such as `timeout`
-- @treturn table `embeddings` (a list of lists of numbers, in the order of the texts), `model`,
-- `usage` (input_tokens), `cost_estimate` (USD, nil when the price is unknown)
-- @treturn nil, err whose `partial` has the embeddings that came before
-- @usage local found = assert(client:embed({ "one", "two" }, { model = "text-embedding-3-small" }))
function Queries:embed(texts, opts)
  texts = check_texts(texts)
  local fields, own = divide(opts, embed_options, "embed")
  local result = { embeddings = {}, usage = { input_tokens = 0, output_tokens = 0 },
    cost_estimate = 0 }
  for _, batch in ipairs(batches(texts, self.provider.quirks or {})) do
    local response, err = send(self, "embed", embed_request(self, fields, own, batch))
    local ok = response and true
    if ok then ok, err = add_embeddings(result, response, #batch) end
    if not ok then
      err.partial = result
      return nil, err
    end
  end
  return result
end

-- --- models and keys -----------------------------------------------------------------------------

local function models_page(client, own, page, only_key)
  local request = { messages = {}, defaulted = {}, page = page, only_key = only_key,
    model = client.options.model or "" }
  return send(client, "models", client:prepare(request, own))
end

--- The models that the provider offers with this key.
-- @tparam[opt] table opts limits such as `timeout`
-- @treturn table list of rows: `id`; and where the provider tells them `name`, `context`,
-- `max_output` (tokens), `created` (Unix time)
-- @treturn nil, err
-- @usage for _, model in ipairs(assert(client:list_models())) do print(model.id) end
function Queries:list_models(opts)
  local _, own = divide(opts, models_options, "list_models")
  local models, page = {}, nil
  for _ = 1, PAGES_MAX do
    local response, err = models_page(self, own, page)
    if not response then return nil, err end
    for _, model in ipairs(response.items or {}) do models[#models + 1] = model end
    page = response.next_page
    if not page then break end
  end
  return models
end

--- Whether the provider takes the key. It is asked for its models, which costs nothing; one that
-- has no list is asked for a word.
-- @tparam[opt] table opts limits such as `timeout`
-- @treturn boolean true
-- @treturn false, err: `authentication` or `permission` when the key is refused; any other kind
-- when the provider could not be asked
-- @usage local ok, err = client:validate_key()
function Queries:validate_key(opts)
  local _, own = divide(opts, models_options, "validate_key")
  local response, err = models_page(self, own, nil, true)
  if not response and err.kind == "invalid_request" and not err.status then
    local asked = copy(own or {})
    asked.max_tokens, asked.stream = 16, false
    response, err = self:generate_text("Hi", asked)
  end
  if response then return true end
  return false, err
end

-- The ids that may be asked for: those of the configuration, else those that the provider lists.
local function available(client, opts)
  local own = config.get().providers[client.provider_name]
  if own and own.models then return own.models end
  local list, err = client:list_models(opts)
  if not list then return nil, err end
  local ids = {}
  for i, model in ipairs(list) do ids[i] = model.id end
  return ids
end

--- Whether a model may be asked: it is in the configuration's `models` of the provider, or where
-- there are none in the provider's own list.
-- @tparam[opt] string model default: the client's
-- @tparam[opt] table opts limits such as `timeout`
-- @treturn boolean true
-- @treturn false, err: `model_not_found`, which names the nearest one; any other kind when the
-- provider could not be asked
-- @usage local ok, err = client:validate_model "gpt-5-mini"
function Queries:validate_model(model, opts)
  model = model or self.options.model
  if type(model) ~= "string" then options.refuse("validate_model", "name a model") end
  local provider, name = providers.split(model)
  if provider == self.provider_name then model = name end
  local ids, err = available(self, opts)
  if not ids then return false, err end
  local known = {}
  for _, id in ipairs(ids) do known[id:gsub("^models/", "")] = true end
  if known[model] then return true end
  local near = options.nearest(model, known)
  return false, errors.new("model_not_found", ("%s has no model %q%s"):format(self.provider_name,
    model, near and ("; did you mean %q?"):format(near) or ""),
    { provider = self.provider_name, model = model })
end

-- --- tokens --------------------------------------------------------------------------------------

--- How many tokens the model would read: the provider is asked where it offers that, else they are
-- counted here as llm.count_tokens does.
-- @tparam string|table messages as for generate_text
-- @tparam[opt] table opts as for generate_text
-- @treturn number tokens
-- @treturn boolean whether the number is exact
-- @treturn nil, err
-- @usage local n = assert(client:count_tokens(messages, { tools = tools }))
function Queries:count_tokens(messages, opts)
  local request = self:request(messages, opts)
  if not self.provider.dialect.encode_count then
    return tokens.count_tokens(request.messages, request.model)
  end
  local response, err = send(self, "count", request)
  if not response then return nil, err end
  return response.usage.input_tokens, not response.usage.estimated
end

return Queries
