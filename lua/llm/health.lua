--- Health: how each provider did lately, from the last 50 calls that ended.
-- @module llm.health
local clock = require("llm.core").loop.clock
local metrics = require "llm.policy.metrics"

local DOWN, DEGRADED = 0.5, 0.9 -- share of successes

local function breaker_state(name)
  local breaker = package.loaded["llm.policy.breaker"]
  return breaker and breaker.state(name) or nil
end

local function newest_error(recent)
  for i = 0, recent.count - 1 do
    local err = recent[(recent.at - 1 - i) % recent.count + 1]
    if err then return err end
  end
end

local function of_provider(name, provider)
  local recent, successes = provider.recent, 0
  for i = 1, recent.count do if not recent[i] then successes = successes + 1 end end
  local rate = recent.count > 0 and successes / recent.count or nil
  local err, breaker, now = newest_error(recent), breaker_state(name), clock()
  local state = "unknown"
  if rate then state = rate < DOWN and "down" or rate < DEGRADED and "degraded" or "ok" end
  if breaker == "open" then state = "down" end
  return {
    state = state, success_rate = rate, calls = recent.count, breaker = breaker,
    last_error = err and tostring(err), last_error_kind = err and err.kind,
    last_success = recent.succeeded_at and now - recent.succeeded_at,
    last_failure = recent.failed_at and now - recent.failed_at,
  }
end

--- The recent state of each provider that was called.
-- @treturn table by name: `state` (`ok`; `degraded` below 90 % of successes; `down` below 50 % or
-- while the circuit breaker is open), `success_rate` (0 to 1), `calls` (how many it looked at),
-- `breaker`, `last_error`, `last_error_kind`, `last_success` and `last_failure` (seconds ago)
-- @usage for name, health in pairs(llm.health()) do print(name, health.state) end
return function()
  local result = {}
  for name, provider in pairs(metrics.providers) do result[name] = of_provider(name, provider) end
  return result
end
