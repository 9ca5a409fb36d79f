--- Busted's helper: all temporary files of a run are in one folder, which goes with it, however the
-- specs end.
local busted = require "busted"

local folder = os.tmpname()
os.remove(folder)
assert(os.execute("mkdir -m 700 " .. folder))

local count = 0
function os.tmpname() -- luacheck: ignore
  count = count + 1
  local path = ("%s/lua_%d"):format(folder, count)
  assert(io.open(path, "w")):close()
  return path
end

busted.subscribe({ "exit" }, function()
  os.execute("rm -rf " .. folder)
  return nil, true -- others hear of it, too
end)
