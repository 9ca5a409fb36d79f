--- Guard: closes what is dropped without being closed. Lua 5.3 and 5.4 finalise tables; LuaJIT
-- only userdata.
-- @module llm.guard
local Guard = {}

function Guard:__gc() self.owner:close() end

--- Keep the guard in its owner; when both are collected, `owner:close()` is called. What the owner
-- closes must be older than the guard: the collector finalises the youngest first.
-- @tparam table owner
-- @return the guard
local function new(owner) return setmetatable({ owner = owner }, Guard) end

local function new_userdata(owner)
  local guard = newproxy(true) -- luacheck: ignore
  getmetatable(guard).__gc = function() owner:close() end
  return guard
end

return { new = newproxy and new_userdata or new } -- luacheck: ignore
