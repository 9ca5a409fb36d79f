--- A request with all that a provider takes, built anew with its keys inserted in another order
-- each time: what an adapter makes of it must be the same bytes.
-- @module llm.conformance.sample
local function schema()
  return { type = "object", additionalProperties = false, required = { "city", "unit" },
    properties = { city = { type = "string" }, unit = { type = "string" } } }
end

local base = {
  defaulted = {}, model = "model", stream = true,
  messages = { { role = "system", content = "Be brief." }, { role = "user", content = "Hi" } },
}

-- Each is left out where the provider refuses it.
local choices = {
  { "max_tokens", 64 }, { "temperature", 0.5 }, { "top_p", 0.9 }, { "stop", { "END", "STOP" } },
  { "seed", 7 }, { "reasoning_effort", "low" }, { "user", "u-1" },
  { "tools", { { name = "weather", description = "Weather now", parameters = schema() },
    { name = "time", description = "The time", parameters = schema() } } },
  { "tool_choice", "auto" }, { "response_schema", schema() },
  { "metadata", { purpose = "test", team = "a", run = "1" } },
  { "logit_bias", { ["50256"] = -100, ["11"] = 5, ["7"] = 1 } },
  { "messages", { base.messages[1], base.messages[2],
    { role = "assistant", content = "", tool_calls = {
      { id = "call_1", name = "weather", arguments = '{"city":"Porto","unit":"c"}' } } },
    { role = "tool", tool_call_id = "call_1", content = '{"temp":19}' } } },
}

-- A deep copy; the spare keys change where the others land.
local function shuffled(value)
  if type(value) ~= "table" then return value end
  local keys, copy = {}, {}
  for key in pairs(value) do table.insert(keys, math.random(#keys + 1), key) end
  local spare = math.random(0, 9)
  for i = 1, spare do copy["spare " .. i] = true end
  for _, key in ipairs(keys) do copy[key] = shuffled(value[key]) end
  for i = 1, spare do copy["spare " .. i] = nil end
  return setmetatable(copy, getmetatable(value))
end

--- The request of everything that a provider takes.
-- @tparam table provider
-- @tparam function try `try(request) -> wire | nil, problem`
-- @treturn table request
-- @treturn nil, problem when it refuses even a plain question
local function richest(provider, try)
  local request = shuffled(base)
  request.model = provider.default_model or base.model
  local wire, problem = try(request)
  if not wire then return nil, problem end
  for _, choice in ipairs(choices) do
    local before = request[choice[1]]
    request[choice[1]] = choice[2]
    if not try(shuffled(request)) then request[choice[1]] = before end
  end
  return request
end

return { richest = richest, shuffled = shuffled }
