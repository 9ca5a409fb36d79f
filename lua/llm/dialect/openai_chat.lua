--- Dialect of OpenAI's Chat Completions, which most other providers speak as well.
-- Pure translation; here is how replies are read, the rest is in the two files beside it. Quirks:
-- max_tokens_field, seed_field, tool_id_length, no_stream_options, reasoning_apart (usage counts
-- reasoning apart); what goes back with the history: echo_reasoning (reasoning_content),
-- echo_details (reasoning_details), echo_thinking (parts of type thinking). Rows of models: see
-- llm.parameters, and reasoning = true for OpenAI's reasoning models.
-- @module llm.dialect.openai_chat
local core = require "llm.core"
local failure = require "llm.failure"
local message = require "llm.message"
local encode_request = require "llm.dialect.openai_chat_request"
local queries = require "llm.dialect.openai_queries"
local server = require "llm.dialect.openai_chat_server"

local json = core.json
local null = json.null

local function string_or_nil(value)
  return type(value) == "string" and value ~= "" and value or nil
end
local function table_or_empty(value) return type(value) == "table" and value or {} end

local finish_reasons = {
  stop = "stop", eos = "stop", length = "length", model_length = "length",
  tool_calls = "tool_calls", function_call = "tool_calls", content_filter = "content_filter",
}

local function quirks_of(reply) return reply.request.call.provider.quirks or {} end

local function decode_usage(usage, reply)
  if type(usage) ~= "table" then return end
  local prompt = table_or_empty(usage.prompt_tokens_details)
  local completion = table_or_empty(usage.completion_tokens_details)
  local output, reasoning = usage.completion_tokens, completion.reasoning_tokens
  local both = type(output) == "number" and type(reasoning) == "number"
  if both and quirks_of(reply).reasoning_apart then
    output = output + reasoning
  end
  reply:usage {
    input_tokens = usage.prompt_tokens, output_tokens = output, reasoning_tokens = reasoning,
    cached_tokens = prompt.cached_tokens or usage.prompt_cache_hit_tokens,
    cache_write_tokens = prompt.cache_write_tokens,
  }
end

-- Where the call of an index stands. Some servers number every call 0, or none: there another name
-- with another id is another call.
local function place_of(index, id, name, reply)
  local places = reply.state.places or { ids = {}, last = 0 }
  reply.state.places = places
  local place = places[index] or index
  local known = places.ids[place]
  if id and name and known and known ~= id then place = places.last + 1 end
  places[index], places.last = place, math.max(place, places.last)
  places.ids[place] = places.ids[place] or id
  return place
end

local function decode_tool_calls(calls, reply)
  for position, call in ipairs(calls) do
    local called = table_or_empty(call["function"])
    local id, name = string_or_nil(call.id), string_or_nil(called.name)
    local index = type(call.index) == "number" and call.index + 1 or position
    index = place_of(index, id, name, reply)
    if id or name then reply:tool_call(index, id, name) end
    if type(called.arguments) == "string" and called.arguments ~= "" then
      reply:tool_arguments(index, called.arguments)
    elseif type(called.arguments) == "table" then
      reply:tool_arguments(index, json.encode(called.arguments))
    end
  end
end

-- State that comes in pieces is kept as one: texts grow, other members are replaced.
local function keep(reply, namespace, piece)
  local list = reply.state[namespace] or {}
  reply.state[namespace] = list
  local last = list[#list]
  if not last or last.index ~= piece.index or last.type ~= piece.type then
    list[#list + 1] = piece
    return reply:opaque(namespace, piece)
  end
  for name, value in pairs(piece) do
    local known = last[name]
    local grows = name == "text" or name == "summary" or name == "data"
    if name == "thinking" and type(known) == "table" and type(value) == "table" then
      for _, part in ipairs(value) do known[#known + 1] = part end
    else
      last[name] = grows and type(known) == "string" and known .. value or value
    end
  end
end

local function decode_content(content, reply)
  if type(content) == "string" then return reply:text(content) end
  for _, part in ipairs(table_or_empty(content)) do
    if part.type == "text" then
      reply:text(part.text)
    elseif part.type == "thinking" then
      reply:reasoning(message.text_of(part.thinking))
      keep(reply, "thinking", part)
    end
  end
end

local function decode_reasoning(delta, reply, quirks)
  local reasoning = string_or_nil(delta.reasoning_content) or string_or_nil(delta.reasoning)
  if reasoning then reply:reasoning(reasoning) end
  if reasoning and quirks.echo_reasoning then reply:opaque("reasoning_content", reasoning) end
  for _, piece in ipairs(table_or_empty(delta.reasoning_details)) do
    keep(reply, "reasoning_details", piece)
  end
end

local function decode_choice(choice, reply)
  local delta = table_or_empty(choice.message or choice.delta)
  decode_reasoning(delta, reply, quirks_of(reply))
  decode_content(delta.content, reply)
  if type(delta.refusal) == "string" then reply:refusal(delta.refusal) end
  if type(delta.tool_calls) == "table" then decode_tool_calls(delta.tool_calls, reply) end
  reply:logprobs(table_or_empty(table_or_empty(choice.logprobs).content))
  local raw = string_or_nil(choice.finish_reason)
  if raw == "error" or raw == "insufficient_system_resource" then
    return reply:fail("provider_unavailable", "the provider ended the reply with \"" .. raw .. "\"")
  end
  if raw then reply:finish(finish_reasons[raw] or "other", raw) end
end

local function decode_event(event, reply)
  local data = event.json
  if not data then
    if event.data == "[DONE]" then reply:complete() end
    return
  end
  local apart = table_or_empty(data.x_groq)
  local fault = data.error or apart.error
  if event.type == "error" or (fault and fault ~= null) then
    return reply:fail(failure.classify(200, { error = fault or data, code = data.code }))
  end
  if type(data.model) == "string" then reply:model(data.model) end
  decode_usage(data.usage, reply)
  decode_usage(apart.usage, reply)
  local choice = table_or_empty(data.choices)[1]
  if choice then
    decode_choice(choice, reply)
  elseif event.type == "body" then
    return reply:fail("protocol", "the reply has no choices")
  end
  if event.type == "body" then reply:complete() end
end

-- An event of exactly this shape is nothing but text: core/skim takes it without building tables.
local skim = {
  id = "$skip", object = "$skip", created = "$skip", model = "$skip", provider = "$skip",
  service_tier = "$skip", system_fingerprint = "$skip", obfuscation = "$skip", usage = null,
  choices = { {
    index = 0, finish_reason = null, logprobs = null, native_finish_reason = null,
    delta = { role = "$skip", content = "$text", refusal = null },
  } },
}

return {
  frame = "sse", encode_request = encode_request, decode_event = decode_event, skim = skim,
  decode_request = server.decode_request, encode_event = server.encode_event,
  encode_embed = queries.encode_embed, decode_embed = queries.decode_embed,
  encode_models = queries.encode_models, decode_models = queries.decode_models,
}
