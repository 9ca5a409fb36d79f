--- Merge: data over data. Maps are merged member by member; anything else, lists too, is replaced.
-- @module llm.merge

local function is_map(value) return type(value) == "table" and value[1] == nil and next(value) end

--- A table with the members of both; neither is changed.
-- @tparam table base
-- @tparam table over goes before base where both have a member
-- @treturn table
local function merge(base, over)
  local merged = {}
  for key, value in pairs(base) do merged[key] = value end
  for key, value in pairs(over) do
    merged[key] = is_map(value) and is_map(merged[key]) and merge(merged[key], value) or value
  end
  return merged
end

return merge
