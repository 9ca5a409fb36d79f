--- Dialect of Anthropic's Messages: the reply. The request and the server's half are beside it.
-- What must go back with the next request is told to reply:opaque("anthropic", …) as a list:
-- {model}, then one item a content block in order: {block} verbatim, {call = id of a tool call} or
-- {text_from, text_to} (bytes of the answer's text).
-- @module llm.dialect.anthropic_messages
local core = require "llm.core"
local encode_request = require "llm.dialect.anthropic_request"
local failure = require "llm.failure"
local queries = require "llm.dialect.anthropic_queries"
local server = require "llm.dialect.anthropic_server"

local json = core.json

local function table_or_empty(value) return type(value) == "table" and value or {} end

-- --- usage: cumulative; input_tokens leaves out what the cache took or gave ----------------------

local usage_fields = { "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens",
  "output_tokens" }

local function decode_usage(usage, reply)
  if type(usage) ~= "table" then return end
  local known = reply.state.usage or {}
  reply.state.usage = known
  for _, name in ipairs(usage_fields) do
    if type(usage[name]) == "number" then known[name] = usage[name] end
  end
  local written, read = known.cache_creation_input_tokens, known.cache_read_input_tokens
  reply:usage {
    input_tokens = known.input_tokens and known.input_tokens + (written or 0) + (read or 0),
    cached_tokens = read, cache_write_tokens = written, output_tokens = known.output_tokens,
    cache_write_long_tokens = table_or_empty(usage.cache_creation).ephemeral_1h_input_tokens,
    reasoning_tokens = table_or_empty(usage.output_tokens_details).thinking_tokens,
  }
end

-- --- content blocks ------------------------------------------------------------------------------

local function text_length(reply) return #reply:content() end

-- block type -> what its beginning says; the item is what is kept of it.
local begin = {
  text = function(block, reply, item)
    item.text_from = text_length(reply)
    if type(block.text) == "string" then reply:text(block.text) end
  end,
  thinking = function(block, reply, item)
    item.block = { type = "thinking", thinking = block.thinking or "",
      signature = block.signature or "" }
    reply:reasoning(item.block.thinking)
  end,
  tool_use = function(block, reply, item)
    local state = reply.state
    state.calls = (state.calls or 0) + 1
    item.call, item.index = block.id, state.calls
    reply:tool_call(item.index, block.id, block.name)
    if next(table_or_empty(block.input)) then
      reply:tool_arguments(item.index, json.encode(block.input))
    end
  end,
}

local function begin_block(index, block, reply)
  local state = reply.state
  local item = {}
  state.items = state.items or { { model = reply.request.model } }
  state.items[#state.items + 1] = item
  state.open = state.open or {}
  state.open[index] = item
  local known = begin[block.type]
  if known then
    known(block, reply, item)
  else -- redacted thinking, what a server-side tool did: goes back verbatim
    item.block = block
  end
end

local function grow(block, name, value)
  if type(value) == "string" then block[name] = (block[name] or "") .. value end
end

local grow_block = {
  text_delta = function(delta, reply) reply:text(delta.text) end,
  thinking_delta = function(delta, reply, item)
    reply:reasoning(delta.thinking)
    grow(item.block or {}, "thinking", delta.thinking)
  end,
  signature_delta = function(delta, _, item)
    grow(item.block or {}, "signature", delta.signature)
  end,
  input_json_delta = function(delta, reply, item)
    if item.index and delta.partial_json ~= "" then
      reply:tool_arguments(item.index, delta.partial_json)
    else
      grow(item, "input", delta.partial_json)
    end
  end,
}

local function end_block(index, reply)
  local item = table_or_empty(reply.state.open)[index]
  if not item then return end
  if item.text_from then item.text_to = text_length(reply) end
  if item.block and item.input and item.input ~= "" then
    item.block.input = json.decode(item.input)
    item.input = nil
  end
end

-- Plain text and tool calls alone need no memory.
local function keep_blocks(reply)
  local items = reply.state.items or {}
  local is_needed
  for _, item in ipairs(items) do is_needed = is_needed or item.block end
  if not is_needed then return end
  for _, item in ipairs(items) do reply:opaque("anthropic", item) end
end

-- --- events --------------------------------------------------------------------------------------

local finish_reasons = {
  end_turn = "stop", stop_sequence = "stop", max_tokens = "length", tool_use = "tool_calls",
  model_context_window_exceeded = "length", refusal = "content_filter",
}

local function decode_stop(data, reply)
  local raw = data.stop_reason
  if type(raw) ~= "string" then return end
  local details = table_or_empty(data.stop_details)
  if type(details.explanation) == "string" then reply:refusal(details.explanation) end
  keep_blocks(reply)
  reply:finish(finish_reasons[raw] or "other", raw)
end

local events = {
  message_start = function(data, reply)
    local message = table_or_empty(data.message)
    if type(message.model) == "string" then reply:model(message.model) end
    -- Its count of the output is a placeholder: what a cut stream cost is better estimated.
    if type(message.usage) == "table" then message.usage.output_tokens = nil end
    decode_usage(message.usage, reply)
  end,
  content_block_start = function(data, reply)
    begin_block(data.index, table_or_empty(data.content_block), reply)
  end,
  content_block_delta = function(data, reply)
    local delta = table_or_empty(data.delta)
    local item = table_or_empty(table_or_empty(reply.state.open)[data.index])
    if grow_block[delta.type] then grow_block[delta.type](delta, reply, item) end
  end,
  content_block_stop = function(data, reply) end_block(data.index, reply) end,
  message_delta = function(data, reply)
    decode_usage(data.usage, reply)
    decode_stop(table_or_empty(data.delta), reply)
  end,
  message_stop = function(_, reply) reply:complete() end,
  message = function(data, reply)
    if type(data.model) == "string" then reply:model(data.model) end
    for index, block in ipairs(table_or_empty(data.content)) do
      begin_block(index, block, reply)
      end_block(index, reply)
    end
    decode_usage(data.usage, reply)
    decode_stop(data, reply)
    reply:complete()
  end,
  error = function(data, reply)
    reply:fail(failure.classify(200, data))
  end,
}

local function decode_event(event, reply)
  local data = table_or_empty(event.json)
  local decode = events[data.type]
  if decode then return decode(data, reply) end
  if event.type == "error" or type(data.error) == "table" then return events.error(data, reply) end
  if event.type == "body" then reply:fail("protocol", "the reply is not a message") end
end

-- An event of exactly this shape is nothing but text.
local skim = {
  type = "content_block_delta", index = "$skip", delta = { type = "text_delta", text = "$text" },
}

return {
  frame = "sse", encode_request = encode_request, decode_event = decode_event, skim = skim,
  decode_request = server.decode_request, encode_event = server.encode_event,
  encode_count = queries.encode_count, decode_count = queries.decode_count,
  encode_models = queries.encode_models, decode_models = queries.decode_models,
}
