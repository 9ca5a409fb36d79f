--- Dialect of Google's generateContent: the reply; the request is beside it.
-- What must go back is told to reply:opaque("gemini", …) as a list: {model, length} (bytes of the
-- text), then {part, at} for a signed text (at: bytes of text before it) and {call, signature,
-- invented} for a tool call (its id; invented: Google gave none and gets none).
-- @module llm.dialect.gemini
local core = require "llm.core"
local encode_request = require "llm.dialect.gemini_request"
local failure = require "llm.failure"
local queries = require "llm.dialect.gemini_queries"

local json = core.json

local function table_or_empty(value) return type(value) == "table" and value or {} end
local function count_or_nil(value) return type(value) == "number" and value or nil end

local function keep(reply, item)
  local items = reply.state.items or { { model = reply.request.model } }
  reply.state.items = items
  items[#items + 1] = item
end

local function decode_call(part, reply)
  local state, call = reply.state, part.functionCall
  state.calls = (state.calls or 0) + 1
  local id = type(call.id) == "string" and call.id ~= "" and call.id or nil
  local name = type(call.name) == "string" and call.name or nil
  reply:tool_call(state.calls, id or "call_" .. state.calls, name)
  reply:tool_arguments(state.calls, json.encode(table_or_empty(call.args)))
  if part.thoughtSignature or not id then
    keep(reply, { call = id or "call_" .. state.calls, signature = part.thoughtSignature,
      invented = not id or nil })
  end
end

local function decode_part(part, reply)
  if type(part.text) == "string" then
    if part.thought == true then return reply:reasoning(part.text) end
    if part.thoughtSignature then keep(reply, { part = part, at = #reply:content() }) end
    reply:text(part.text)
  elseif type(part.functionCall) == "table" then
    decode_call(part, reply)
  elseif type(part.inlineData) == "table" then
    local data = core.base64.decode(tostring(part.inlineData.data))
    if data then reply:media(part.inlineData.mimeType, data) end
  end
end

-- Counts grow from event to event, and an event that is skimmed takes its counts along; so those
-- of the output hold at the end only.
local function decode_usage(usage, reply, is_end)
  if type(usage) ~= "table" then return end
  local input = count_or_nil(usage.promptTokenCount)
  local thoughts = count_or_nil(usage.thoughtsTokenCount)
  reply:usage {
    input_tokens = input and input + (count_or_nil(usage.toolUsePromptTokenCount) or 0),
    cached_tokens = usage.cachedContentTokenCount,
    output_tokens = is_end and (count_or_nil(usage.candidatesTokenCount) or 0) + (thoughts or 0),
    reasoning_tokens = is_end and thoughts,
  }
end

local finish_reasons = {
  STOP = "stop", FUNCTION_CALL = "tool_calls", MAX_TOKENS = "length", CONTINUATION = "length",
  SAFETY = "content_filter", RECITATION = "content_filter", BLOCKLIST = "content_filter",
  SPII = "content_filter", PROHIBITED_CONTENT = "content_filter", IMAGE_SAFETY = "content_filter",
  IMAGE_PROHIBITED_CONTENT = "content_filter", IMAGE_RECITATION = "content_filter",
}

local function finish(reply, reason, raw)
  local items = reply.state.items
  reply.state.items = nil
  if items then items[1].length = #reply:content() end
  for _, item in ipairs(items or {}) do reply:opaque("gemini", item) end
  reply:finish(reason, raw)
end

local function decode_event(event, reply)
  local data = event.json
  if type(data) ~= "table" then return end
  if type(data.error) == "table" or data[1] then
    return reply:fail(failure.classify(200, data))
  end
  if type(data.modelVersion) == "string" then reply:model(data.modelVersion) end
  local candidate = table_or_empty(data.candidates)[1]
  local blocked = table_or_empty(data.promptFeedback).blockReason
  local raw = candidate and candidate.finishReason or blocked
  decode_usage(data.usageMetadata, reply, type(raw) == "string")
  if candidate then
    local content = table_or_empty(candidate.content)
    for _, part in ipairs(table_or_empty(content.parts)) do decode_part(part, reply) end
  end
  if type(raw) == "string" then
    finish(reply, raw == blocked and "content_filter" or finish_reasons[raw] or "other", raw)
  end
  if event.type ~= "body" then return end
  if not raw then return reply:fail("protocol", "the reply has no candidates") end
  reply:complete()
end

-- An event of exactly this shape is nothing but text.
local skim = {
  candidates = { { content = { parts = { { text = "$text" } }, role = "model" }, index = 0 } },
  usageMetadata = "$skip", modelVersion = "$skip", responseId = "$skip", createTime = "$skip",
}

return {
  frame = "sse", encode_request = encode_request, decode_event = decode_event, skim = skim,
  encode_embed = queries.encode_embed, decode_embed = queries.decode_embed,
  encode_models = queries.encode_models, decode_models = queries.decode_models,
  encode_count = queries.encode_count, decode_count = queries.decode_count,
}
