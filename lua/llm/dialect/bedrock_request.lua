--- Amazon Bedrock's Converse: the request that a client sends. Rows of `quirks.models`, see
-- llm.parameters: `effort` (members of additionalModelRequestFields, "$effort" in the place of
-- reasoning_effort), `tool_status` (tool results carry a status).
-- @module llm.dialect.bedrock_request
local core = require "llm.core"
local merge = require "llm.merge"
local message = require "llm.message"
local parameters = require "llm.parameters"
local url = require "llm.url"
local wire = require "llm.schema.wire"

local json = core.json

-- --- content ------------------------------------------------------------------------------------

local formats = {
  image = { ["image/png"] = "png", ["image/jpeg"] = "jpeg", ["image/gif"] = "gif",
    ["image/webp"] = "webp" },
  audio = { ["audio/mpeg"] = "mp3", ["audio/mp3"] = "mp3", ["audio/wav"] = "wav" },
  file = { ["application/pdf"] = "pdf", ["text/csv"] = "csv", ["text/html"] = "html",
    ["text/plain"] = "txt", ["text/markdown"] = "md", ["application/msword"] = "doc",
    ["application/vnd.ms-excel"] = "xls",
    ["application/vnd.openxmlformats-officedocument.wordprocessingml.document"] = "docx",
    ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"] = "xlsx" },
}
local block_names = { image = "image", audio = "audio", file = "document" }

-- Only bytes can be sent, and only of these formats.
local function encode_media(part)
  local format = part.data and formats[part.type] and formats[part.type][part.mime]
  local is_text = part.data and part.type == "file" and require("llm.mime").is_textual(part.mime)
  format = format or is_text and "txt"
  if not format then return nil end
  local name = part.type == "file" and (part.name or "file"):gsub("[^%w %-%(%)%[%]]", "-") or nil
  return { [block_names[part.type]] = { format = format, name = name,
    source = { bytes = core.base64.encode(part.data) } } }
end

local function add_cache_point(blocks, marked)
  if type(marked) ~= "table" then return end
  blocks[#blocks + 1] = { cachePoint = { type = "default", ttl = marked.ttl } }
end

-- Blank text is refused by the service and says nothing.
local function add_text(blocks, text)
  if text:find("%S") then blocks[#blocks + 1] = { text = text } end
end

local function add_content(blocks, content)
  if type(content) ~= "table" then return add_text(blocks, content or "") end
  for _, part in ipairs(content) do
    if part.type == "text" then
      add_text(blocks, part.text)
    else
      local block = encode_media(part)
      if not block then
        return ("this provider does not take this message part: %s %s"):format(
          part.type, part.mime or part.url or "")
      end
      blocks[#blocks + 1] = block
    end
    add_cache_point(blocks, part.cache_control)
  end
end

local add = {}

-- The blocks of an answer that held reasoning go back as they came.
function add.assistant(blocks, source)
  for _, block in ipairs(source.opaque and source.opaque.bedrock_converse or {}) do
    blocks[#blocks + 1] = block
  end
  if blocks[1] then return nil end
  local problem = add_content(blocks, source.content)
  for _, call in ipairs(source.tool_calls or {}) do
    local input = json.decode(call.arguments)
    if type(input) ~= "table" then return "the arguments of a tool call are not a JSON object" end
    blocks[#blocks + 1] = { toolUse = { toolUseId = call.id, name = call.name, input = input } }
  end
  return problem
end

function add.user(blocks, source) return add_content(blocks, source.content) end

function add.tool(blocks, source, row)
  local result = {}
  local text = type(source.content) == "string" and source.content
  local object = text and text:find("^%s*{") and json.decode(text)
  if object then
    result[1] = { json = object }
  elseif text then
    result[1] = { text = text }
  else
    local problem = add_content(result, source.content)
    if problem then return problem end
  end
  local status = row.tool_status and (source.is_error and "error" or "success") or nil
  blocks[#blocks + 1] = { toolResult = { toolUseId = source.tool_call_id, content = result,
    status = status } }
  add_cache_point(blocks, source.cache_control)
end

local function add_system(blocks, source)
  add_text(blocks, message.text_of(source.content))
  add_cache_point(blocks, source.cache_control)
  for _, part in ipairs(type(source.content) == "table" and source.content or {}) do
    add_cache_point(blocks, part.cache_control)
  end
end

-- Roles alternate: what one side says in several messages is one; tool results are the user's.
local function encode_messages(sources, row)
  local system, list = {}, {}
  for _, source in ipairs(sources) do
    if source.role == "system" then
      add_system(system, source)
    else
      local role = source.role == "tool" and "user" or source.role
      local last = list[#list]
      local blocks = {}
      local problem = add[source.role](blocks, source, row)
      if problem then return nil, problem end
      if last and last.role == role then
        for _, block in ipairs(blocks) do last.content[#last.content + 1] = block end
      else
        list[#list + 1] = { role = role, content = blocks }
      end
    end
  end
  return list, system[1] and system
end

-- --- the rest -----------------------------------------------------------------------------------

local choices = { auto = { auto = {} }, required = { any = {} } }

-- "none" cannot be said: the tools are left out, unless a call in the history needs them.
local function encode_tools(request)
  local choice, list = request.tool_choice, {}
  local has_calls = false
  for _, source in ipairs(request.messages) do has_calls = has_calls or source.tool_calls ~= nil end
  if not request.tools or choice == "none" and not has_calls then return nil end
  for _, tool in ipairs(request.tools) do
    list[#list + 1] = { toolSpec = { name = tool.name, description = tool.description,
      inputSchema = { json = tool.parameters or { type = "object" } } } }
    add_cache_point(list, tool.cache_control)
  end
  return { tools = list,
    toolChoice = type(choice) == "table" and { tool = { name = choice.name } } or choices[choice] }
end

local function encode_schema(schema)
  return schema and { textFormat = { type = "json_schema", structure = { jsonSchema = {
    name = wire.name(schema), schema = json.encode(schema) } } } }
end

local function fill(template, effort)
  if template == "$effort" then return effort end
  if type(template) ~= "table" then return template end
  local filled = {}
  for name, value in pairs(template) do filled[name] = fill(value, effort) end
  return filled
end

local refuses = { "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs",
  "logit_bias", "parallel_tool_calls", "user", "prompt_cache_key" }
local refuses_effort = { "reasoning_effort" }
for i, name in ipairs(refuses) do refuses_effort[i + 1] = name end

local function encode_body(request, row)
  local messages, system = encode_messages(request.messages, row)
  if not messages then return nil, system end
  local stop, effort = request.stop, request.reasoning_effort
  local config = { maxTokens = request.max_tokens, temperature = request.temperature,
    topP = request.top_p, stopSequences = type(stop) == "string" and { stop } or stop }
  return merge({
    messages = messages, system = system, inferenceConfig = next(config) and config,
    toolConfig = encode_tools(request), outputConfig = encode_schema(request.response_schema),
    additionalModelRequestFields = effort and effort ~= "none" and fill(row.effort, effort) or nil,
    serviceTier = request.service_tier and { type = request.service_tier },
    requestMetadata = request.metadata,
  }, request.extra or {})
end

local function encode_request(request, provider)
  local row = parameters.row_of(provider, request.model)
  local model, problem = url.segment(request.model)
  if not model then return nil, problem end
  local has_effort = row.effort or request.reasoning_effort == "none"
  request, problem = parameters.settle(request, provider, has_effort and refuses or refuses_effort)
  if not request then return nil, problem end
  local body
  body, problem = encode_body(request, row)
  if not body then return nil, problem end
  return { path = "/model/" .. model .. (request.stream and "/converse-stream" or "/converse"),
    body = body }
end

return encode_request
