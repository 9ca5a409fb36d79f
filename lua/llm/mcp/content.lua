--- Content: MCP's content blocks and our message parts, both ways.
-- @module llm.mcp.content
local core = require "llm.core"
local message_parts = require "llm.part"

local base64, encode = core.base64, core.json.encode
local array_mt = core.json.array_mt

local function bytes_of(block, field)
  return type(block[field]) == "string" and base64.decode(block[field]) or ""
end

local function type_of(mime)
  return mime:match("^(image)/") or mime:match("^(audio)/") or "file"
end

local function text(value) return { type = "text", text = value } end

local from = {}

function from.text(block) return text(tostring(block.text or "")) end

function from.image(block)
  return { type = "image", mime = block.mimeType, data = bytes_of(block, "data") }
end

function from.audio(block)
  return { type = "audio", mime = block.mimeType, data = bytes_of(block, "data") }
end

function from.resource(block)
  local resource = type(block.resource) == "table" and block.resource or {}
  if type(resource.text) == "string" then return text(resource.text) end
  local mime = resource.mimeType or "application/octet-stream"
  return { type = type_of(mime), mime = mime, data = bytes_of(resource, "blob"),
    name = resource.uri }
end

function from.resource_link(block)
  return text(("[%s](%s)%s"):format(tostring(block.title or block.name or block.uri),
    tostring(block.uri), type(block.description) == "string" and ": " .. block.description or ""))
end

local function part_of(block)
  local read = type(block) == "table" and from[block.type]
  return read and read(block) or text(encode(block))
end

--- Parts of a message: one text where all is text.
-- @tparam table|nil blocks a content block or a list of them
-- @treturn string|table
local function value_of(blocks)
  if type(blocks) ~= "table" then return "" end
  if blocks.type then blocks = { blocks } end
  local parts, texts = {}, {}
  for i, block in ipairs(blocks) do
    parts[i] = part_of(block)
    texts[i] = parts[i].type == "text" and parts[i].text or nil
  end
  for i = 1, #parts do if not texts[i] then return parts end end
  return table.concat(texts, "\n")
end

local to = {}

function to.text(part) return { type = "text", text = part.text } end

local function media(part)
  return { type = part.type, mimeType = part.mime, data = base64.encode(part.data) }
end
to.image, to.audio = media, media

function to.file(part)
  return { type = "resource", resource = { uri = part.name or "file:", mimeType = part.mime,
    blob = base64.encode(part.data) } }
end

--- Content blocks of what a function gave.
-- @param value a text, a part, a list of parts, or anything that JSON can say
-- @treturn table blocks
-- @treturn table|nil the value itself where it is an object
local function blocks_of(value)
  if value == nil then return setmetatable({}, array_mt) end
  if type(value) == "string" then return { text(value) } end
  if type(value) ~= "table" then return { text(encode(value)) } end
  local list = message_parts.list_of(value)
  if list then
    local blocks = {}
    for i, part in ipairs(list) do blocks[i] = to[part.type](part) end
    return blocks
  end
  local json = encode(value)
  return { text(json) }, json:sub(1, 1) == "{" and value or nil
end

return { value_of = value_of, blocks_of = blocks_of }
