--- Logic: the keywords that apply schemas to the same value. Each is `function(wanted, at, schema)`
-- and gives a check; see llm.schema.compile. What an attempt that fails has seen does not count.
-- @module llm.schema.logic

local function checks_of(wanted, at)
  local checks = {}
  for i, child in ipairs(at:want(wanted, "table")) do checks[i] = at:child(child, nil, i - 1) end
  return checks
end

-- Whether it holds, without a word when it does not.
local function try(check, value, context, seen)
  local own = seen and {}
  context.quiet = context.quiet + 1
  local ok = check(value, context, own)
  context.quiet = context.quiet - 1
  if ok and own then
    for name in next, own do seen[name] = true end
  end
  return ok
end

local function all_of(wanted, at)
  local checks = checks_of(wanted, at)
  return function(value, context, seen)
    local ok = true
    for i = 1, #checks do
      if not checks[i](value, context, seen) then
        ok = false
        if context.quiet > 0 then break end
      end
    end
    return ok
  end
end

-- What each choice finds wrong, after none of them fitted.
local function explain(checks, value, context)
  if context.quiet > 0 then return end
  for i = 1, #checks do checks[i](value, context) end
end

local function any_of(wanted, at)
  local checks, location = checks_of(wanted, at), at.location
  return function(value, context, seen)
    local ok = false
    for i = 1, #checks do
      if try(checks[i], value, context, seen) then
        ok = true
        if not seen then break end
      end
    end
    if ok then return true end
    context:fail(location, "fits none of the %d choices", #checks)
    explain(checks, value, context)
    return false
  end
end

local function one_of(wanted, at)
  local checks, location = checks_of(wanted, at), at.location
  return function(value, context, seen)
    local found = 0
    for i = 1, #checks do
      if try(checks[i], value, context, seen) then found = found + 1 end
    end
    if found == 1 then return true end
    context:fail(location, "fits %d of the %d choices, not one", found, #checks)
    if found == 0 then explain(checks, value, context) end
    return false
  end
end

local function negate(wanted, at)
  local check, location = at:child(wanted), at.location
  return function(value, context)
    return not try(check, value, context) or
      context:fail(location, "must not fit what is excluded")
  end
end

local function condition(wanted, at, schema)
  local check = at:child(wanted)
  local consequent = schema["then"] ~= nil and at:child(schema["then"], "then")
  local alternative = schema["else"] ~= nil and at:child(schema["else"], "else")
  return function(value, context, seen)
    local branch = alternative
    if try(check, value, context, seen) then branch = consequent end
    return not branch or branch(value, context, seen)
  end
end

local function dependent_schemas(wanted, at)
  local checks = {}
  for name, child in pairs(at:want(wanted, "table")) do
    checks[name] = at:child(child, nil, name)
  end
  return function(value, context, seen)
    local ok = true
    for name, check in next, checks do
      if value[name] ~= nil and not check(value, context, seen) then ok = false end
    end
    return ok
  end
end

return {
  allOf = all_of, anyOf = any_of, oneOf = one_of, ["not"] = negate, ["if"] = condition,
  dependentSchemas = dependent_schemas,
}
