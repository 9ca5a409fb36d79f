--- What a mock says when nobody scripted it: an instance of the wanted schema, or an extract of
-- the prompt.
-- @module llm.mock_answer
local core = require "llm.core"
local message = require "llm.message"

local DEEP, MAX_DEPTH = 6, 16 -- below the first only what must be there

local function last_prompt(request)
  for i = #request.messages, 1, -1 do
    local source = request.messages[i]
    if source.role == "user" then return message.text_of(source.content) end
  end
  return ""
end

local CHARACTER = "[^\128-\191][\128-\191]*"

local function length_of(text) return select(2, text:gsub(CHARACTER, "")) end

-- The first characters of a text, at most so many.
local function cut(text, most)
  if length_of(text) <= most then return text end
  local out = {}
  for character in text:gmatch(CHARACTER) do
    if #out >= most then break end
    out[#out + 1] = character
  end
  return table.concat(out)
end

-- About the first `words` words, ended at a sentence where one ends near; Chinese has no blanks.
local function extract(text, words)
  local out, length = {}, 0
  for word in text:gmatch("%S+") do
    length = length + 1
    out[length] = word
    if length >= words or (length >= words / 2 and word:find("[.!?]$")) then break end
  end
  return cut(table.concat(out, " "), 10 * words)
end

-- "#/$defs/node": a part of the whole schema.
local function resolve(reference, root)
  local at = root
  for name in reference:gmatch("[^#/]+") do
    at = type(at) == "table" and at[name:gsub("~1", "/"):gsub("~0", "~")]
  end
  return at
end

local instance

local makers = {
  string = function(schema, whole)
    local text = cut(whole.seed, schema.maxLength or math.huge)
    return text .. ("x"):rep((schema.minLength or 0) - length_of(text))
  end,
  number = function(schema)
    local low = schema.minimum or schema.exclusiveMinimum
    local high = schema.maximum or schema.exclusiveMaximum
    if low and high then return (low + high) / 2 end
    return low and low + 1 or high and high - 1 or 0.5
  end,
  integer = function(schema)
    local low = schema.minimum or schema.exclusiveMinimum and schema.exclusiveMinimum + 1
    local high = schema.maximum or schema.exclusiveMaximum and schema.exclusiveMaximum - 1
    local step = schema.multipleOf or 1
    if low then return math.ceil(low / step) * step end
    return math.floor(math.min(high or step, step) / step) * step
  end,
  boolean = function() return true end,
  null = function() return core.json.null end,
  array = function(schema, whole, depth)
    local list = setmetatable({}, core.json.array_mt)
    for i = 1, schema.minItems or depth <= DEEP and 1 or 0 do
      list[i] = instance(schema.items or {}, whole, depth)
    end
    return list
  end,
  object = function(schema, whole, depth)
    local object, needed = {}, {}
    for _, name in ipairs(schema.required or {}) do needed[name] = true end
    for name, property in pairs(schema.properties or {}) do
      if needed[name] or depth <= DEEP then object[name] = instance(property, whole, depth) end
    end
    return object
  end,
}

-- whole: the `root` of the schema, and the `seed` of strings.
function instance(schema, whole, depth)
  if type(schema) ~= "table" or depth > MAX_DEPTH then return core.json.null end
  if schema.const ~= nil then return schema.const end
  if schema.enum then return schema.enum[1] end
  if schema["$ref"] then
    return instance(resolve(schema["$ref"], whole.root), whole, depth + 1)
  end
  local choices = schema.anyOf or schema.oneOf or schema.allOf
  if choices then return instance(choices[depth <= DEEP and 1 or #choices], whole, depth + 1) end
  local kind = schema.type
  if type(kind) == "table" then kind = kind[1] end
  kind = kind or schema.properties and "object" or schema.items and "array" or "string"
  return (makers[kind] or makers.string)(schema, whole, depth + 1)
end

--- The text of an answer.
-- @tparam table request canonical
-- @treturn string
local function text(request)
  local prompt = last_prompt(request)
  if request.response_schema then
    local whole = { root = request.response_schema, seed = extract(prompt, 8) }
    return core.json.encode(instance(whole.root, whole, 0))
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

-- A direction that depends on the text alone; its length is one.
local function vector(source, dimensions)
  local list, square = {}, 0
  local seed = #source
  for i = 1, #source do seed = (seed * 31 + source:byte(i)) % 2 ^ 31 end
  for i = 1, dimensions do
    seed = (seed * 16807 + 1) % (2 ^ 31 - 1)
    list[i] = seed / 2 ^ 30 - 1
    square = square + list[i] * list[i]
  end
  for i = 1, dimensions do list[i] = list[i] / math.sqrt(square) end
  return list
end

--- Embeddings of texts: equal texts have equal ones, and nothing else is meant by them.
-- @tparam table request with texts and perhaps dimensions
-- @treturn table list of lists of numbers
local function embeddings(request)
  local list = {}
  for i, source in ipairs(request.texts) do list[i] = vector(source, request.dimensions or 8) end
  return list
end

return { text = text, embeddings = embeddings, pieces = pieces, usage = usage }
