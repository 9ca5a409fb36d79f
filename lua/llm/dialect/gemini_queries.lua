--- Google's embeddings, list of models and count of tokens. Quirk: is_vertex, the same on Vertex
-- AI, where texts are embedded by `predict`, counts are asked flat, and models are not listed.
-- @module llm.dialect.gemini_queries
local encode_request = require "llm.dialect.gemini_request"
local url = require "llm.url"

local function table_or_empty(value) return type(value) == "table" and value or {} end
local function number_or_nil(value) return type(value) == "number" and value or nil end

local function path_of(request, method)
  local model, problem = url.segment((request.model:gsub("^models/", "")))
  if not model then return nil, problem end
  return "/models/" .. model .. ":" .. method, "models/" .. model
end

-- --- embeddings ----------------------------------------------------------------------------------

local function predict_body(request)
  local instances = {}
  for i, text in ipairs(request.texts) do instances[i] = { content = text } end
  return { instances = instances, parameters = { outputDimensionality = request.dimensions } }
end

local function batch_body(request, name)
  local requests = {}
  for i, text in ipairs(request.texts) do
    local one = { model = name, content = { parts = { { text = text } } },
      outputDimensionality = request.dimensions }
    for field, value in pairs(request.extra or {}) do one[field] = value end
    requests[i] = one
  end
  return { requests = requests }
end

local function encode_embed(request, provider)
  local is_vertex = (provider.quirks or {}).is_vertex
  if request.encoding == "base64" then
    return nil, provider.name .. " does not take the parameter encoding"
  end
  local path, name = path_of(request, is_vertex and "predict" or "batchEmbedContents")
  if not path then return nil, name end
  return { path = path, body = is_vertex and predict_body(request) or batch_body(request, name) }
end

local function decode_predictions(predictions, reply)
  local tokens
  for i, row in ipairs(predictions) do
    local embedding = table_or_empty(table_or_empty(row).embeddings)
    local count = number_or_nil(table_or_empty(embedding.statistics).token_count)
    tokens = count and (tokens or 0) + count or tokens
    reply:item(embedding.values, i)
  end
  if tokens then reply:usage { input_tokens = tokens, output_tokens = 0 } end
end

local function decode_embed(event, reply)
  local data = table_or_empty(event.json)
  local list = data.embeddings or data.embedding and { data.embedding }
  if type(data.predictions) == "table" then
    decode_predictions(data.predictions, reply)
  elseif type(list) == "table" then
    for i, row in ipairs(list) do reply:item(table_or_empty(row).values, i) end
    local count = number_or_nil(table_or_empty(data.usageMetadata).promptTokenCount)
    if count then reply:usage { input_tokens = count, output_tokens = 0 } end
  else
    return reply:fail("protocol", "the reply has no embeddings")
  end
  reply:complete()
end

-- --- models --------------------------------------------------------------------------------------

local function encode_models(request, provider)
  if (provider.quirks or {}).is_vertex then
    return nil, provider.name .. " has no list of models"
  end
  local page = request.page and url.segment(request.page)
  return { path = "/models?pageSize=1000" .. (page and "&pageToken=" .. page or "") }
end

local function decode_models(event, reply)
  local data = table_or_empty(event.json)
  for _, row in ipairs(table_or_empty(data.models)) do
    reply:item {
      id = tostring(row.name):gsub("^models/", ""),
      name = type(row.displayName) == "string" and row.displayName or nil,
      context = number_or_nil(row.inputTokenLimit),
      max_output = number_or_nil(row.outputTokenLimit),
    }
  end
  local page = data.nextPageToken
  if type(page) == "string" and page ~= "" then reply:more(page) end
  reply:complete()
end

-- --- tokens --------------------------------------------------------------------------------------

local function encode_count(request, provider)
  local wire, problem = encode_request(request, provider)
  if not wire then return nil, problem end
  local path, name = path_of(request, "countTokens")
  if not path then return nil, name end
  if (provider.quirks or {}).is_vertex then
    local asked = wire.body
    return { path = path, body = { contents = asked.contents, tools = asked.tools,
      systemInstruction = asked.systemInstruction } }
  end
  wire.body.model = name
  return { path = path, body = { generateContentRequest = wire.body } }
end

local function decode_count(event, reply)
  local data = table_or_empty(event.json)
  if not number_or_nil(data.totalTokens) then
    return reply:fail("protocol", "the reply has no count of tokens")
  end
  reply:usage { input_tokens = data.totalTokens, output_tokens = 0,
    cached_tokens = number_or_nil(data.cachedContentTokenCount) }
  reply:complete()
end

return {
  encode_embed = encode_embed, decode_embed = decode_embed, encode_models = encode_models,
  decode_models = decode_models, encode_count = encode_count, decode_count = decode_count,
}
