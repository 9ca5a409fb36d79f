--- Dialect of Amazon Bedrock's Converse. An answer that holds reasoning is kept block by block,
-- because its signatures are good only for all of it as it was.
-- Pure translation; the request is in bedrock_request.
-- @module llm.dialect.bedrock_converse
local core = require "llm.core"
local failure = require "llm.failure"

local json = core.json

local function table_or_empty(value) return type(value) == "table" and value or {} end
local function string_or_nil(value) return type(value) == "string" and value or nil end
local function count_of(value) return type(value) == "number" and value or 0 end

-- --- blocks -------------------------------------------------------------------------------------

-- The block that the stream is about; index is the provider's, tool calls are counted from 1.
local function block_at(index, reply)
  local state = reply.state
  state.blocks, state.order = state.blocks or {}, state.order or {}
  index = type(index) == "number" and index or 0
  if not state.blocks[index] then
    state.blocks[index] = { pieces = {} }
    state.order[#state.order + 1] = state.blocks[index]
  end
  return state.blocks[index]
end

local function feed(block, kind, text)
  block.kind = kind
  block.pieces[#block.pieces + 1] = text
end

local function open_tool(block, tool, reply)
  local state = reply.state
  state.calls = (state.calls or 0) + 1
  block.kind, block.call = "tool", state.calls
  block.id, block.name = string_or_nil(tool.toolUseId), string_or_nil(tool.name)
  reply:tool_call(block.call, block.id, block.name)
end

local read_delta = {
  text = function(text, block, reply)
    if type(text) ~= "string" then return end
    feed(block, "text", text)
    reply:text(text)
  end,
  toolUse = function(tool, block, reply)
    local input = table_or_empty(tool).input
    if type(input) ~= "string" or not block.call then return end
    feed(block, "tool", input)
    if input ~= "" then reply:tool_arguments(block.call, input) end
  end,
  reasoningContent = function(reasoning, block, reply)
    reasoning = table_or_empty(reasoning)
    reply.state.reasons = true
    feed(block, "reasoning", string_or_nil(reasoning.text) or "")
    block.signature = string_or_nil(reasoning.signature) or block.signature
    block.redacted = string_or_nil(reasoning.redactedContent) or block.redacted
    reply:reasoning(string_or_nil(reasoning.text) or "")
  end,
}

local rebuild = {
  text = function(_, text) return text ~= "" and { text = text } or nil end,
  tool = function(block, text)
    local input = json.decode(text)
    if type(input) ~= "table" then input = {} end
    return { toolUse = { toolUseId = block.id, name = block.name, input = input } }
  end,
  reasoning = function(block, text)
    if block.redacted then return { reasoningContent = { redactedContent = block.redacted } } end
    return { reasoningContent = { reasoningText = { text = text, signature = block.signature } } }
  end,
}

local function keep_blocks(reply)
  if not reply.state.reasons then return end
  for _, block in ipairs(reply.state.order) do
    local whole = block.kind and rebuild[block.kind](block, table.concat(block.pieces))
    if whole then reply:opaque("bedrock_converse", whole) end
  end
end

-- --- the end ------------------------------------------------------------------------------------

local finish_reasons = {
  end_turn = "stop", stop_sequence = "stop", tool_use = "tool_calls", max_tokens = "length",
  model_context_window_exceeded = "length", guardrail_intervened = "content_filter",
  content_filtered = "content_filter",
}

local function finish(raw, reply)
  keep_blocks(reply)
  reply:finish(finish_reasons[raw] or "other", string_or_nil(raw))
end

-- inputTokens leaves out what the cache took or gave.
local function decode_usage(usage, reply)
  if type(usage) ~= "table" then return end
  local read, written = count_of(usage.cacheReadInputTokens), count_of(usage.cacheWriteInputTokens)
  local long = 0
  for _, detail in ipairs(table_or_empty(usage.cacheDetails)) do
    if detail.ttl == "1h" then long = long + count_of(detail.inputTokens) end
  end
  reply:usage {
    input_tokens = count_of(usage.inputTokens) + read + written, cached_tokens = read,
    cache_write_tokens = written, cache_write_long_tokens = long > 0 and long or nil,
    output_tokens = usage.outputTokens,
  }
end

-- What an exception in the midst of a stream would have been as a status.
local statuses = {
  throttlingException = 429, modelStreamErrorException = 424, internalServerException = 500,
  serviceUnavailableException = 503, validationException = 400, modelTimeoutException = 408,
}

local events = {
  contentBlockStart = function(data, reply)
    local tool = table_or_empty(data.start).toolUse
    if type(tool) == "table" then
      open_tool(block_at(data.contentBlockIndex, reply), tool, reply)
    end
  end,
  contentBlockDelta = function(data, reply)
    local block = block_at(data.contentBlockIndex, reply)
    for name, value in pairs(table_or_empty(data.delta)) do
      if read_delta[name] then read_delta[name](value, block, reply) end
    end
  end,
  messageStop = function(data, reply) finish(data.stopReason, reply) end,
  metadata = function(data, reply)
    decode_usage(data.usage, reply)
    if reply.finish_reason then reply:complete() end
  end,
}

-- A block of a reply that was not streamed is its deltas at once.
local function decode_block(index, content, reply)
  local block = block_at(index, reply)
  if content.text then
    read_delta.text(content.text, block, reply)
  elseif type(content.toolUse) == "table" then
    open_tool(block, content.toolUse, reply)
    read_delta.toolUse({ input = json.encode(content.toolUse.input) }, block, reply)
  elseif type(content.reasoningContent) == "table" then
    local reasoning = content.reasoningContent
    read_delta.reasoningContent(reasoning.reasoningText or reasoning, block, reply)
  end
end

local function decode_body(data, reply)
  local content = table_or_empty(table_or_empty(data.output).message).content
  if type(content) ~= "table" then return reply:fail("protocol", "the reply has no message") end
  for index, block in ipairs(content) do decode_block(index, block, reply) end
  finish(data.stopReason, reply)
  decode_usage(data.usage, reply)
  reply:complete()
end

local function decode_event(event, reply)
  local data = event.json
  local status = statuses[event.type]
    or (event.type:find("[Ee]xception$") or event.type:find("[Ee]rror$")) and 500
  if status then
    return reply:fail(failure.classify(status, data or { message = event.data }))
  end
  if not data then return end
  if event.type == "body" then return decode_body(data, reply) end
  local read = events[event.type]
  if read then read(data, reply) end
end

-- --- errors -------------------------------------------------------------------------------------

local kinds = {
  UnrecognizedClientException = "authentication", InvalidSignatureException = "authentication",
  ExpiredTokenException = "authentication", IncompleteSignatureException = "authentication",
  MissingAuthenticationTokenException = "authentication", AccessDeniedException = "permission",
  ResourceNotFoundException = "model_not_found", ThrottlingException = "rate_limit",
  ServiceQuotaExceededException = "quota",
}

-- The type of an error is in a header: "ThrottlingException:http://…", or behind a "#".
local function decode_failure(status, headers, body)
  body = table_or_empty(body)
  local name = headers["x-amzn-errortype"] or string_or_nil(body.__type) or ""
  local kind, text = failure.classify(status, { message = body.message or body.Message })
  return kinds[name:gsub(":.*", ""):gsub("^.*#", "")] or kind, text
end

return {
  frame = "eventstream", encode_request = require "llm.dialect.bedrock_request",
  decode_event = decode_event, failure = decode_failure,
}
