--- OpenAI's Chat Completions: the request that a client sends.
-- @module llm.dialect.openai_chat_request
local core = require "llm.core"
local message = require "llm.message"
local parameters = require "llm.parameters"
local server = require "llm.dialect.openai_chat_server"
local wire = require "llm.schema.wire"

local null = core.json.null

local function data_url(part)
  return part.url or ("data:%s;base64,%s"):format(part.mime, core.base64.encode(part.data))
end

local audio_formats = { ["audio/wav"] = "wav", ["audio/x-wav"] = "wav", ["audio/mpeg"] = "mp3",
  ["audio/mp3"] = "mp3" }

local encode_part = {
  text = function(part) return { type = "text", text = part.text } end,
  image = function(part)
    return { type = "image_url", image_url = { url = data_url(part), detail = part.detail } }
  end,
  audio = function(part)
    local format = audio_formats[part.mime]
    return part.data and format and { type = "input_audio",
      input_audio = { data = core.base64.encode(part.data), format = format } }
  end,
  file = function(part)
    local text = require("llm.mime").text_of(part)
    if text then return { type = "text", text = text } end
    return part.data and { type = "file",
      file = { filename = part.name or "file", file_data = data_url(part) } }
  end,
}

local function encode_content(content)
  if type(content) ~= "table" then return content end
  local parts = {}
  for i, part in ipairs(content) do
    local encode = encode_part[part.type]
    parts[i] = encode and encode(part)
    if not parts[i] then
      return nil, ("this provider does not take this message part: %s %s"):format(
        part.type, part.mime or part.url or "")
    end
  end
  return parts
end

-- Mistral takes exactly nine letters or digits.
local function encode_tool_id(id, length)
  if not id or not length or id:find("^%w+$") and #id == length then return id end
  local sum = 0
  for i = 1, #id do sum = (sum * 31 + id:byte(i)) % 2 ^ 32 end
  return ("%0" .. length .. ".0f"):format(sum):sub(-length)
end

local function encode_tool_calls(calls, quirks)
  local list = server.encode_tool_calls(calls)
  for _, call in ipairs(list) do call.id = encode_tool_id(call.id, quirks.tool_id_length) end
  return list
end

-- What the provider said it wants back with an answer of its own.
local function encode_state(encoded, opaque, quirks)
  if quirks.echo_details then encoded.reasoning_details = opaque.reasoning_details end
  if quirks.echo_reasoning then
    encoded.reasoning_content = table.concat(opaque.reasoning_content or {})
  end
  if quirks.echo_thinking and opaque.thinking then
    local parts, content = { opaque.thinking[1] }, encoded.content
    if type(content) == "string" then content = { { type = "text", text = content } } end
    for _, part in ipairs(content ~= null and content or {}) do parts[#parts + 1] = part end
    encoded.content = parts
  end
end

local function encode_message(source, system_role, quirks)
  local content, problem = encode_content(source.content)
  if problem then return nil, problem end
  if source.tool_calls and (content == nil or content == "") then content = null end
  local encoded = {
    role = source.role == "system" and system_role or source.role, content = content,
    name = source.name, tool_call_id = encode_tool_id(source.tool_call_id, quirks.tool_id_length),
    tool_calls = source.tool_calls and encode_tool_calls(source.tool_calls, quirks),
  }
  if source.role == "assistant" then encode_state(encoded, source.opaque or {}, quirks) end
  return encoded
end

-- The result of a tool is text here; what else it holds is shown by the user after all results.
local function split_result(source, shown)
  local texts = {}
  for _, part in ipairs(source.content) do
    local list = part.type == "text" and texts or shown
    list[#list + 1] = part
  end
  local text = message.text_of(texts)
  if text == "" then text = "shown in the next message of the user" end
  return { role = "tool", tool_call_id = source.tool_call_id, name = source.name, content = text }
end

local function with_results_split(messages)
  local list, shown = {}, {}
  for i, source in ipairs(messages) do
    local is_split = source.role == "tool" and type(source.content) == "table"
    list[#list + 1] = is_split and split_result(source, shown) or source
    local following = messages[i + 1]
    if shown[1] and not (following and following.role == "tool") then
      list[#list + 1], shown = { role = "user", content = shown }, {}
    end
  end
  return list
end

local function encode_messages(messages, system_role, quirks)
  local list = {}
  for i, source in ipairs(with_results_split(messages)) do
    local encoded, problem = encode_message(source, system_role, quirks)
    if not encoded then return nil, problem end
    list[i] = encoded
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
    json_schema = { name = wire.name(schema), schema = schema, strict = wire.strict(schema) } }
end

local same_names = {
  model = true, stream = true, temperature = true, top_p = true, stop = true,
  presence_penalty = true, frequency_penalty = true, logprobs = true, top_logprobs = true,
  logit_bias = true, reasoning_effort = true, parallel_tool_calls = true, user = true,
  metadata = true, prompt_cache_key = true, service_tier = true,
}

-- What OpenAI's models refuse while they reason.
local reasoning_refuses = { "temperature", "top_p", "presence_penalty", "frequency_penalty",
  "logprobs", "top_logprobs", "logit_bias", "stop" }

local function encode_request(request, provider)
  local quirks = provider.quirks or {}
  local row = parameters.row_of(provider, request.model)
  local reasons = row.reasoning and request.reasoning_effort ~= "none"
  local problem
  request, problem = parameters.settle(request, provider, reasons and reasoning_refuses)
  if not request then return nil, problem end
  local messages
  messages, problem = encode_messages(
    request.messages, row.reasoning and "developer" or "system", quirks)
  if not messages then return nil, problem end
  local body = {
    model = nil, messages = messages, stream = nil, temperature = nil,
    tools = encode_tools(request.tools), tool_choice = encode_tool_choice(request.tool_choice),
    response_format = encode_schema(request.response_schema),
  }
  if request.stream and not quirks.no_stream_options then
    body.stream_options = { include_usage = true }
  end
  body[quirks.max_tokens_field or "max_tokens"] = request.max_tokens
  body[quirks.seed_field or "seed"] = request.seed
  for name, value in pairs(request) do
    if same_names[name] then body[name] = value end
  end
  for name, value in pairs(request.extra or {}) do body[name] = value end
  return { path = "/chat/completions", body = body }
end

return encode_request
