--- os.getenv as a table, so that a spec decides what the environment holds.
local environment = {}

local real = os.getenv

--- @tparam table values name -> value; every other variable is not set
function environment.set(values)
  rawset(os, "getenv", function(name) return values[name] end)
end

function environment.restore()
  rawset(os, "getenv", real)
end

return environment
