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

-- What is open while a function runs: a to-be-closed value sees the error that ended it.
local Scope = {}
function Scope.__close(scope, err) if err ~= nil then scope.owner:close() end end

local function once(scope, is_done)
  if not is_done then return true, scope.body(scope.owner, scope.first, scope.second) end
end

--- Runs `body(owner, first, second)`, which may wait; `owner:close()` is called when an error ends
-- it: at once on Lua 5.4, elsewhere when the owner is collected, so it needs a guard, too.
-- @tparam table owner
-- @tparam function body
-- @param first
-- @param second
-- @return its first two results
local function run(owner, body, first, second)
  local scope = setmetatable({ owner = owner, body = body, first = first, second = second }, Scope)
  for _, one, two in once, scope, nil, scope do return one, two end -- luacheck: ignore
end

return { new = newproxy and new_userdata or new, run = run } -- luacheck: ignore
