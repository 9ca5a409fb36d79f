--- Anthropic's Messages: the messages of a request, as content blocks.
-- @module llm.dialect.anthropic_content
local core = require "llm.core"

local json = core.json

local function source_of(part)
  if part.url then return { type = "url", url = part.url } end
  return { type = "base64", media_type = part.mime, data = core.base64.encode(part.data) }
end

local encode_part = {
  text = function(part)
    return { type = "text", text = part.text, cache_control = part.cache_control }
  end,
  image = function(part)
    return { type = "image", source = source_of(part), cache_control = part.cache_control }
  end,
  file = function(part)
    local is_text = part.data and require("llm.mime").is_textual(part.mime)
    if part.data and not is_text and part.mime ~= "application/pdf" then return nil end
    local source = is_text and { type = "text", media_type = "text/plain", data = part.data } or
      source_of(part)
    return { type = "document", source = source, title = part.name,
      cache_control = part.cache_control }
  end,
}

local function encode_content(content)
  if type(content) ~= "table" then return content end
  local blocks = {}
  for i, part in ipairs(content) do
    local encode = encode_part[part.type]
    blocks[i] = encode and encode(part)
    if not blocks[i] then
      return nil, ("this provider does not take this message part: %s %s"):format(
        part.type, part.mime or "")
    end
  end
  return blocks
end

local function encode_call(call)
  local input = json.decode(call.arguments ~= "" and call.arguments or "{}")
  if type(input) ~= "table" then
    return nil, ("the arguments of the tool call %s are no JSON object"):format(call.id)
  end
  return { type = "tool_use", id = call.id, name = call.name, input = input }
end

-- The answer as it came: its own blocks go back unchanged and in their places. `kept` is what
-- decode_event gave to reply:opaque; it holds for the model that gave it and for text unchanged.
local function restore(source, kept, texts, calls)
  local blocks, length = {}, 0
  for _, item in ipairs(kept) do
    if item.text_to then length = item.text_to end
  end
  local is_same = type(source.content) == "string" and #source.content == length
  for _, item in ipairs(kept) do
    if item.block then
      blocks[#blocks + 1] = item.block
    elseif item.call then
      blocks[#blocks + 1] = calls[item.call]
      calls[item.call] = nil
    elseif is_same and item.text_to then
      local text = source.content:sub(item.text_from + 1, item.text_to)
      if text ~= "" then blocks[#blocks + 1] = { type = "text", text = text } end
      texts = {}
    end
  end
  for _, text in ipairs(texts) do blocks[#blocks + 1] = text end
  return blocks
end

local function encode_assistant(source, model)
  local content, problem = encode_content(source.content)
  if problem then return nil, problem end
  local kept = source.opaque and source.opaque.anthropic
  if kept and kept[1].model ~= model then kept = nil end
  if not kept and not source.tool_calls then return { role = "assistant", content = content } end
  if type(content) == "string" then
    content = content:find("%S") and { { type = "text", text = content } } or {}
  end
  local calls, order = {}, source.tool_calls or {}
  for _, call in ipairs(order) do
    calls[call.id], problem = encode_call(call)
    if problem then return nil, problem end
  end
  local blocks = restore(source, kept or {}, content or {}, calls)
  for _, call in ipairs(order) do blocks[#blocks + 1] = calls[call.id] end
  return { role = "assistant", content = blocks }
end

local function encode_result(source)
  local content, problem = encode_content(source.content)
  if problem then return nil, problem end
  return { type = "tool_result", tool_use_id = source.tool_call_id, content = content,
    is_error = source.is_error, cache_control = source.cache_control }
end

-- System messages stand apart; the results of one turn's tool calls are one message.
local function encode_messages(messages, model)
  local list, system, results = {}, {}, nil
  for _, source in ipairs(messages) do
    local encoded, problem
    if source.role == "tool" then
      encoded, problem = encode_result(source)
      if not results then
        results = {}
        list[#list + 1] = { role = "user", content = results }
      end
      results[#results + 1] = encoded
    elseif source.role == "system" then
      encoded, problem = encode_content(source.content)
      system[#system + 1] = encoded
    elseif source.role == "assistant" then
      encoded, problem = encode_assistant(source, model)
      list[#list + 1], results = encoded, nil
    else
      local content
      content, problem = encode_content(source.content)
      list[#list + 1], results = { role = "user", content = content }, nil
    end
    if problem then return nil, problem end
  end
  return list, system
end

local function encode_system(contents)
  if #contents <= 1 then return contents[1] end
  local blocks = {}
  for _, content in ipairs(contents) do
    if type(content) == "string" then content = { { type = "text", text = content } } end
    for _, block in ipairs(content) do blocks[#blocks + 1] = block end
  end
  return blocks
end

return { encode_messages = encode_messages, encode_system = encode_system }
