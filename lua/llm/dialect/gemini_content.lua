--- Google's generateContent: the messages of a request, as contents and their parts.
-- @module llm.dialect.gemini_content
local core = require "llm.core"
local message = require "llm.message"

local json = core.json
local unpack = table.unpack or unpack -- luacheck: ignore

local function encode_part(part)
  if part.type == "text" then return { text = part.text } end
  if part.url then return { fileData = { mimeType = part.mime, fileUri = part.url } } end
  if not part.data then return nil end
  return { inlineData = { mimeType = part.mime, data = core.base64.encode(part.data) } }
end

local function encode_parts(content)
  if type(content) == "string" and content ~= "" then return { { text = content } } end
  if type(content) ~= "table" then return {} end
  local parts = {}
  for i, part in ipairs(content) do
    parts[i] = encode_part(part)
    if not parts[i] then
      return nil, ("this provider does not take a message part of type %s"):format(part.type)
    end
  end
  return parts
end

-- What gemini.lua gave to reply:opaque, if this very model said it: in order, and by call id.
local function kept_by(source, model)
  local items = source.opaque and source.opaque.gemini
  if not items or items[1].model ~= model then return nil end
  local calls = {}
  for _, item in ipairs(items) do
    if item.call then calls[item.call] = item end
  end
  return items, calls
end

-- The text with its signed pieces as parts of their own, as long as it is the text that came.
local function split_text(content, items)
  local parts, from = {}, 0
  local is_same = items[1].length == #content
  for _, item in ipairs(items) do
    if is_same and item.part then
      if item.at > from then parts[#parts + 1] = { text = content:sub(from + 1, item.at) } end
      parts[#parts + 1] = item.part
      from = item.at + #item.part.text
    end
  end
  if from < #content then parts[#parts + 1] = { text = content:sub(from + 1) } end
  return parts
end

local SKIP = "skip_thought_signature_validator" -- Google's word for history of other models

local function encode_model(source, model, row)
  local items, kept = kept_by(source, model)
  local parts, problem
  if items and type(source.content) == "string" then
    parts = split_text(source.content, items)
  else
    parts, problem = encode_parts(source.content)
    if not parts then return nil, problem end
  end
  for i, call in ipairs(source.tool_calls or {}) do
    local args = json.decode(call.arguments ~= "" and call.arguments or "{}")
    if type(args) ~= "table" then
      return nil, ("the arguments of the tool call %s are no JSON object"):format(call.id)
    end
    local item = kept and kept[call.id] or {}
    local signature = item.signature
    if not kept and row.signed and i == 1 then signature = SKIP end
    parts[#parts + 1] = { thoughtSignature = signature,
      functionCall = { id = not item.invented and call.id or nil, name = call.name, args = args } }
  end
  return parts
end

-- What a result holds beside text.
local function media_of(content)
  local media = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if part.type ~= "text" then media[#media + 1] = encode_part(part) end
  end
  return media
end

local function encode_result(source, called, row)
  local text = message.text_of(source.content)
  local call = called[source.tool_call_id]
  if not call then
    return nil, ("tool_call_id %s answers no tool call"):format(tostring(source.tool_call_id))
  end
  local output = json.decode(text)
  if output == nil then output = text end
  local media = media_of(source.content)
  local is_within = row.signed and media[1] -- Gemini 3 takes it as a part of the result
  local response = { functionResponse = {
    id = not call.invented and source.tool_call_id or nil, name = call.name,
    response = source.is_error and { error = output } or { output = output },
    parts = is_within and media or nil,
  } }
  return is_within and { response } or { response, unpack(media) }
end

-- Turns of one role that follow each other are one.
local function add(contents, role, parts)
  if not parts[1] then return end
  local last = contents[#contents]
  if not last or last.role ~= role then
    contents[#contents + 1] = { role = role, parts = parts }
    return
  end
  for _, part in ipairs(parts) do last.parts[#last.parts + 1] = part end
end

local function remember_calls(source, model, called)
  local _, kept = kept_by(source, model)
  for _, call in ipairs(source.tool_calls or {}) do
    local item = kept and kept[call.id] or {}
    called[call.id] = { name = call.name, invented = item.invented }
  end
end

local function encode_contents(request, row)
  local contents, system, called = {}, {}, {}
  for _, source in ipairs(request.messages) do
    local parts, problem
    if source.role == "assistant" then
      remember_calls(source, request.model, called)
      parts, problem = encode_model(source, request.model, row)
    elseif source.role == "tool" then
      parts, problem = encode_result(source, called, row)
    else
      parts, problem = encode_parts(source.content)
    end
    if not parts then return nil, problem end
    if source.role == "system" and not row.no_system then
      for _, part in ipairs(parts) do system[#system + 1] = part end
    else
      add(contents, source.role == "assistant" and "model" or "user", parts)
    end
  end
  return contents, system[1] and { parts = system } or nil
end

return encode_contents
