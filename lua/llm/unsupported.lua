--- Parameters that a provider or a model cannot express. One that only a default set is left out;
-- one that the caller chose is a problem, or is dropped with a warning if the caller said
-- `unsupported = "drop"`.
-- @module llm.unsupported
local log = require "llm.log"

--- Checks the canonical request against a list of parameters that cannot be sent.
-- @tparam table request canonical; not changed
-- @tparam table provider
-- @tparam table names of request fields
-- @treturn string|nil the problem
local function check(request, provider, names)
  for _, name in ipairs(names) do
    if request[name] ~= nil and not request.defaulted[name] then
      local what = ("%s cannot be sent to %s of %s"):format(name, request.model, provider.name)
      if request.unsupported ~= "drop" then return what end
      log.write("warn", provider.name, what .. "; it is dropped")
    end
  end
end

return { check = check }
