--- The figures of all calls of this process, as a table or as Prometheus text.
-- @module llm.metrics
local metrics = require "llm.policy.metrics"

local counters = {
  "requests", "successes", "failures", "cancelled", "retries", "cache_hits", "input_tokens",
  "cached_tokens", "output_tokens", "reasoning_tokens", "cost", "unpriced",
}
local histograms = {
  "response_time", "first_token_time", "tokens_per_second", "overhead", "wait", "tokens_in",
  "tokens_out",
}
local shown = { "response_time", "first_token_time", "tokens_per_second", "overhead", "wait" }

local Metrics = {}
Metrics.__index = Metrics

local function merge(into, row)
  for _, name in ipairs(counters) do into[name] = into[name] + row[name] end
  for _, name in ipairs(histograms) do into[name]:merge(row[name]) end
  for kind, count in pairs(row.errors) do into.errors[kind] = (into.errors[kind] or 0) + count end
end

local function figures(row)
  local result = { errors = {} }
  for _, name in ipairs(counters) do result[name] = row[name] end
  for _, name in ipairs(shown) do result[name] = row[name]:summary() end
  for kind, count in pairs(row.errors) do result.errors[kind] = count end
  local ended = row.successes + row.failures
  if ended > 0 then
    result.success_rate, result.error_rate = row.successes / ended, row.failures / ended
  end
  result.tokens_used = row.input_tokens + row.output_tokens
  result.average_response_time = result.response_time and result.response_time.mean
  return result
end

--- A snapshot of all figures.
-- @treturn table `requests`, `successes`, `failures`, `cancelled`, `success_rate` and `error_rate`
-- (0 to 1, nil before the first call), `errors` (by kind), `tokens_used`, `input_tokens`,
-- `cached_tokens`, `output_tokens`, `reasoning_tokens`, `cost` (USD), `unpriced` (calls without a
-- known price), `retries`, `cache_hits`, `average_response_time` (seconds); `response_time`,
-- `first_token_time`, `overhead` (our own, before the request is on its way), `wait` (in queues and
-- between attempts), all in seconds, and `tokens_per_second`, each with `count mean min p50 p90 p99
-- max`; `providers` has the same for each provider and in its `models` for each model.
-- `:prometheus()` gives the text format.
-- @usage print(llm.metrics().cost, llm.metrics():prometheus())
local function snapshot()
  local total, result = metrics.new_row(), { providers = {} }
  for name, provider in pairs(metrics.providers) do
    local sum, models = metrics.new_row(), {}
    for model, row in pairs(provider.models) do
      merge(sum, row)
      models[model] = figures(row)
    end
    merge(total, sum)
    result.providers[name] = figures(sum)
    result.providers[name].models = models
  end
  for name, value in pairs(figures(total)) do result[name] = value end
  return setmetatable(result, Metrics)
end

--- The figures in the text format of Prometheus, now. Names and bounds of the `gen_ai_*` families
-- follow the OpenTelemetry conventions for generative AI.
-- @treturn string
function Metrics.prometheus() return require("llm.prometheus")(metrics.providers) end

return { snapshot = snapshot }
