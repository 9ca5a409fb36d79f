--- The server's half of OpenAI's Responses: what a client asked. The answer is written by
-- openai_responses_encoder.
-- @module llm.dialect.openai_responses_server
local core = require "llm.core"
local encoder = require "llm.dialect.openai_responses_encoder"

local null = core.json.null

-- The items that a model made are under this name in the opaque state of a message.
local NAMESPACE = "openai_responses"

local function table_or_empty(value) return type(value) == "table" and value or {} end
local function value_or_nil(value) return value ~= null and value or nil end

local function decode_data(url, part)
  local mime, data = tostring(url):match("^data:([^;,]+);base64,(.*)$")
  if mime then
    part.mime, part.data = mime, core.base64.decode(data)
  else
    part.url = value_or_nil(url)
  end
  return part
end

local function decode_text(part) return { type = "text", text = part.text or part.refusal } end

local decode_part = {
  input_text = decode_text, output_text = decode_text, refusal = decode_text,
  input_image = function(part)
    return decode_data(part.image_url, { type = "image", detail = value_or_nil(part.detail) })
  end,
  input_file = function(part)
    return decode_data(part.file_data or part.file_url,
      { type = "file", name = value_or_nil(part.filename) })
  end,
}

local function decode_content(content)
  if type(content) ~= "table" then return value_or_nil(content) end
  local parts = {}
  for _, part in ipairs(content) do
    local decode = decode_part[part.type]
    if decode then parts[#parts + 1] = decode(part) end
  end
  return #parts == 1 and parts[1].type == "text" and parts[1].text or parts
end

-- Everything between two turns of the user is one message of the assistant; its items are kept.
local function assistant_of(messages, item)
  local last = messages[#messages]
  if not last or last.role ~= "assistant" then
    last = { role = "assistant", content = "", opaque = { [NAMESPACE] = {} } }
    messages[#messages + 1] = last
  end
  local kept = last.opaque[NAMESPACE]
  kept[#kept + 1] = item
  return last
end

local decode_item = {
  message = function(item, messages)
    local content = decode_content(item.content)
    if item.role == "assistant" then
      assistant_of(messages, item).content = content
    else
      local role = item.role == "developer" and "system" or item.role
      messages[#messages + 1] = { role = role, content = content }
    end
  end,
  reasoning = function(item, messages) assistant_of(messages, item) end,
  function_call = function(item, messages)
    local last = assistant_of(messages, item)
    last.tool_calls = last.tool_calls or {}
    last.tool_calls[#last.tool_calls + 1] = {
      id = item.call_id, name = item.name, arguments = item.arguments,
    }
  end,
  function_call_output = function(item, messages)
    messages[#messages + 1] = {
      role = "tool", tool_call_id = item.call_id, content = decode_content(item.output),
    }
  end,
}

local function decode_messages(body)
  local messages = {}
  if type(body.instructions) == "string" then
    messages[1] = { role = "system", content = body.instructions }
  end
  local input = body.input
  if type(input) == "string" then input = { { role = "user", content = input } } end
  for _, item in ipairs(table_or_empty(input)) do
    local decode = decode_item[item.type or "message"]
    if decode then decode(item, messages) end
  end
  return messages
end

local function decode_tools(tools)
  local list
  for _, tool in ipairs(table_or_empty(tools)) do
    if tool.type == "function" then
      list = list or {}
      list[#list + 1] = { name = tool.name, description = value_or_nil(tool.description),
        parameters = value_or_nil(tool.parameters), strict = value_or_nil(tool.strict) }
    end
  end
  return list
end

local same_names = { "model", "stream", "temperature", "top_p", "top_logprobs", "metadata", "user",
  "parallel_tool_calls", "prompt_cache_key", "service_tier" }

local function decode_request(body)
  local choice = value_or_nil(body.tool_choice)
  local request = {
    messages = decode_messages(body), max_tokens = value_or_nil(body.max_output_tokens),
    tools = decode_tools(body.tools),
    tool_choice = type(choice) == "table" and { name = choice.name } or choice,
    response_schema = table_or_empty(table_or_empty(body.text).format).schema,
    reasoning_effort = value_or_nil(table_or_empty(body.reasoning).effort),
  }
  for _, name in ipairs(same_names) do request[name] = value_or_nil(body[name]) end
  return request
end

return {
  NAMESPACE = NAMESPACE, decode_request = decode_request, encode_event = encoder.encode_event,
}
