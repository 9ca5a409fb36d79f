--- OpenAI's embeddings, list of models and count of tokens, which look-alikes have as well. Quirks:
-- embed_encoding (the form that vectors are asked for in), dimensions_field, key_path (where a key
-- is checked, when the list of models is open to all).
-- @module llm.dialect.openai_queries
local core = require "llm.core"

local function table_or_empty(value) return type(value) == "table" and value or {} end
local function string_or_nil(value) return type(value) == "string" and value or nil end
local function number_or_nil(value) return type(value) == "number" and value or nil end

-- --- embeddings ----------------------------------------------------------------------------------

local function encode_embed(request, provider)
  local quirks = provider.quirks or {}
  local body = {
    model = request.model, input = request.texts, user = request.user,
    encoding_format = request.encoding or quirks.embed_encoding,
    [quirks.dimensions_field or "dimensions"] = request.dimensions,
  }
  for name, value in pairs(request.extra or {}) do body[name] = value end
  return { path = "/embeddings", body = body }
end

local function decode_vector(vector)
  if type(vector) == "string" then return core.base64.decode_floats(vector) end
  return type(vector) == "table" and vector or nil
end

local function decode_embed(event, reply)
  local data = table_or_empty(event.json)
  if type(data.data) ~= "table" then return reply:fail("protocol", "the reply has no data") end
  for i, row in ipairs(data.data) do
    local index = number_or_nil(row.index)
    reply:item(decode_vector(row.embedding), index and index + 1 or i)
  end
  local usage = table_or_empty(data.usage)
  if usage.prompt_tokens then
    reply:usage { input_tokens = usage.prompt_tokens, output_tokens = 0 }
  end
  reply:model(string_or_nil(data.model))
  reply:complete()
end

-- --- models --------------------------------------------------------------------------------------

local function encode_models(request, provider)
  local quirks = provider.quirks or {}
  return { path = request.only_key and quirks.key_path or "/models" }
end

-- The names of the context's length at OpenRouter and Together, Mistral, vLLM, Groq.
local context_names = { "context_length", "max_context_length", "max_model_len", "context_window" }

local function decode_model(row)
  local context
  for _, name in ipairs(context_names) do context = context or number_or_nil(row[name]) end
  return {
    id = row.id, name = string_or_nil(row.display_name) or string_or_nil(row.name),
    context = context, created = number_or_nil(row.created),
    max_output = number_or_nil(table_or_empty(row.top_provider).max_completion_tokens)
      or number_or_nil(row.max_completion_tokens),
  }
end

-- Together's list is the body itself.
local function decode_models(event, reply)
  local data = table_or_empty(event.json)
  local list = type(data.data) == "table" and data.data or data
  for _, row in ipairs(list) do
    if type(row) == "table" and type(row.id) == "string" then reply:item(decode_model(row)) end
  end
  reply:complete()
end

-- --- tokens: Responses alone ---------------------------------------------------------------------

local counted = { "model", "input", "instructions", "tools", "tool_choice", "text", "reasoning",
  "parallel_tool_calls" }

-- The request whose tokens are counted, as `encode_request` makes it, without what is not counted.
local function count_encoder(encode_request)
  return function(request, provider)
    local wire, problem = encode_request(request, provider)
    if not wire then return nil, problem end
    local body = {}
    for _, name in ipairs(counted) do body[name] = wire.body[name] end
    return { path = "/responses/input_tokens", body = body }
  end
end

local function decode_count(event, reply)
  local count = number_or_nil(table_or_empty(event.json).input_tokens)
  if not count then return reply:fail("protocol", "the reply has no count of tokens") end
  reply:usage { input_tokens = count, output_tokens = 0 }
  reply:complete()
end

return {
  encode_embed = encode_embed, decode_embed = decode_embed, encode_models = encode_models,
  decode_models = decode_models, count_encoder = count_encoder, decode_count = decode_count,
}
