--- Ollama's embeddings and list of the models that are there.
-- @module llm.dialect.ollama_queries
local function table_or_empty(value) return type(value) == "table" and value or {} end

local function encode_embed(request, provider)
  if request.encoding == "base64" then
    return nil, provider.name .. " does not take the parameter encoding"
  end
  local body = { model = request.model, input = request.texts, dimensions = request.dimensions }
  for name, value in pairs(request.extra or {}) do body[name] = value end
  return { path = "/api/embed", body = body }
end

local function decode_embed(event, reply)
  local data = table_or_empty(event.json)
  if type(data.embeddings) ~= "table" then
    return reply:fail("protocol", "the reply has no embeddings")
  end
  for i, vector in ipairs(data.embeddings) do reply:item(vector, i) end
  if type(data.prompt_eval_count) == "number" then
    reply:usage { input_tokens = data.prompt_eval_count, output_tokens = 0 }
  end
  if type(data.model) == "string" then reply:model(data.model) end
  reply:complete()
end

local function encode_models() return { path = "/api/tags" } end

local function decode_models(event, reply)
  for _, row in ipairs(table_or_empty(table_or_empty(event.json).models)) do
    reply:item { id = row.name }
  end
  reply:complete()
end

return {
  encode_embed = encode_embed, decode_embed = decode_embed,
  encode_models = encode_models, decode_models = decode_models,
}
