--- The server's half of Anthropic's Messages. Data that has a `type` is sent as an event of that
-- name; `context` (one a reply) remembers which content block is open.
-- @module llm.dialect.anthropic_server
local core = require "llm.core"

local json = core.json
local null = json.null

local function table_or_empty(value) return type(value) == "table" and value or {} end
local function value_or_nil(value) return value ~= null and value or nil end

-- --- request -------------------------------------------------------------------------------------

local function decode_source(block, part)
  local source = table_or_empty(block.source)
  part.mime, part.url = source.media_type, source.url
  part.name, part.cache_control = block.title, block.cache_control
  if source.type == "base64" then part.data = core.base64.decode(source.data) end
  if source.type == "text" then part.data = source.data end
  return part
end

local decode_part = {
  text = function(block)
    return { type = "text", text = block.text, cache_control = block.cache_control }
  end,
  image = function(block) return decode_source(block, { type = "image" }) end,
  document = function(block) return decode_source(block, { type = "file" }) end,
}

local function decode_content(content)
  if type(content) ~= "table" then return value_or_nil(content) end
  local parts = {}
  for _, block in ipairs(content) do
    local decode = decode_part[block.type]
    if decode then parts[#parts + 1] = decode(block) end
  end
  return parts[1] and parts or nil
end

-- One message may be several of ours: each tool result is one of its own.
local function decode_message(source, messages)
  local calls
  for _, block in ipairs(table_or_empty(source.content)) do
    if block.type == "tool_result" then
      messages[#messages + 1] = { role = "tool", tool_call_id = block.tool_use_id,
        content = decode_content(block.content) or "", is_error = value_or_nil(block.is_error) }
    elseif block.type == "tool_use" then
      calls = calls or {}
      calls[#calls + 1] = { id = block.id, name = block.name,
        arguments = json.encode(table_or_empty(block.input)) }
    end
  end
  local content = decode_content(source.content)
  if content or calls then
    messages[#messages + 1] = { role = source.role, content = content, tool_calls = calls }
  end
end

local choices = { auto = "auto", none = "none", any = "required" }

local function decode_tools(body, request)
  for i, tool in ipairs(table_or_empty(body.tools)) do
    request.tools = request.tools or {}
    request.tools[i] = { name = tool.name, description = tool.description, strict = tool.strict,
      parameters = tool.input_schema }
  end
  local choice = table_or_empty(body.tool_choice)
  request.tool_choice = choice.type == "tool" and { name = choice.name } or choices[choice.type]
  if choice.disable_parallel_tool_use == true then request.parallel_tool_calls = false end
end

local function decode_request(body)
  local output = table_or_empty(body.output_config)
  local request = {
    model = body.model, max_tokens = value_or_nil(body.max_tokens), stream = body.stream == true,
    temperature = value_or_nil(body.temperature), top_p = value_or_nil(body.top_p),
    stop = value_or_nil(body.stop_sequences), user = table_or_empty(body.metadata).user_id,
    reasoning_effort = output.effort, response_schema = table_or_empty(output.format).schema,
    messages = {},
  }
  local system = decode_content(body.system)
  if system then request.messages[1] = { role = "system", content = system } end
  for _, source in ipairs(table_or_empty(body.messages)) do
    decode_message(source, request.messages)
  end
  decode_tools(body, request)
  return request
end

-- --- answer --------------------------------------------------------------------------------------

local stop_reasons = { stop = "end_turn", length = "max_tokens", tool_calls = "tool_use",
  content_filter = "refusal" }

local function encode_usage(usage)
  usage = usage or {}
  local read, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
  return {
    input_tokens = (usage.input_tokens or 0) - read - written,
    output_tokens = usage.output_tokens or 0,
    cache_read_input_tokens = read, cache_creation_input_tokens = written,
  }
end

local function encode_message(context, content, stop_reason, usage)
  return {
    id = context.id, type = "message", role = "assistant", model = context.model,
    content = content, stop_reason = stop_reason, stop_sequence = null,
    usage = encode_usage(usage),
  }
end

local function close_block(context, list)
  if not context.open then return end
  list[#list + 1] = { type = "content_block_stop", index = context.block }
  context.open = nil
end

-- Opens a block unless this very one is open.
local function open_block(context, list, key, block)
  if context.open == key then return end
  close_block(context, list)
  context.open, context.block = key, (context.block or -1) + 1
  list[#list + 1] = { type = "content_block_start", index = context.block, content_block = block }
end

local function add_delta(context, list, delta)
  list[#list + 1] = { type = "content_block_delta", index = context.block, delta = delta }
end

local error_types = {
  invalid_request = "invalid_request_error", authentication = "authentication_error",
  permission = "permission_error", model_not_found = "not_found_error", quota = "billing_error",
  rate_limit = "rate_limit_error", provider_unavailable = "overloaded_error",
  timeout = "timeout_error", context_length = "invalid_request_error",
}

local function encode_input(call)
  local input = json.decode(call.arguments ~= "" and call.arguments or "{}")
  return { type = "tool_use", id = call.id, name = call.name, input = table_or_empty(input) }
end

local encoders = {
  start = function(_, context, list)
    list[1] = { type = "message_start",
      message = encode_message(context, json.empty_array, null, context.usage) }
  end,
  text = function(text, context, list)
    open_block(context, list, "text", { type = "text", text = "" })
    add_delta(context, list, { type = "text_delta", text = text })
  end,
  reasoning = function(text, context, list)
    open_block(context, list, "thinking", { type = "thinking", thinking = "", signature = "" })
    add_delta(context, list, { type = "thinking_delta", thinking = text })
  end,
  tool_call = function(call, context, list)
    open_block(context, list, call.index,
      { type = "tool_use", id = call.id, name = call.name, input = {} })
    if call.arguments then
      add_delta(context, list, { type = "input_json_delta", partial_json = call.arguments })
    end
  end,
  tool_arguments = function(piece, context, list)
    add_delta(context, list, { type = "input_json_delta", partial_json = piece.text })
  end,
  finish = function(reason, context, list)
    close_block(context, list)
    context.stop_reason = stop_reasons[reason] or "end_turn"
  end,
  usage = function(usage, context) context.usage = usage end,
  complete = function(_, context, list)
    list[1] = { type = "message_delta", usage = encode_usage(context.usage),
      delta = { stop_reason = context.stop_reason, stop_sequence = null } }
    list[2] = { type = "message_stop" }
  end,
  body = function(answer, context, list)
    local content = setmetatable({}, json.array_mt)
    if answer.reasoning then
      content[1] = { type = "thinking", thinking = answer.reasoning, signature = "" }
    end
    local text = answer.text or answer.refusal
    if text and text ~= "" then content[#content + 1] = { type = "text", text = text } end
    for _, call in ipairs(answer.tool_calls or {}) do content[#content + 1] = encode_input(call) end
    list[1] = encode_message(context, content, stop_reasons[answer.finish_reason] or "end_turn",
      answer.usage)
  end,
  failure = function(err, _, list)
    list[1] = { type = "error", request_id = err.request_id or null,
      error = { type = err.type or error_types[err.kind] or "api_error", message = err.message } }
  end,
}
encoders.refusal = encoders.text

local function encode_event(kind, value, context)
  local list = {}
  encoders[kind](value, context, list)
  return list
end

return { decode_request = decode_request, encode_event = encode_event }
