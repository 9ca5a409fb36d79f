--- The server's half of OpenAI's Chat Completions: what the gateway and the mock speak.
-- @module llm.dialect.openai_chat_server
local core = require "llm.core"

local json = core.json
local null = json.null

local function table_or_empty(value) return type(value) == "table" and value or {} end
local function value_or_nil(value) return value ~= null and value or nil end

-- --- request -------------------------------------------------------------------------------------

local function decode_url(url, part)
  local mime, data = url:match("^data:([^;,]+);base64,(.*)$")
  if mime then
    part.mime, part.data = mime, core.base64.decode(data)
  else
    part.url = url
  end
  return part
end

local decode_part = {
  text = function(part) return { type = "text", text = part.text } end,
  image_url = function(part)
    return decode_url(part.image_url.url, { type = "image", detail = part.image_url.detail })
  end,
  input_audio = function(part)
    local mime = part.input_audio.format == "mp3" and "audio/mpeg" or "audio/wav"
    return { type = "audio", mime = mime,
      data = core.base64.decode(part.input_audio.data) }
  end,
  file = function(part)
    return decode_url(part.file.file_data or "", { type = "file", name = part.file.filename })
  end,
}

local function decode_content(content)
  if type(content) ~= "table" then return value_or_nil(content) end
  local parts = {}
  for _, part in ipairs(content) do
    local decode = decode_part[part.type]
    if decode then parts[#parts + 1] = decode(part) end
  end
  return parts
end

local function decode_message(source)
  local calls
  for i, call in ipairs(table_or_empty(source.tool_calls)) do
    local called = table_or_empty(call["function"])
    calls = calls or {}
    calls[i] = { id = call.id, name = called.name, arguments = called.arguments }
  end
  return {
    role = source.role == "developer" and "system" or source.role,
    content = decode_content(source.content), tool_calls = calls,
    tool_call_id = value_or_nil(source.tool_call_id),
  }
end

local function decode_request(body)
  local request, messages, tools = {}, {}, nil
  for name, value in pairs(body) do request[name] = value_or_nil(value) end
  request.max_tokens = value_or_nil(body.max_completion_tokens) or value_or_nil(body.max_tokens)
  local format = table_or_empty(body.response_format)
  request.response_schema = table_or_empty(format.json_schema).schema
  for i, source in ipairs(table_or_empty(body.messages)) do messages[i] = decode_message(source) end
  for i, tool in ipairs(table_or_empty(body.tools)) do
    tools = tools or {}
    tools[i] = tool["function"]
  end
  request.messages, request.tools = messages, tools
  local choice = request.tool_choice
  if type(choice) == "table" then
    request.tool_choice = { name = table_or_empty(choice["function"]).name }
  end
  return request
end

-- --- answer --------------------------------------------------------------------------------------

local function encode_tool_calls(calls)
  local list = {}
  for i, call in ipairs(calls) do
    list[i] = { id = call.id, type = "function",
      ["function"] = { name = call.name, arguments = call.arguments } }
  end
  return list
end

local function encode_usage(usage)
  if not usage then return nil end
  return {
    prompt_tokens = usage.input_tokens, completion_tokens = usage.output_tokens,
    total_tokens = usage.input_tokens + usage.output_tokens,
    prompt_tokens_details = { cached_tokens = usage.cached_tokens or 0 },
    completion_tokens_details = { reasoning_tokens = usage.reasoning_tokens or 0 },
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
  tool_arguments = function(piece, context)
    return chunk(context, { tool_calls = { { index = piece.index - 1,
      ["function"] = { arguments = piece.text } } } })
  end,
  finish = function(reason, context) return chunk(context, {}, reason) end,
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
  decode_request = decode_request, encode_event = encode_event,
  encode_tool_calls = encode_tool_calls,
}
