--- Retry: asks again after a failure that may pass, before anything was shown.
-- @module llm.policy.retry
local log = require "llm.log"
local options = require "llm.options"
local task = require "llm.task"

local FIRST, LONGEST, CAP = 0.5, 8, 120 -- seconds

local months = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9,
  Oct = 10, Nov = 11, Dec = 12 }
local days = { Sun = true, Mon = true, Tue = true, Wed = true, Thu = true, Fri = true, Sat = true,
  Sunday = true, Monday = true, Tuesday = true, Wednesday = true, Thursday = true, Friday = true,
  Saturday = true }

-- Days since 1970-01-01 of a date in the Gregorian calendar (proleptic; Howard Hinnant's method).
local function days_from_civil(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local of_era = year - era * 400
  local of_year = math.floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5) + day - 1
  local day_of_era = of_era * 365 + math.floor(of_era / 4) - math.floor(of_era / 100) + of_year
  return era * 146097 + day_of_era - 719468
end

-- The three forms of RFC 9110, section 5.6.7.
local date_forms = {
  { "^(%a+), (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$", "wdmyHMS" },
  { "^(%a+), (%d%d)-(%a%a%a)-(%d%d) (%d%d):(%d%d):(%d%d) GMT$", "wdmyHMS" },
  { "^(%a+) (%a%a%a) ([%d ]%d) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$", "wmdHMSy" },
}

local function read_date(text)
  for _, form in ipairs(date_forms) do
    local found = { text:match(form[1]) }
    if found[1] then
      local part = {}
      for i = 1, #found do part[form[2]:sub(i, i)] = tonumber(found[i]) or found[i] end
      local month = months[part.m]
      if not month or not days[part.w] then return nil end
      local year = part.y < 70 and part.y + 2000 or part.y < 100 and part.y + 1900 or part.y
      return days_from_civil(year, month, part.d) * 86400 + part.H * 3600 + part.M * 60 + part.S
    end
  end
end

local function read_number(text)
  if not text or not text:find("^%s*%d*%.?%d+%s*$") then return nil end
  local number = tonumber(text)
  return number < math.huge and number or nil
end

--- How long the provider asks to wait.
-- @tparam table headers names in lower case
-- @tparam[opt] number now Unix time that an HTTP date is counted from, `os.time()` by default
-- @treturn number|nil seconds; nil when the headers say nothing that makes sense
local function retry_after(headers, now)
  local ms = read_number(headers["retry-after-ms"])
  if ms then return ms / 1000 end
  local text = headers["retry-after"]
  if not text then return nil end
  local seconds = read_number(text)
  if not seconds then
    local date = read_date(text)
    seconds = date and date - (now or os.time())
  end
  return seconds and seconds > 0 and seconds or nil
end

--- The wait before the next attempt: what the headers ask for, else exponential backoff
-- (0.5 s, 1 s, 2 s … 8 s, less up to a quarter at random).
-- @tparam number attempt how many attempts have failed, from 1
-- @tparam[opt] table headers of the failed reply, names in lower case
-- @tparam[opt] table opts `now` (Unix time), `cap` (120 s)
-- @treturn number|nil seconds; nil: the provider asks for more than the cap, give up
-- @usage local seconds = llm.policy.retry.delay(1, {["retry-after"] = "20"})
local function delay(attempt, headers, opts)
  opts = opts or {}
  local asked = headers and retry_after(headers, opts.now)
  if asked then return asked <= (opts.cap or CAP) and asked or nil end
  local longest = math.min(LONGEST, FIRST * 2 ^ math.max(0, attempt - 1))
  return longest * (1 - 0.25 * math.random())
end

local known = { attempts = "number", cap = "number", resend = "boolean", on_retry = "function" }

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
  return function(request, next)
    for attempt = 1, attempts do
      request.call.attempts = attempt
      local reply, err = next(request)
      if reply then return reply end
      err.attempts = attempt
      local seconds = attempt < attempts and may_repeat(err, opts) and
        delay(attempt, err.headers, opts)
      if not seconds then return nil, err end
      log.write("info", err.provider or "retry", ("attempt %d failed (%s); again in %.1f s"):format(
        attempt, err.kind, seconds))
      if opts.on_retry then opts.on_retry(err, attempt, seconds) end
      task.sleep(seconds)
    end
  end
end

return { new = new, delay = delay, retry_after = retry_after }
