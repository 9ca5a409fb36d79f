--- Retry: asks again after a failure that may pass, before anything was shown.
-- @module llm.policy.retry
local errors = require "llm.error"
local headers_of = require "llm.headers"
local log = require "llm.log"
local options = require "llm.options"
local task = require "llm.task"
local time = require "llm.time"
local window = require "llm.window"

local FIRST, LONGEST, CAP, MINUTE = 0.5, 8, 120, 60 -- seconds
local LONE = 10 -- attempts beyond the first that few calls may have a minute

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

local known = {
  attempts = "number", cap = "number", resend = "boolean", on_retry = "function", kinds = "table",
  decide = "function", budget = "number",
}

-- What the provider asks for, be it in a header or in the body, as the header that says so.
local function asked_wait(err)
  return err.retry_after and { ["retry-after"] = tostring(err.retry_after) } or nil
end

-- Whether an error may be answered by another attempt, and how long that waits, if the user says.
local function may_repeat(self, err, attempt)
  if err.maybe_billed and not self.resend then return false end
  local kind = self.kinds[err.kind]
  local may = err.retryable
  if kind ~= nil then may = kind end
  local decided
  if self.decide then decided = self.decide(err, attempt) end
  if decided == nil then return may end
  return decided and true, type(decided) == "number" and decided or nil
end

-- Many calls that fail together must not ask three times as often as before: over a minute at most
-- a fifth more requests than calls, or ten.
local function has_budget(self)
  local extra = self.recent:sum "retries"
  return extra < math.max(LONE, self.budget * self.recent:sum "calls")
end

-- Seconds until the call's deadline, which is for all its attempts.
local function time_left(call)
  return call.deadline and call.retry_from and call.retry_from + call.deadline - time.clock()
end

-- How long to wait before the next attempt; nil: there is none.
local function next_wait(self, call, err, attempt)
  if attempt >= self.attempts then return nil end
  local may, seconds = may_repeat(self, err, attempt)
  if not may then return nil end
  seconds = seconds or delay(attempt, asked_wait(err), self)
  local left = time_left(call)
  if not seconds or left and seconds >= left then return nil end
  return has_budget(self) and seconds or nil
end

local function pause(self, call, err, attempt, seconds)
  log.write("info", err.provider or "retry", ("attempt %d failed (%s); again in %.1f s"):format(
    attempt, err.kind, seconds))
  self.recent:add("retries", 1)
  if self.on_retry then self.on_retry(err, attempt, seconds) end
  task.sleep(seconds)
  call.waited = (call.waited or 0) + seconds
end

local Retry = {}
Retry.__index = Retry

--- The policy itself.
function Retry:__call(request, next)
  local call = request.call
  self.recent:add("calls", 1)
  if call.deadline then call.retry_from = time.clock() end
  for attempt = 1, self.attempts do
    call.attempts = attempt
    local reply, err = next(request)
    if reply then return reply end
    err.attempts = attempt
    local seconds = next_wait(self, call, err, attempt)
    if not seconds then return nil, err end
    pause(self, call, err, attempt, seconds)
    local left = time_left(call)
    if left then call.own, call.deadline, call.retry_from = call.own or {}, left, time.clock() end
  end
end

--- Makes the policy.
-- @tparam[opt] table opts `attempts` (3 in all), `cap` (longest wait that is obeyed, 120 s),
-- `kinds` (kind of error -> whether it is worth another attempt, before the usual answer),
-- `decide(err, attempt)` -> true, false, seconds, or nil for the usual answer; `budget` (0.2: the
-- share of calls of a minute that may be attempts beyond their first, or ten), `resend` (also when
-- the lost request may have been billed), `on_retry(err, attempt, seconds)`
-- @treturn policy
-- @usage client:use(llm.policy.retry.new { attempts = 5, kinds = { timeout = false } })
local function new(opts)
  opts = options.check(opts, known, "retry")
  local self = { attempts = opts.attempts or 3, cap = opts.cap, resend = opts.resend,
    kinds = opts.kinds or {}, decide = opts.decide, on_retry = opts.on_retry,
    budget = opts.budget or 0.2, recent = window.new(MINUTE) }
  if self.attempts < 1 or self.attempts ~= self.attempts then
    options.refuse("retry", "attempts must be at least 1")
  end
  if (opts.cap or 0) < 0 then options.refuse("retry", "cap must not be negative") end
  if self.budget < 0 then options.refuse("retry", "budget must not be negative") end
  for kind in pairs(self.kinds) do
    if errors.kinds[kind] == nil then
      options.refuse("retry", ("there is no kind %q of errors"):format(tostring(kind)))
    end
  end
  return setmetatable(self, Retry)
end

return { new = new, delay = delay }
