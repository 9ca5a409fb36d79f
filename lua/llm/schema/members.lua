--- Members: the keywords that apply schemas to the members of objects and to the items of arrays.
-- Each is `function(wanted, at, schema)` and gives a check; see llm.schema.compile. `seen` holds
-- what was evaluated, where somebody asks: names of members, or indexes and `all` for items.
-- @module llm.schema.members
local patterns = require "llm.schema.pattern"

-- --- objects -------------------------------------------------------------------------------------

-- Schemas of named members alone: each is looked for.
local function named_only(names, checks)
  local count = #names
  return function(value, context, seen)
    local ok, before = true, context.count
    for i = 1, count do
      local name = names[i]
      local member = value[name]
      if member ~= nil then
        if seen then seen[name] = true end
        if not checks[name](member, context) then
          ok, before = false, context:under(name, before)
        end
      end
    end
    return ok
  end
end

-- Whether the patterns that match a name hold; and whether any matches.
local function check_patterns(rows, name, member, context)
  local ok, any = true, false
  for i = 1, #rows do
    local found, problem = rows[i].regex:matches(name)
    if found then
      any = true
      ok = rows[i].check(member, context) and ok
    elseif found == nil then
      ok = context:exhaust(problem)
    end
  end
  return ok, any
end

-- Named members, those that match a pattern, and all others: every member is looked at.
local function every_member(checks, rows, rest)
  return function(value, context, seen)
    local ok, before = true, context.count
    for name, member in next, value do
      local check, holds, matched = checks[name], true, false
      if check then holds = check(member, context) end
      if rows then
        local fits
        fits, matched = check_patterns(rows, tostring(name), member, context)
        holds = holds and fits
      end
      if not check and not matched and rest then
        check, holds = rest, rest(member, context)
      end
      if seen and (check or matched) then seen[name] = true end
      if not holds then ok, before = false, context:under(name, before) end
    end
    return ok
  end
end

-- The three keywords are one: what is additional depends on the two others.
local function properties(_, at, schema)
  local checks, names, rows = {}, {}, nil
  for name, child in pairs(at:want(schema.properties or {}, "table", "properties")) do
    checks[name], names[#names + 1] = at:child(child, "properties", name), name
  end
  for text, child in pairs(at:want(schema.patternProperties or {}, "table",
    "patternProperties")) do
    rows = rows or {}
    rows[#rows + 1] = { regex = patterns.compile(text, at),
      check = at:child(child, "patternProperties", text) }
  end
  local rest = schema.additionalProperties
  if rest ~= nil then rest = at:child(rest, "additionalProperties") end
  table.sort(names)
  if rest or rows then return every_member(checks, rows, rest) end
  return named_only(names, checks)
end

local function property_names(wanted, at)
  local check = at:child(wanted)
  return function(value, context)
    local ok, before = true, context.count
    for name in next, value do
      if not check(tostring(name), context) then
        ok, before = false, context:under(name, before)
      end
    end
    return ok
  end
end

local function unevaluated_properties(wanted, at)
  local check = at:child(wanted)
  return function(value, context, seen)
    local ok, before = true, context.count
    for name, member in next, value do
      if not seen[name] then
        if not check(member, context) then ok, before = false, context:under(name, before) end
        seen[name] = true
      end
    end
    return ok
  end
end

-- --- arrays --------------------------------------------------------------------------------------

local function prefix_items(wanted, at)
  local checks = {}
  for i, child in ipairs(at:want(wanted, "table")) do checks[i] = at:child(child, nil, i - 1) end
  return function(value, context, seen)
    local ok, before = true, context.count
    for i = 1, math.min(#checks, #value) do
      if seen then seen[i] = true end
      if not checks[i](value[i], context) then
        ok, before = false, context:under(i - 1, before)
      end
    end
    return ok
  end
end

local function items(wanted, at, schema)
  if type(wanted) == "table" and wanted[1] ~= nil then
    at:refuse("must be one schema; a list of them is prefixItems")
  end
  local check, first = at:child(wanted), #(schema.prefixItems or {}) + 1
  return function(value, context, seen)
    local ok, before = true, context.count
    for i = first, #value do
      if not check(value[i], context) then ok, before = false, context:under(i - 1, before) end
    end
    if seen then seen.all = true end
    return ok
  end
end

local function contains(wanted, at, schema)
  local check, location = at:child(wanted), at.location
  local least, most = schema.minContains or 1, schema.maxContains
  if at.no_validation then least, most = 1, nil end
  return function(value, context, seen)
    local found = 0
    context.quiet = context.quiet + 1
    for i = 1, #value do
      if check(value[i], context) then
        found = found + 1
        if seen then seen[i] = true end
      end
    end
    context.quiet = context.quiet - 1
    if found < least then
      return context:fail(location, "must contain at least %d fitting items, not %d", least, found)
    end
    return not most or found <= most or
      context:fail(location, "must contain at most %d fitting items, not %d", most, found)
  end
end

local function unevaluated_items(wanted, at)
  local check = at:child(wanted)
  return function(value, context, seen)
    if seen.all then return true end
    local ok, before = true, context.count
    for i = 1, #value do
      if not seen[i] and not check(value[i], context) then
        ok, before = false, context:under(i - 1, before)
      end
    end
    seen.all = true
    return ok
  end
end

return {
  properties = properties, propertyNames = property_names, prefixItems = prefix_items,
  items = items, contains = contains, unevaluatedProperties = unevaluated_properties,
  unevaluatedItems = unevaluated_items,
}
