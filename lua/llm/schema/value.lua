--- Values as JSON Schema sees them: what kind a Lua value is, and when two are equal.
-- @module llm.schema.value
local json = require("llm.core").json
local options = require "llm.options"

local null, empty_array, array_mt = json.null, json.empty_array, json.array_mt
local floor = math.floor

local DEPTH = 1000 -- of what is compared; a table that holds itself is deeper

--- The kind of a value.
-- @treturn string null, boolean, number, string, array or object; else the type's name in Lua
local function kind_of(value)
  local kind = type(value)
  if kind == "table" then
    return (getmetatable(value) == array_mt or value[1] ~= nil) and "array" or "object"
  elseif value == null then
    return "null"
  elseif value == empty_array then
    return "array"
  end
  return kind
end

--- Whether a number is an integer: 1.0 is.
local function is_integer(value)
  return value == floor(value) and value - value == 0
end

local function number_key(value)
  if is_integer(value) and value > -2 ^ 63 and value < 2 ^ 63 then return ("%d"):format(value) end
  return ("%.17g"):format(value)
end

local write

local function write_object(value, depth)
  local names, out = {}, {}
  for name in pairs(value) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for i, name in ipairs(names) do
    out[i] = #name .. ":" .. name .. "=" .. write(value[name], depth + 1)
  end
  return "{" .. table.concat(out, ",") .. "}"
end

function write(value, depth)
  local kind = kind_of(value)
  if depth > DEPTH then options.refuse("schema", "a value is nested deeper than " .. DEPTH) end
  if kind == "string" then return #value .. ":" .. value end
  if kind == "number" then return number_key(value) end
  if kind == "object" then return write_object(value, depth) end
  if kind ~= "array" then return tostring(value) end
  local out = {}
  for i = 1, value == empty_array and 0 or #value do out[i] = write(value[i], depth + 1) end
  return "[" .. table.concat(out, ",") .. "]"
end

--- A text that equal values, and only these, have in common.
-- @treturn string; raises when a value is nested too deep
local function key_of(value) return write(value, 0) end

return { kind_of = kind_of, is_integer = is_integer, key_of = key_of, empty_array = empty_array }
