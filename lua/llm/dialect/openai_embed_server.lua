--- The server's half of OpenAI's embeddings: what the mock speaks.
-- @module llm.dialect.openai_embed_server
local core = require "llm.core"
local chat = require "llm.dialect.openai_chat_server"

local function value_or_nil(value) return value ~= core.json.null and value or nil end

-- A text, or tokens, which stand for one.
local function text_of(input)
  return type(input) == "table" and table.concat(input, " ") or tostring(input)
end

local function decode_request(body)
  local input, texts, messages = body.input, {}, {}
  if type(input) ~= "table" or type(input[1]) == "number" then input = { input } end
  for i, item in ipairs(input) do
    texts[i] = text_of(item)
    messages[i] = { role = "user", content = texts[i] }
  end
  return {
    kind = "embed", model = body.model, texts = texts, messages = messages,
    dimensions = value_or_nil(body.dimensions), encoding = value_or_nil(body.encoding_format),
  }
end

local function encode_body(answer, context)
  local data = setmetatable({}, core.json.array_mt)
  for i, vector in ipairs(answer.embeddings) do
    if context.encoding == "base64" then vector = core.base64.encode_floats(vector) end
    data[i] = { object = "embedding", index = i - 1, embedding = vector }
  end
  local count = answer.usage.input_tokens
  return { object = "list", model = context.model, data = data,
    usage = { prompt_tokens = count, total_tokens = count } }
end

local function encode_event(kind, value, context)
  if kind == "body" then return { encode_body(value, context) } end
  return chat.encode_event(kind, value, context)
end

return { decode_request = decode_request, encode_event = encode_event }
