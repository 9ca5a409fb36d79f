--- Dialect of OpenAI's Chat Completions, which most other providers speak as well.
-- Pure translation. Wire format: docs/dialects.md. A provider's `quirks` that are read here:
-- `max_tokens_field`, `no_stream_options`, `reasoning_apart` (usage counts reasoning apart from
-- completion), `models` (rows of {pattern, reasoning = true}).
-- @module llm.dialect.openai_chat
local core = require "llm.core"
local failure = require "llm.failure"
local message = require "llm.message"

local json = core.json
local null = json.null

local function string_or_nil(value) return type(value) == "string" and value or nil end
local function table_or_empty(value) return type(value) == "table" and value or {} end

-- --- the client's half: request -------------------------------------------------------------------

local encode_part = {
  text = function(part) return { type = "text", text = part.text } end,
  image = function(part)
    return { type = "image_url", image_url = { url = part.url, detail = part.detail } }
  end,
}

local function encode_content(content)
  if type(content) ~= "table" then return content end
  local parts = {}
  for i, part in ipairs(content) do
    local encode = encode_part[part.type]
    if not encode then
      return nil, ("this provider takes no message part of type %q"):format(part.type)
    end
    parts[i] = encode(part)
  end
  return parts
end

local function encode_tool_calls(calls)
  local list = {}
  for i, call in ipairs(calls) do
    list[i] = { id = call.id, type = "function",
      ["function"] = { name = call.name, arguments = call.arguments } }
  end
  return list
end

local function encode_messages(messages, system_role)
  local list = {}
  for i, source in ipairs(messages) do
    local content, problem = encode_content(source.content)
    if problem then return nil, problem end
    if source.tool_calls and (content == nil or content == "") then content = null end
    list[i] = {
      role = source.role == "system" and system_role or source.role, content = content,
      name = source.name, tool_call_id = source.tool_call_id,
      tool_calls = source.tool_calls and encode_tool_calls(source.tool_calls),
    }
  end
  return list
end

local function encode_tools(tools)
  if not tools then return nil end
  local list = {}
  for i, tool in ipairs(tools) do
    list[i] = { type = "function", ["function"] = { name = tool.name,
      description = tool.description, parameters = tool.parameters, strict = tool.strict } }
  end
  return list
end

local function encode_tool_choice(choice)
  if type(choice) ~= "table" then return choice end
  return { type = "function", ["function"] = { name = choice.name } }
end

local function encode_schema(schema)
  if not schema then return nil end
  return { type = "json_schema",
    json_schema = { name = schema.title or "answer", schema = schema, strict = true } }
end

local function model_row(quirks, model)
  for _, row in ipairs(quirks.models or {}) do
    if model:find(row[1]) then return row end
  end
  return {}
end

local same_names = {
  "top_p", "seed", "stop", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs",
  "logit_bias", "reasoning_effort", "parallel_tool_calls", "user", "metadata", "prompt_cache_key",
  "service_tier",
}

local function encode_request(request, provider)
  local quirks = provider.quirks or {}
  local row = model_row(quirks, request.model)
  local messages, problem = encode_messages(
    request.messages, row.reasoning and "developer" or "system")
  if not messages then return nil, problem end
  local body = {
    model = request.model, messages = messages, stream = request.stream,
    tools = encode_tools(request.tools), tool_choice = encode_tool_choice(request.tool_choice),
    response_format = encode_schema(request.response_schema),
  }
  if request.stream and not quirks.no_stream_options then
    body.stream_options = { include_usage = true }
  end
  body[quirks.max_tokens_field or "max_tokens"] = request.max_tokens
  -- Reasoning models refuse any temperature; one that the caller did not choose is left out.
  if not (row.reasoning and request.defaulted.temperature) then
    body.temperature = request.temperature
  end
  for i = 1, #same_names do
    local name = same_names[i]
    body[name] = request[name]
  end
  for name, value in pairs(request.extra or {}) do body[name] = value end
  return { path = "/chat/completions", body = body }
end

-- --- the client's half: reply -----------------------------------------------------------------------

local finish_reasons = {
  stop = "stop", eos = "stop", length = "length", model_length = "length", tool_calls = "tool_calls",
  function_call = "tool_calls", content_filter = "content_filter",
}

local function decode_usage(usage, reply)
  if type(usage) ~= "table" then return end
  local prompt = table_or_empty(usage.prompt_tokens_details)
  local completion = table_or_empty(usage.completion_tokens_details)
  local output, reasoning = usage.completion_tokens, completion.reasoning_tokens
  local quirks = reply.request.call.provider.quirks or {}
  if quirks.reasoning_apart and type(reasoning) == "number" then output = output + reasoning end
  reply:usage {
    input_tokens = usage.prompt_tokens, output_tokens = output, reasoning_tokens = reasoning,
    cached_tokens = prompt.cached_tokens or usage.prompt_cache_hit_tokens,
    cache_write_tokens = prompt.cache_write_tokens,
  }
