--- OpenAI's Responses: the request that a client sends. Nothing is stored at the provider.
-- @module llm.dialect.openai_responses_request
local core = require "llm.core"
local merge = require "llm.merge"
local message = require "llm.message"
local parameters = require "llm.parameters"
local server = require "llm.dialect.openai_responses_server"
local wire = require "llm.schema.wire"

local function data_url(part)
  return ("data:%s;base64,%s"):format(part.mime, core.base64.encode(part.data))
end

local encode_part = {
  text = function(part) return { type = "input_text", text = part.text } end,
  image = function(part)
    return { type = "input_image", image_url = part.url or data_url(part),
      detail = part.detail or "auto" }
  end,
  file = function(part)
    if part.url then return { type = "input_file", file_url = part.url } end
    return { type = "input_file", filename = part.name or "file", file_data = data_url(part) }
  end,
}

local function encode_content(content)
  if type(content) == "string" then return { { type = "input_text", text = content } } end
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

-- Items that the model itself has made stand for the whole message.
local function add_assistant(items, source)
  local made = source.opaque and source.opaque[server.NAMESPACE]
  if made then
    for _, item in ipairs(made) do items[#items + 1] = item end
    return
  end
  local text = message.text_of(source.content)
  if text ~= "" then
    items[#items + 1] = { type = "message", role = "assistant",
      content = { { type = "output_text", text = text } } }
  end
  for _, call in ipairs(source.tool_calls or {}) do
    items[#items + 1] = { type = "function_call", call_id = call.id, name = call.name,
      arguments = call.arguments }
  end
end

local function add_message(items, source)
  if source.role == "assistant" then return add_assistant(items, source) end
  local content, problem = source.content, nil
  if source.role ~= "tool" or type(content) == "table" then
    content, problem = encode_content(content)
  end
  if problem then return problem end
  items[#items + 1] = source.role == "tool"
    and { type = "function_call_output", call_id = source.tool_call_id, output = content }
    or { type = "message", role = source.role, content = content }
end

-- System prompts at the start are the instructions; one that comes later keeps its place.
local function encode_messages(messages)
  local instructions, items = {}, {}
  for _, source in ipairs(messages) do
    if source.role == "system" and not items[1] then
      instructions[#instructions + 1] = message.text_of(source.content)
    else
      local problem = add_message(items, source)
      if problem then return nil, problem end
    end
  end
  return items, instructions[1] and table.concat(instructions, "\n\n")
end

local function encode_tools(tools)
  if not tools then return nil end
  local list = {}
  for i, tool in ipairs(tools) do
    list[i] = { type = "function", name = tool.name, description = tool.description,
      parameters = tool.parameters, strict = tool.strict or false }
  end
  return list
end

local function encode_tool_choice(choice)
  return type(choice) == "table" and { type = "function", name = choice.name } or choice
end

local function encode_schema(schema)
  return schema and { format = { type = "json_schema", name = wire.name(schema),
    schema = schema, strict = wire.strict(schema) } }
end

-- Encrypted reasoning is asked for unless the model is known not to reason.
local function encode_include(request, row)
  local include = {}
  if row.reasoning or not row[1] then include[1] = "reasoning.encrypted_content" end
  if request.logprobs then include[#include + 1] = "message.output_text.logprobs" end
  return include[1] and include
end

local refuses = { "stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias" }
local refuses_reasoning = { "stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias",
  "temperature", "top_p", "logprobs", "top_logprobs" }

local same_names = { "temperature", "top_p", "top_logprobs", "parallel_tool_calls", "user",
  "metadata", "prompt_cache_key", "service_tier", "stream" }

local function encode_request(request, provider)
  local row = parameters.row_of(provider, request.model)
  local effort = request.reasoning_effort
  local settled, problem = parameters.settle(request, provider,
    row.reasoning and effort ~= "none" and refuses_reasoning or refuses)
  if not settled then return nil, problem end
  local items, instructions = encode_messages(settled.messages)
  if not items then return nil, instructions end
  local body = {
    model = settled.model, input = items, instructions = instructions, store = false,
    max_output_tokens = settled.max_tokens, tools = encode_tools(settled.tools),
    tool_choice = encode_tool_choice(settled.tool_choice),
    text = encode_schema(settled.response_schema), include = encode_include(settled, row),
    reasoning = effort and { effort = effort, summary = effort ~= "none" and "auto" or nil },
  }
  for _, name in ipairs(same_names) do body[name] = settled[name] end
  return { path = "/responses", body = merge(body, settled.extra or {}) }
end

return { encode_request = encode_request }
