--- Alert: tells somebody when a figure passes a threshold, at most once a window.
-- @module llm.policy.alert
local core = require "llm.core"
local log = require "llm.log"
local options = require "llm.options"
local secret = require "llm.secret"
local task = require "llm.task"
local time = require "llm.time"

local SLOTS = 12 -- a window slides in steps of a twelfth
local PATIENCE = 10 -- seconds that a webhook or a command may take

local known = {
  metric = "string|function", above = "number", window = "number", at_least = "number",
  run = "function", command = "table", webhook = "string", headers = "table",
}

-- What a rule reads from the sums of its window; nil: there is nothing to judge yet.
local readers = {
  requests = function(sum) return sum.requests end,
  failures = function(sum) return sum.failures end,
  error_rate = function(sum) return sum.requests > 0 and sum.failures / sum.requests or nil end,
  tokens = function(sum) return sum.tokens end,
  cost = function(sum) return sum.cost end,
  response_time = function(sum) return sum.requests > 0 and sum.seconds / sum.requests or nil end,
}

local function new_sum()
  return { requests = 0, failures = 0, tokens = 0, cost = 0, seconds = 0 }
end

-- The slot of now; those that have left the window are dropped.
local function slot_of(rule, now)
  local number = math.floor(now / (rule.window / SLOTS))
  for old in pairs(rule.slots) do if old <= number - SLOTS then rule.slots[old] = nil end end
  local slot = rule.slots[number] or new_sum()
  rule.slots[number] = slot
  return slot
end

local function total_of(rule)
  local total = new_sum()
  for _, slot in pairs(rule.slots) do
    for name, value in pairs(slot) do total[name] = total[name] + value end
  end
  return total
end

local deliveries = {} -- task -> true

local function post(rule, body)
  local headers = { ["Content-Type"] = "application/json" }
  for name, value in pairs(rule.headers or {}) do headers[name] = value end
  local status, err = require("llm.http").fetch { method = "POST", url = rule.webhook,
    headers = headers, body = body, deadline = PATIENCE }
  if not status then return nil, err end
  return status >= 200 and status <= 299, "HTTP " .. status
end

local function run(rule, body)
  local process = require "llm.process"
  local done, err = process.run(rule.command, { input = body .. "\n", timeout = PATIENCE })
  if not done then return nil, err end
  return done.code == 0, process.describe(done)
end

local function deliver(rule, alert)
  local ok, problem = (rule.webhook and post or run)(rule, core.json.encode(alert))
  if not ok then
    log.write("error", "alert", ("could not be delivered: %s; it said: %s"):format(
      secret.scrub(tostring(problem)), alert.message))
  end
end

local function start_delivery(rule, alert)
  local job
  job = task.spawn(function()
    deliver(rule, alert)
    deliveries[job] = nil
  end)
  deliveries[job] = true
end

local function raise(rule, value, now)
  rule.quiet_until = now + rule.window
  local alert = { metric = rule.name, value = value, above = rule.above, window = rule.window,
    time = time.stamp() }
  alert.message = ("%s is %.6g, above %.6g, over %g s"):format(rule.name, value, rule.above,
    rule.window)
  log.write("warn", "alert", alert.message)
  if rule.run then rule.run(alert) end
  if rule.webhook or rule.command then start_delivery(rule, alert) end
end

local function count(rule, response, err, now)
  local slot = slot_of(rule, now)
  slot.requests = slot.requests + 1
  if err and err.kind ~= "cancelled" then slot.failures = slot.failures + 1 end
  if not response then return end
  slot.tokens = slot.tokens + (response.tokens_used or 0)
  slot.cost = slot.cost + (response.cost_estimate or 0)
  slot.seconds = slot.seconds + (response.response_time or 0)
end

local function check(rules, response, err)
  local now = time.clock()
  for _, rule in ipairs(rules) do
    count(rule, response, err, now)
    if now >= rule.quiet_until then
      local total = total_of(rule)
      local value = total.requests >= rule.at_least and rule.read(total)
      if value and value > rule.above then raise(rule, value, now) end
    end
  end
end

local function new_rule(given, i)
  local where = ("alert[%d]"):format(i)
  options.check(given, known, where)
  local metric = given.metric
  local read = type(metric) == "function" and function() return metric() end or readers[metric]
  if not read then
    options.refuse(where, ("metric must be a function, or %s, not %q"):format(
      "requests, failures, error_rate, tokens, cost or response_time", tostring(metric)))
  end
  if not given.above then options.refuse(where, "above is missing") end
  if not (given.run or given.command or given.webhook) then
    options.refuse(where, "give run (a function), command (a list of words) or webhook (a URL)")
  end
  local window = given.window or 300
  if window <= 0 then options.refuse(where, "window must be more than 0 seconds") end
  return setmetatable({ read = read, name = type(metric) == "string" and metric or "metric",
    window = window, at_least = given.at_least or 1, slots = {}, quiet_until = -math.huge },
    { __index = given })
end

--- Makes the policy.
-- @tparam table rules each `{metric=, above=, window=, run= | command= | webhook=}`: `metric` is
-- `requests`, `failures`, `error_rate`, `tokens`, `cost` (USD), `response_time` (mean, seconds) or
-- a function that gives a number; `window` in seconds (300); `at_least` so many calls in it (1);
-- `run(alert)` must not wait; `command` is a list of words that gets the alert as JSON on its
-- input; `webhook` is posted the same, with `headers`
-- @treturn function policy
-- @usage local client = llm.client { alert = { { metric = "cost", above = 5, window = 86400,
--   webhook = "https://example.com/hook" } } }
local function new(rules)
  local made = {}
  for i, rule in ipairs(rules or {}) do made[i] = new_rule(rule, i) end
  if not made[1] then options.refuse("alert", "give a list of rules") end
  local function ended(reply) check(made, reply:response(), reply.err) end
  return function(request, next)
    local reply, err = next(request)
    if reply then reply:finally(ended) elseif not err.dry_run then check(made, nil, err) end
    return reply, err
  end
end

--- Waits until the alerts that were raised are delivered; the command does so before it ends.
local function flush()
  for job in pairs(deliveries) do job:join() end
end

return { new = new, flush = flush }
