--- Parameters: which of them a model takes. One that it does not take is an error that names it,
-- unless the caller did not choose it, its value changes nothing, or `unsupported = "drop"`.
-- A provider's `quirks.models` are rows `{pattern, …}`; the first whose Lua pattern matches the
-- model's name holds. `refuses` in the quirks or in a row is a list of names of parameters.
-- @module llm.parameters
local log = require "llm.log"

-- values that say what is so without them
local neutral = { temperature = 1, top_p = 1, presence_penalty = 0, frequency_penalty = 0,
  logprobs = false, parallel_tool_calls = true }

--- The row of quirks of a model.
-- @tparam table provider
-- @tparam string model
-- @treturn table empty when there is none
local function row_of(provider, model)
  for _, row in ipairs(provider.quirks and provider.quirks.models or {}) do
    if model:find(row[1]) then return row end
  end
  return {}
end

local function leave_out(request, provider, names)
  for _, name in ipairs(names) do
    local value = request[name]
    if value ~= nil then
      if not request.defaulted[name] and value ~= neutral[name] then
        local problem = ("%s of %s does not take the parameter %s"):format(
          request.model, provider.name, name)
        if request.unsupported ~= "drop" then
          return nil, problem .. "; leave it out, or set unsupported = \"drop\""
        end
        log.write("warn", provider.name, problem .. "; it was left out")
      end
      request[name] = nil
    end
  end
  return request
end

--- The request as this model takes it.
-- @tparam table request canonical
-- @tparam table provider
-- @tparam table|boolean ... lists of names that the dialect cannot express; false: none
-- @treturn table a copy without what is left out
-- @treturn nil, problem
local function settle(request, provider, ...)
  local settled = {}
  for name, value in pairs(request) do settled[name] = value end
  settled.defaulted = request.defaulted or {}
  local lists = { (provider.quirks or {}).refuses or {},
    row_of(provider, request.model).refuses or {} }
  for i = 1, select("#", ...) do lists[i + 2] = (select(i, ...)) or {} end
  for i = 1, #lists do
    local ok, problem = leave_out(settled, provider, lists[i])
    if not ok then return nil, problem end
  end
  return settled
end

return { row_of = row_of, settle = settle }
