--- Total: what several replies took together.
-- @module llm.total

local sums = { "prompt_tokens", "completion_tokens", "tokens_used", "response_time", "attempts" }

--- Adds what came before to a response. A price that is unknown once is unknown.
-- @tparam Response response is changed
-- @tparam Response|nil earlier
-- @treturn Response the first
local function add(response, earlier)
  if not earlier then return response end
  for i = 1, #sums do
    local name = sums[i]
    if earlier[name] then response[name] = (response[name] or 0) + earlier[name] end
  end
  local usage = {}
  for name, count in pairs(earlier.usage or {}) do usage[name] = count end
  for name, count in pairs(response.usage or {}) do
    usage[name] = type(count) == "number" and count + (usage[name] or 0) or count
  end
  response.usage = usage
  response.cost_estimate = response.cost_estimate and earlier.cost_estimate and
    response.cost_estimate + earlier.cost_estimate
  return response
end

--- The same response as a table of its own.
-- @tparam Response response
-- @treturn Response
local function copy(response)
  local fields = {}
  for name, value in pairs(response) do fields[name] = value end
  return setmetatable(fields, getmetatable(response))
end

return { add = add, copy = copy }
