--- Checking the one table of options that every call takes: an unknown name is an error that names
-- the nearest known one, a wrong type is an error that says what was expected.
-- @module llm.options

-- Damerau-free edit distance, good enough to find a slip of the pen.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

--- The known name that is nearest to a wrong one.
-- @tparam string name
-- @tparam table known names as keys
-- @treturn string|nil nil when none is near
local function nearest(name, known)
  local best, best_distance
  for candidate in pairs(known) do
    local d = type(candidate) == "string" and distance(name, candidate)
    if d and (not best or d < best_distance or d == best_distance and candidate < best) then
      best, best_distance = candidate, d
    end
  end
  if best and best_distance <= math.max(2, math.floor(#name / 2)) then return best end
end

local function refuse(where, message)
  error(require("llm.error").new("invalid_request", where .. ": " .. message), 0)
end

--- Raises an invalid_request error unless every option is known and has its type.
-- @tparam table|nil options
-- @tparam table known name -> type ("string", "number", "boolean", "table", "function", two joined
-- by "|", or "any")
-- @tparam string where named in the message
-- @treturn table options, or an empty table
local function check(options, known, where)
  if options == nil then return {} end
  if type(options) ~= "table" then
    refuse(where, "options must be a table, not a " .. type(options))
  end
  for name, value in pairs(options) do
    local wanted = known[name]
    if not wanted then
      local near = nearest(tostring(name), known)
      refuse(where, ("unknown option %q"):format(tostring(name)) ..
        (near and ("; did you mean %q?"):format(near) or ""))
    end
    local kind = type(value)
    if wanted ~= kind and wanted ~= "any" and
      not ("|" .. wanted .. "|"):find("|" .. kind .. "|", 1, true) then
      refuse(where, ("%s must be a %s, not a %s"):format(
        name, (wanted:gsub("|", " or a ")), kind))
    end
  end
  return options
end

return { check = check, nearest = nearest, refuse = refuse }
