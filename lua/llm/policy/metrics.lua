--- Metrics: counts every call of the process, by provider and model. `llm.metrics()` reads them.
-- @module llm.policy.metrics
local core = require "llm.core"

local histogram = core.histogram
local clock = core.loop.clock
local RECENT = 50 -- calls of a provider that llm.health looks at

local providers = {} -- name -> { models = name -> row, recent = ring of outcomes }

local function new_row()
  return {
    requests = 0, successes = 0, failures = 0, cancelled = 0, retries = 0, cache_hits = 0,
    errors = {}, input_tokens = 0, cached_tokens = 0, output_tokens = 0, reasoning_tokens = 0,
    cost = 0, unpriced = 0, response_time = histogram.new(), first_token_time = histogram.new(),
    tokens_per_second = histogram.new(), overhead = histogram.new(), wait = histogram.new(),
    tokens_in = histogram.new(), tokens_out = histogram.new(),
  }
end

local function provider_of(name)
  local provider = providers[name]
  if not provider then
    provider = { models = {}, recent = { at = 0, count = 0 } }
    providers[name] = provider
  end
  return provider
end

local function row_of(provider, model)
  local row = provider.models[model]
  if not row then
    row = new_row()
    provider.models[model] = row
  end
  return row
end

-- The outcome goes where the oldest one of the ring stands.
local function remember(recent, err)
  local at = recent.at % RECENT + 1
  recent.at, recent.count = at, math.min(recent.count + 1, RECENT)
  recent[at] = err or false
  if err then recent.failed_at = clock() else recent.succeeded_at = clock() end
end

local function count_usage(row, response)
  local usage = response.usage
  if not usage then return end
  local input, output = usage.input_tokens or 0, usage.output_tokens or 0
  row.input_tokens, row.output_tokens = row.input_tokens + input, row.output_tokens + output
  row.cached_tokens = row.cached_tokens + (usage.cached_tokens or 0)
  row.reasoning_tokens = row.reasoning_tokens + (usage.reasoning_tokens or 0)
  row.tokens_in:add(input)
  row.tokens_out:add(output)
  local cost = response.cost_estimate
  if cost then row.cost = row.cost + cost else row.unpriced = row.unpriced + 1 end
end

local function count_failure(provider, row, err)
  local kind = err.kind or "other"
  if kind == "cancelled" then
    row.cancelled = row.cancelled + 1
    return
  end
  row.failures = row.failures + 1
  row.errors[kind] = (row.errors[kind] or 0) + 1
  remember(provider.recent, err)
end

local function count_success(provider, row, response)
  row.successes = row.successes + 1
  remember(provider.recent, nil)
  row.response_time:add(response.response_time)
  local first, usage = response.first_token_time, response.usage
  if not first then return end
  row.first_token_time:add(first)
  local seconds = response.response_time - first
  local tokens = usage and usage.output_tokens or 0
  if tokens > 1 and seconds > 0 then row.tokens_per_second:add((tokens - 1) / seconds) end
end

-- What our own side took before the request was on its way: what retry, limit and the like waited
-- for is told apart.
local function count_overhead(row, reply, call)
  local waited = call.waited or 0
  if waited > 0 then row.wait:add(waited) end
  if call.begun then row.overhead:add(math.max(0, reply.started - call.begun - waited)) end
end

local function begin_row(provider, call, model)
  local row = row_of(provider, model)
  row.requests = row.requests + 1
  row.retries = row.retries + (call.attempts or 1) - 1
  return row
end

-- The models that could not answer before another one did.
local function count_tried(tried)
  for _, err in ipairs(tried or {}) do
    local provider = provider_of(err.provider)
    local row = row_of(provider, err.model)
    row.requests = row.requests + 1
    row.retries = row.retries + (err.attempts or 1) - 1
    count_failure(provider, row, err)
  end
end

-- Nothing was spent, and nothing is learnt of the provider.
local function count_hit(row, reply)
  local outcome = reply.err and "failures" or "successes"
  row.requests, row.cache_hits = row.requests + 1, row.cache_hits + 1
  row[outcome] = row[outcome] + 1
end

-- A reply that ended: read, failed, or left by its reader.
local function record(reply)
  local call, response = reply.request.call, reply:response()
  count_tried(call.tried)
  local provider = provider_of(response.provider)
  local model = reply.request.model
  if response.cached then return count_hit(row_of(provider, model), reply) end
  local row = begin_row(provider, call, model)
  count_usage(row, response)
  count_overhead(row, reply, call)
  if reply.err then
    count_failure(provider, row, reply.err)
  elseif reply.finish_reason or reply.request.kind then
    count_success(provider, row, response)
  else
    row.cancelled = row.cancelled + 1
  end
end

local function policy(request, next)
  local call = request.call
  call.begun = clock()
  local reply, err = next(request)
  if reply then
    reply:finally(record)
  elseif not err.dry_run then
    count_tried(err.tried)
    local provider = provider_of(err.provider or call.provider.name)
    count_failure(provider, begin_row(provider, call, err.model or request.model), err)
  end
  return reply, err
end

return {
  new = function() return policy end,
  providers = providers,
  new_row = new_row,
  reset = function() for name in pairs(providers) do providers[name] = nil end end,
}
