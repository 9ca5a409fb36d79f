--- Retry: asks again after a failure that may pass, before anything was shown.
-- @module llm.policy.retry
local headers_of = require "llm.headers"
local log = require "llm.log"
local options = require "llm.options"
local task = require "llm.task"

local FIRST, LONGEST, CAP = 0.5, 8, 120 -- seconds

--- The wait before the next attempt: what the headers ask for, else exponential backoff
-- (0.5 s, 1 s, 2 s … 8 s, less up to a quarter at random).
-- @tparam number attempt how many attempts have failed, from 1
-- @tparam[opt] table headers of the failed reply, names in lower case
-- @tparam[opt] table opts `now` (Unix time), `cap` (120 s)
-- @treturn number|nil seconds; nil: the provider asks for more than the cap, give up
-- @usage local seconds = llm.policy.retry.delay(1, {["retry-after"] = "20"})
local function delay(attempt, headers, opts)
  opts = opts or {}
  local asked = headers and headers_of.retry_after(headers, opts.now)
  if asked then return asked <= (opts.cap or CAP) and asked or nil end
  local longest = math.min(LONGEST, FIRST * 2 ^ math.max(0, attempt - 1))
  return longest * (1 - 0.25 * math.random())
end

local known = { attempts = "number", cap = "number", resend = "boolean", on_retry = "function" }

-- What the provider asks for, be it in a header or in the body, as the header that says so.
local function asked_wait(err)
  return err.retry_after and { ["retry-after"] = tostring(err.retry_after) } or nil
end

local function may_repeat(err, opts)
  if err.maybe_billed and not opts.resend then return false end
  return err.retryable
end

--- Makes the policy.
-- @tparam[opt] table opts `attempts` (3 in all), `cap` (longest wait that is obeyed, 120 s),
-- `resend` (also when the lost request may have been billed), `on_retry(err, attempt, seconds)`
-- @treturn function policy
-- @usage client:use(llm.policy.retry.new { attempts = 5 })
local function new(opts)
  opts = options.check(opts, known, "retry")
  local attempts = opts.attempts or 3
  if attempts < 1 then options.refuse("retry", "attempts must be at least 1") end
  if (opts.cap or 0) < 0 then options.refuse("retry", "cap must not be negative") end
  return function(request, next)
    for attempt = 1, attempts do
      request.call.attempts = attempt
      local reply, err = next(request)
      if reply then return reply end
      err.attempts = attempt
      local seconds = attempt < attempts and may_repeat(err, opts) and
        delay(attempt, asked_wait(err), opts)
      if not seconds then return nil, err end
      log.write("info", err.provider or "retry", ("attempt %d failed (%s); again in %.1f s"):format(
        attempt, err.kind, seconds))
      if opts.on_retry then opts.on_retry(err, attempt, seconds) end
      task.sleep(seconds)
      request.call.waited = (request.call.waited or 0) + seconds
    end
  end
end

return { new = new, delay = delay }