end

local function decode_tool_calls(calls, reply)
  for position, call in ipairs(calls) do
    local index = type(call.index) == "number" and call.index + 1 or position
    local called = table_or_empty(call["function"])
    local id, name = string_or_nil(call.id), string_or_nil(called.name)
    if id or name then reply:tool_call(index, id, name) end
    if type(called.arguments) == "string" and called.arguments ~= "" then
      reply:tool_arguments(index, called.arguments)
    elseif type(called.arguments) == "table" then
      reply:tool_arguments(index, json.encode(called.arguments))
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
    end
  end
end

local function decode_choice(choice, reply)
  local delta = table_or_empty(choice.message or choice.delta)
  local reasoning = string_or_nil(delta.reasoning_content) or string_or_nil(delta.reasoning)
  if reasoning then reply:reasoning(reasoning) end
  decode_content(delta.content, reply)
  if type(delta.refusal) == "string" then reply:refusal(delta.refusal) end
  if type(delta.tool_calls) == "table" then decode_tool_calls(delta.tool_calls, reply) end
  local raw = string_or_nil(choice.finish_reason)
  if raw == "error" then return reply:fail("provider_unavailable", "the provider reports an error") end
  if raw == "insufficient_system_resource" then return reply:fail("provider_unavailable", raw) end
  if raw then
    local reason = finish_reasons[raw] or "other"
    reply:finish(reason == "stop" and reply.calls and "tool_calls" or reason, raw)
  end
end

local function decode_event(event, reply)
  local data = event.json
  if not data then
    if event.data == "[DONE]" then reply:complete() end
    return
  end
  if event.type == "error" or (data.error and data.error ~= null) then
    local kind, text = failure.classify(200, data.error and data or { error = data })
    return reply:fail(kind, text)
  end
  if type(data.model) == "string" then reply:model(data.model) end
  decode_usage(data.usage, reply)
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

-- --- the server's half --------------------------------------------------------------------------------

local function decode_request(body)
  local request = {}
  for name, value in pairs(body) do request[name] = value end
  request.max_tokens = body.max_completion_tokens or body.max_tokens
  local format = table_or_empty(body.response_format)
  request.response_schema = table_or_empty(format.json_schema).schema
  request.messages = {}
  for i, source in ipairs(table_or_empty(body.messages)) do
    local role = source.role == "developer" and "system" or source.role
    local calls
    for j, call in ipairs(table_or_empty(source.tool_calls)) do
      calls = calls or {}
      calls[j] = { id = call.id, name = call["function"].name,
        arguments = call["function"].arguments }
    end
    local content = source.content
    request.messages[i] = { role = role, content = content ~= null and content or nil,
      tool_calls = calls, tool_call_id = source.tool_call_id }
  end
  return request
end

local function encode_usage(usage)
  if not usage then return nil end
  return {
    prompt_tokens = usage.input_tokens, completion_tokens = usage.output_tokens,
    total_tokens = usage.input_tokens + usage.output_tokens,
  }
end

local function envelope(context, object, choices)
  return { id = context.id, object = object, created = context.created, model = context.model,
    choices = choices }
end

local function chunk(context, delta, finish_reason)
  return { envelope(context, "chat.completion.chunk",
    { { index = 0, delta = delta, finish_reason = finish_reason or null } }) }
end

local encoders = {
  start = function(_, context) return chunk(context, { role = "assistant", content = "" }) end,
  text = function(text, context) return chunk(context, { content = text }) end,
  reasoning = function(text, context) return chunk(context, { reasoning_content = text }) end,
  refusal = function(text, context) return chunk(context, { refusal = text }) end,
  tool_call = function(call, context)
    return chunk(context, { tool_calls = { { index = call.index - 1, id = call.id,
      type = "function", ["function"] = { name = call.name, arguments = call.arguments } } } })
  end,
  finish = function(reason, context) return chunk(context, json.decode("{}"), reason) end,
  usage = function(usage, context)
    local data = envelope(context, "chat.completion.chunk", json.empty_array)
    data.usage = encode_usage(usage)
    return { data }
  end,
  complete = function() return { "[DONE]" } end,
  body = function(answer, context)
    local calls = answer.tool_calls and encode_tool_calls(answer.tool_calls)
    local data = envelope(context, "chat.completion", { { index = 0,
      finish_reason = answer.finish_reason, message = { role = "assistant",
        content = answer.text or null, reasoning_content = answer.reasoning,
        refusal = answer.refusal, tool_calls = calls } } })
    data.usage = encode_usage(answer.usage)
    return { data }
  end,
  failure = function(err)
    return { { error = { message = err.message, type = err.type, code = err.code or null } } }
  end,
}

local function encode_event(kind, value, context) return encoders[kind](value, context) end

return {
  frame = "sse", encode_request = encode_request, decode_event = decode_event, skim = skim,
  decode_request = decode_request, encode_event = encode_event,
}
