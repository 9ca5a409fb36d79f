--- Guard: settles what is dropped without being closed. Lua 5.3 and 5.4 finalise tables; LuaJIT
-- only userdata.
-- @module llm.guard
local Guard = {}

function Guard:__gc() self.owner:settle() end

--- Keep the guard in its owner; when both are collected, `owner:settle()` is called.
-- @tparam table owner
-- @return the guard
local function new(owner) return setmetatable({ owner = owner }, Guard) end

local function new_userdata(owner)
  local guard = newproxy(true) -- luacheck: ignore
  getmetatable(guard).__gc = function() owner:settle() end
  return guard
end

return { new = newproxy and new_userdata or new } -- luacheck: ignore
