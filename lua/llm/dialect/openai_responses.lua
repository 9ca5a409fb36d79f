--- Dialect of OpenAI's Responses. What the model said and thought comes back item by item, with
-- encrypted reasoning, is kept as it is, and goes out again with the next request.
-- Pure translation; the request is in openai_responses_request, the server's half in
-- openai_responses_server. `quirks.models` of a provider: see llm.parameters; `reasoning = true`
-- marks reasoning models.
-- @module llm.dialect.openai_responses
local failure = require "llm.failure"
local queries = require "llm.dialect.openai_queries"
local request = require "llm.dialect.openai_responses_request"
local server = require "llm.dialect.openai_responses_server"

local function table_or_empty(value) return type(value) == "table" and value or {} end
local function string_of(value) return type(value) == "string" and value or "" end
local function string_or_nil(value) return type(value) == "string" and value or nil end

local function decode_usage(usage, reply)
  if type(usage) ~= "table" then return end
  local input = table_or_empty(usage.input_tokens_details)
  local writes = table_or_empty(input.cache_write_tokens_details)
  reply:usage {
    input_tokens = usage.input_tokens, cached_tokens = input.cached_tokens,
    cache_write_tokens = input.cache_write_tokens,
    cache_write_long_tokens = writes.ttl_12h_tokens, output_tokens = usage.output_tokens,
    reasoning_tokens = table_or_empty(usage.output_tokens_details).reasoning_tokens,
  }
end

local incomplete_reasons = { max_output_tokens = "length", content_filter = "content_filter" }

local function decode_end(response, reply)
  decode_usage(response.usage, reply)
  if response.status == "failed" then
    return reply:fail(failure.classify(200, { error = table_or_empty(response.error) }))
  elseif response.status == "incomplete" then
    local reason = string_of(table_or_empty(response.incomplete_details).reason)
    reply:finish(incomplete_reasons[reason] or "other", reason)
  else
    local status = string_of(response.status)
    reply:finish(status == "completed" and "stop" or "other", status)
  end
  reply:complete()
end

-- Tool calls are counted; the stream names them by their place among all items.
local function open_call(place, item, reply)
  local calls = reply.state.calls or { count = 0 }
  reply.state.calls = calls
  place = place or 0
  if calls[place] then return calls[place] end
  calls.count = calls.count + 1
  calls[place] = { index = calls.count, fed = false }
  reply:tool_call(calls.count, string_or_nil(item.call_id), string_or_nil(item.name))
  return calls[place]
end

local function feed_call(call, text, reply)
  if type(text) ~= "string" or text == "" then return end
  call.fed = true
  reply:tool_arguments(call.index, text)
end

-- A finished item: kept as it is. Arguments that were not streamed come with it.
local function close_item(place, item, reply)
  if item.type == "function_call" then
    local call = open_call(place, item, reply)
    if not call.fed then feed_call(call, item.arguments, reply) end
  end
  local is_lost = item.type == "reasoning" and type(item.encrypted_content) ~= "string"
  if not is_lost then reply:opaque(server.NAMESPACE, item) end
end

local read_part = {
  output_text = function(part, reply) reply:text(string_of(part.text)) end,
  refusal = function(part, reply) reply:refusal(string_of(part.refusal)) end,
  summary_text = function(part, reply) reply:reasoning(string_of(part.text)) end,
  reasoning_text = function(part, reply) reply:reasoning(string_of(part.text)) end,
}

-- An item of a reply that was not streamed.
local function decode_item(place, item, reply)
  for i, part in ipairs(table_or_empty(item.summary)) do
    if i > 1 then reply:reasoning("\n\n") end
    read_part.summary_text(part, reply)
  end
  for _, part in ipairs(table_or_empty(item.content)) do
    local read = read_part[part.type]
    if read then read(part, reply) end
  end
  close_item(place, item, reply)
end

local function decode_body(response, reply)
  if type(response.output) ~= "table" then
    return reply:fail("protocol", "the reply has no output")
  end
  reply:model(string_or_nil(response.model))
  for place, item in ipairs(response.output) do decode_item(place, item, reply) end
  decode_end(response, reply)
end

local function decode_failure(data, reply)
  local inner = type(data.error) == "table" and data.error or data
  reply:fail(failure.classify(200, { error = inner }))
end

local function on_end(data, reply) decode_end(table_or_empty(data.response), reply) end
local function on_reasoning(data, reply) reply:reasoning(string_of(data.delta)) end

local events = {
  ["response.created"] = function(data, reply)
    reply:model(string_or_nil(table_or_empty(data.response).model))
  end,
  ["response.output_item.added"] = function(data, reply)
    local item = table_or_empty(data.item)
    if item.type == "function_call" then open_call(data.output_index, item, reply) end
  end,
  ["response.output_text.delta"] = function(data, reply) reply:text(string_of(data.delta)) end,
  ["response.refusal.delta"] = function(data, reply) reply:refusal(string_of(data.delta)) end,
  ["response.reasoning_summary_part.added"] = function(data, reply)
    if data.summary_index ~= 0 then reply:reasoning("\n\n") end
  end,
  ["response.reasoning_summary_text.delta"] = on_reasoning,
  ["response.reasoning_text.delta"] = on_reasoning,
  ["response.function_call_arguments.delta"] = function(data, reply)
    feed_call(open_call(data.output_index, data, reply), data.delta, reply)
  end,
  ["response.output_item.done"] = function(data, reply)
    close_item(data.output_index, table_or_empty(data.item), reply)
  end,
  ["response.completed"] = on_end, ["response.incomplete"] = on_end,
  ["response.failed"] = on_end, error = decode_failure,
}

local function decode_event(event, reply)
  local data = event.json
  if not data then return end
  if type(data.error) == "table" and data.object ~= "response" then
    return decode_failure(data, reply)
  end
  if event.type == "body" then return decode_body(data, reply) end
  local read = events[data.type or event.type]
  if read then read(data, reply) end
end

-- An event of exactly this shape is nothing but text.
local skim = {
  type = "response.output_text.delta", delta = "$text", sequence_number = "$skip",
  item_id = "$skip", output_index = "$skip", content_index = "$skip", logprobs = "$skip",
  obfuscation = "$skip",
}

return {
  frame = "sse", skim = skim,
  encode_request = request.encode_request, decode_event = decode_event,
  decode_request = server.decode_request, encode_event = server.encode_event,
  encode_embed = queries.encode_embed, decode_embed = queries.decode_embed,
  encode_models = queries.encode_models, decode_models = queries.decode_models,
  encode_count = queries.count_encoder(request.encode_request),
  decode_count = queries.decode_count,
}
