--- Versions of the Model Context Protocol that are spoken here, the newest first.
-- @module llm.mcp.versions
local versions = { "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05" }

--- @tparam string version
-- @treturn boolean
function versions.is_known(version)
  for _, one in ipairs(versions) do if one == version then return true end end
  return false
end

return versions
