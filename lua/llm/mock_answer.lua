--- What a mock says when nobody scripted it: an instance of the wanted schema, or an extract of
-- the prompt.
-- @module llm.mock_answer
local core = require "llm.core"
local message = require "llm.message"

local MAX_DEPTH = 16

local function last_prompt(request)
  for i = #request.messages, 1, -1 do
    local source = request.messages[i]
    if source.role == "user" then return message.text_of(source.content) end
  end
  return ""
end

-- About the first `words` words, ended at a sentence where one ends near.
local function extract(text, words)
  local out, length = {}, 0
  for word in text:gmatch("%S+") do
    length = length + 1
    out[length] = word
    if length >= words or (length >= words / 2 and word:find("[.!?]$")) then break end
  end
  return table.concat(out, " ")
end

local instance

local makers = {
  string = function(schema, seed)
    local text = extract(seed, 8)
    local shortest, longest = schema.minLength or 0, schema.maxLength
    if #text < shortest then text = text .. ("x"):rep(shortest - #text) end
    return longest and text:sub(1, longest) or text
  end,
  number = function(schema)
    local low = schema.minimum or schema.exclusiveMinimum
    local high = schema.maximum or schema.exclusiveMaximum
    if low and high then return (low + high) / 2 end
    return low and low + 1 or high and high - 1 or 0.5
  end,
  integer = function(schema)
    if schema.minimum then return schema.minimum end
    if schema.exclusiveMinimum then return schema.exclusiveMinimum + 1 end
    return schema.maximum or 1
  end,
  boolean = function() return true end,
  null = function() return core.json.null end,
  array = function(schema, seed, depth)
    local list = setmetatable({}, core.json.array_mt)
    for i = 1, schema.minItems or 1 do list[i] = instance(schema.items or {}, seed, depth) end
    return list
  end,
  object = function(schema, seed, depth)
    local object = {}
    for name, property in pairs(schema.properties or {}) do
      object[name] = instance(property, seed, depth)
    end
    return object
  end,
}

function instance(schema, seed, depth)
  if type(schema) ~= "table" or depth > MAX_DEPTH then return core.json.null end
  if schema.const ~= nil then return schema.const end
  if schema.enum then return schema.enum[1] end
  for _, choice in ipairs { "anyOf", "oneOf", "allOf" } do
    if schema[choice] then return instance(schema[choice][1], seed, depth + 1) end
  end
  local kind = schema.type
  if type(kind) == "table" then kind = kind[1] end
  kind = kind or schema.properties and "object" or schema.items and "array" or "string"
  return (makers[kind] or makers.string)(schema, seed, depth + 1)
end

--- The text of an answer.
-- @tparam table request canonical
-- @treturn string
local function text(request)
  local prompt = last_prompt(request)
  if request.response_schema then
    return core.json.encode(instance(request.response_schema, prompt, 0))
  end
  local found = extract(prompt, 40)
  return found == "" and "(the mock was asked nothing)" or found
end

--- Cuts a text into the pieces of a stream: a word with the blanks before it.
-- @tparam string whole
-- @treturn table
local function pieces(whole)
  local list = {}
  for piece in whole:gmatch("%s*%S+") do list[#list + 1] = piece end
  local rest = whole:match("%s*$")
  if rest ~= "" then list[#list + 1] = rest end
  return list
end

local function tokens(whole) return math.max(1, math.floor(#whole / 4)) end

--- Token counts of an answer, by length.
-- @tparam table request
-- @tparam table answer
-- @treturn table usage
local function usage(request, answer)
  local input = 0
  for _, source in ipairs(request.messages) do
    input = input + tokens(message.text_of(source.content))
  end
  return { input_tokens = input, output_tokens = tokens(answer.text or "") }
end

return { text = text, pieces = pieces, usage = usage }
