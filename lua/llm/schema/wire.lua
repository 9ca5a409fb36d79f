--- Wire: what providers want to know of a schema beside the schema.
-- @module llm.schema.wire

-- What OpenAI takes in strict schemas (platform.openai.com, guide "Structured outputs"); with any
-- other keyword a strict request is refused.
local strict_keywords = {
  type = true, properties = "map", required = true, additionalProperties = true, items = "schema",
  enum = true, const = true, anyOf = "list", ["$ref"] = true, ["$defs"] = "map",
  definitions = "map", description = true, title = true, default = true, pattern = true,
  format = true, multipleOf = true, minimum = true, maximum = true, exclusiveMinimum = true,
  exclusiveMaximum = true, minItems = true, maxItems = true, ["$schema"] = true,
}

local DEPTH = 100
local is_strict

local function all_strict(schemas, depth)
  for _, schema in pairs(schemas) do
    if not is_strict(schema, depth) then return false end
  end
  return true
end

-- Every object is closed and has all its members.
local function is_closed(schema)
  local properties = schema.properties or {}
  if not schema.properties and schema.type ~= "object" then return true end
  local needed = {}
  for _, name in ipairs(schema.required or {}) do needed[name] = true end
  for name in pairs(properties) do
    if not needed[name] then return false end
  end
  return schema.additionalProperties == false
end

function is_strict(schema, depth)
  if type(schema) ~= "table" or depth > DEPTH or not is_closed(schema) then return false end
  for name, value in pairs(schema) do
    local kind = strict_keywords[name]
    if not kind then return false end
    if kind == "schema" and not is_strict(value, depth + 1) then return false end
    if (kind == "map" or kind == "list") and not all_strict(value, depth + 1) then return false end
  end
  return true
end

local known = setmetatable({}, { __mode = "k" }) -- schema -> whether it is strict

--- Whether a provider can hold a model to every word of the schema.
-- @tparam table schema
-- @treturn boolean
local function strict(schema)
  if known[schema] == nil then known[schema] = is_strict(schema, 0) end
  return known[schema]
end

--- The schema's name as providers take it: its title, or "answer".
-- @treturn string
local function name(schema)
  local title = type(schema.title) == "string" and schema.title or ""
  title = title:gsub("[^%w_-]+", "_"):sub(1, 64)
  return title:find("%w") and title or "answer"
end

local function is_object(schema)
  local kind = schema.type
  if kind ~= nil then return kind == "object" end
  return schema.properties ~= nil or schema["$ref"] ~= nil
end

--- A schema whose root is an object, which is what providers take: another one becomes its member
-- `value`.
-- @tparam table schema
-- @treturn table
-- @treturn boolean whether it is wrapped
local function rooted(schema)
  if is_object(schema) then return schema, false end
  return { type = "object", properties = { value = schema }, required = { "value" },
    additionalProperties = false, ["$defs"] = schema["$defs"], title = schema.title }, true
end

return { strict = strict, name = name, rooted = rooted }
