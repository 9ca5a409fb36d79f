--- Alert: tells somebody when a figure passes a threshold, at most once a window.
-- @module llm.policy.alert
local core = require "llm.core"
local log = require "llm.log"
local options = require "llm.options"
local secret = require "llm.secret"
local task = require "llm.task"
local time = require "llm.time"
local window = require "llm.window"

local PATIENCE = 10 -- seconds that a webhook or a command may take

local known = {
  metric = "string|function", above = "number", window = "number", at_least = "number",
  run = "function", command = "table", webhook = "string", headers = "table",
}

-- What a rule reads from its window; nil: there is nothing to judge yet.
local function mean_of(name)
  return function(sums)
    local requests = sums:sum "requests"
    return requests > 0 and sums:sum(name) / requests or nil
  end
end
local function sum_of(name) return function(sums) return sums:sum(name) end end

local readers = {
  requests = sum_of "requests", failures = sum_of "failures", tokens = sum_of "tokens",
  cost = sum_of "cost", error_rate = mean_of "failures", response_time = mean_of "seconds",
}

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

local function count(sums, response, err)
  sums:add("requests", 1)
  if err and err.kind ~= "cancelled" then sums:add("failures", 1) end
  if not response then return end
  sums:add("tokens", response.tokens_used or 0)
  sums:add("cost", response.cost_estimate or 0)
  sums:add("seconds", response.response_time or 0)
end

local function check(rules, response, err)
  local now = time.clock()
  for _, rule in ipairs(rules) do
    count(rule.sums, response, err)
    if now >= rule.quiet_until then
      local value = rule.sums:sum "requests" >= rule.at_least and rule.read(rule.sums)
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
  local seconds = given.window or 300
  if seconds <= 0 then options.refuse(where, "window must be more than 0 seconds") end
  return setmetatable({ read = read, name = type(metric) == "string" and metric or "metric",
    window = seconds, sums = window.new(seconds), at_least = given.at_least or 1,
    quiet_until = -math.huge }, { __index = given })
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
