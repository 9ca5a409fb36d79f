--- Anthropic's count of tokens and list of models. Quirk: count_path, where the model is counted at
-- an address of its own (Vertex, which has no list of models).
-- @module llm.dialect.anthropic_queries
local encode_request = require "llm.dialect.anthropic_request"
local headers_of = require "llm.headers"
local url = require "llm.url"

local function table_or_empty(value) return type(value) == "table" and value or {} end
local function string_or_nil(value) return type(value) == "string" and value or nil end
local function number_or_nil(value) return type(value) == "number" and value or nil end

-- What the endpoint takes, by the official client (@anthropic-ai/sdk 1.12.0).
local counted = { "messages", "system", "tools", "tool_choice", "thinking", "output_config",
  "cache_control", "anthropic_version" }

local function encode_count(request, provider)
  local wire, problem = encode_request(request, provider)
  if not wire then return nil, problem end
  local body = { model = request.model }
  for _, name in ipairs(counted) do body[name] = wire.body[name] end
  return { path = (provider.quirks or {}).count_path or "/v1/messages/count_tokens", body = body }
end

local function decode_count(event, reply)
  local count = number_or_nil(table_or_empty(event.json).input_tokens)
  if not count then return reply:fail("protocol", "the reply has no count of tokens") end
  reply:usage { input_tokens = count, output_tokens = 0 }
  reply:complete()
end

local function encode_models(request, provider)
  if (provider.quirks or {}).path then
    return nil, provider.name .. " has no list of models"
  end
  local after = request.page and url.segment(request.page)
  return { path = "/v1/models?limit=1000" .. (after and "&after_id=" .. after or "") }
end

local function decode_models(event, reply)
  local data = table_or_empty(event.json)
  for _, row in ipairs(table_or_empty(data.data)) do
    reply:item {
      id = row.id, name = string_or_nil(row.display_name),
      context = number_or_nil(row.max_input_tokens), max_output = number_or_nil(row.max_tokens),
      created = headers_of.unix_time(row.created_at),
    }
  end
  if data.has_more == true then reply:more(string_or_nil(data.last_id)) end
  reply:complete()
end

return {
  encode_count = encode_count, decode_count = decode_count,
  encode_models = encode_models, decode_models = decode_models,
}
