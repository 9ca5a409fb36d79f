--- Assertions: the keywords that look at a value alone. Each is `function(wanted, at, schema)` and
-- gives a check, `function(value, context, seen) -> boolean`; see llm.schema.compile for `at`.
-- @module llm.schema.assertions
local core = require "llm.core"
local formats = require "llm.schema.format"
local patterns = require "llm.schema.pattern"
local value_of = require "llm.schema.value"

local kind_of, is_integer, key_of = value_of.kind_of, value_of.is_integer, value_of.key_of
local encode = core.json.encode

local function shown(value)
  local ok, text = pcall(encode, value)
  if not ok then return "the given value" end
  return #text > 200 and text:sub(1, 197):gsub("[\128-\255]*$", "") .. "..." or text
end

-- --- any value -----------------------------------------------------------------------------------

-- Scalars are looked up as they are, the rest by a text that equal values share.
local function lookup(values)
  local scalars, keys = {}, nil
  for _, value in ipairs(values) do
    local kind = kind_of(value)
    if kind == "array" or kind == "object" then
      keys = keys or {}
      keys[key_of(value)] = true
    else
      scalars[value] = true
    end
  end
  return function(value)
    if scalars[value] then return true end
    return keys ~= nil and type(value) ~= "string" and keys[key_of(value)] or false
  end
end

local function enum(values, at)
  if kind_of(values) ~= "array" and next(values) ~= nil then at:refuse("must be a list") end
  local has, location, list = lookup(values), at.location, {}
  for i = 1, math.min(#values, 20) do list[i] = shown(values[i]) end
  local wanted = table.concat(list, ", ") .. (#values > 20 and ", ..." or "")
  return function(value, context)
    return has(value) or context:fail(location, "must be one of %s", wanted)
  end
end

local function const(wanted, at)
  local has, location, text = lookup { wanted }, at.location, shown(wanted)
  return function(value, context)
    return has(value) or context:fail(location, "must be %s", text)
  end
end

-- --- numbers -------------------------------------------------------------------------------------

local function bound(holds, words)
  return function(limit, at)
    at:want(limit, "number")
    local location = at.location
    return function(value, context)
      return holds(value, limit) or
        context:fail(location, "must be %s %.14g, not %.14g", words, limit, value)
    end
  end
end

local minimum = bound(function(value, limit) return value >= limit end, "at least")
local maximum = bound(function(value, limit) return value <= limit end, "at most")
local exclusive_minimum = bound(function(value, limit) return value > limit end, "greater than")
local exclusive_maximum = bound(function(value, limit) return value < limit end, "less than")

-- Integers are divided exactly; fractions as people write them, so that 0.3 is three times 0.1.
local function is_multiple(value, step)
  if is_integer(value) and is_integer(step) then return math.fmod(value, step) == 0 end
  local quotient = value / step
  if quotient - quotient ~= 0 then return math.fmod(value, step) == 0 end
  return math.abs(quotient - math.floor(quotient + 0.5)) <= 1e-9 * math.max(1, math.abs(quotient))
end

local function multiple_of(step, at)
  at:want(step, "number")
  if step <= 0 then at:refuse("must be greater than 0") end
  local location = at.location
  return function(value, context)
    return is_multiple(value, step) or
      context:fail(location, "must be a multiple of %.14g, not %.14g", step, value)
  end
end

-- --- strings -------------------------------------------------------------------------------------

-- Characters of UTF-8.
local function length_of(text)
  return text:find("[\128-\255]") and #text - select(2, text:gsub("[\128-\191]", "")) or #text
end

local function min_length(limit, at)
  at:want_count(limit)
  local location = at.location
  return function(value, context)
    if #value >= limit and (#value >= 4 * limit or length_of(value) >= limit) then return true end
    return context:fail(location, "must have at least %d characters", limit)
  end
end

local function max_length(limit, at)
  at:want_count(limit)
  local location = at.location
  return function(value, context)
    if #value <= limit or #value <= 4 * limit and length_of(value) <= limit then return true end
    return context:fail(location, "must have at most %d characters", limit)
  end
end

local function pattern(text, at)
  at:want(text, "string")
  local regex, location = patterns.compile(text, at), at.location
  return function(value, context)
    local found, problem = regex:matches(value)
    if found then return true end
    if found == nil then return context:exhaust(problem) end
    return context:fail(location, "must match the pattern %s", text)
  end
end

local function format(name, at)
  local holds = at.formats and formats[name]
  if not holds then return nil end
  local location = at.location
  return function(value, context)
    return holds(value) or context:fail(location, "must be a valid %s", name)
  end
end

-- --- sizes ---------------------------------------------------------------------------------------

local function min_items(limit, at)
  at:want_count(limit)
  local location = at.location
  return function(value, context)
    return #value >= limit or context:fail(location, "must have at least %d items", limit)
  end
end

local function max_items(limit, at)
  at:want_count(limit)
  local location = at.location
  return function(value, context)
    return #value <= limit or context:fail(location, "must have at most %d items", limit)
  end
end

local function unique_items(wanted, at)
  if wanted ~= true then return nil end
  local location = at.location
  return function(value, context)
    local places = {}
    for i = 1, #value do
      local key = key_of(value[i])
      if places[key] then
        return context:fail(location, "has equal items at %d and %d", places[key] - 1, i - 1)
      end
      places[key] = i
    end
    return true
  end
end

local function count_of(value)
  local count = 0
  for _ in next, value do count = count + 1 end
  return count
end

local function min_properties(limit, at)
  at:want_count(limit)
  local location = at.location
  return function(value, context)
    return count_of(value) >= limit or
      context:fail(location, "must have at least %d properties", limit)
  end
end

local function max_properties(limit, at)
  at:want_count(limit)
  local location = at.location
  return function(value, context)
    return count_of(value) <= limit or
      context:fail(location, "must have at most %d properties", limit)
  end
end

-- --- names ---------------------------------------------------------------------------------------

local function has_all(value, context, names, location)
  local ok = true
  for i = 1, #names do
    if value[names[i]] == nil then
      ok = context:fail(location, "lacks the property %q", names[i])
    end
  end
  return ok
end

local function required(names, at)
  at:want(names, "table")
  local location = at.location
  return function(value, context) return has_all(value, context, names, location) end
end

local function dependent_required(rows, at)
  at:want(rows, "table")
  local location = at.location
  return function(value, context)
    local ok = true
    for name, names in next, rows do
      if value[name] ~= nil then ok = has_all(value, context, names, location) and ok end
    end
    return ok
  end
end

return {
  enum = enum, const = const, minimum = minimum, maximum = maximum,
  exclusiveMinimum = exclusive_minimum, exclusiveMaximum = exclusive_maximum,
  multipleOf = multiple_of, minLength = min_length, maxLength = max_length, pattern = pattern,
  format = format, minItems = min_items, maxItems = max_items, uniqueItems = unique_items,
  minProperties = min_properties, maxProperties = max_properties, required = required,
  dependentRequired = dependent_required,
}
