--- Reply headers: as a table, and as the numbers that callers want.
-- @module llm.headers

--- Takes a header block apart.
-- @tparam string block `name: value` lines
-- @treturn table name in lower case -> value (repeated headers joined by ", ")
local function parse(block)
  local headers, several = {}, {}
  for name, value in block:gmatch("([^:\r\n]+):[ \t]*([^\r\n]*)") do
    name = name:lower()
    value = value:gsub("[ \t]+$", "")
    local before = several[name]
    if before then
      before[#before + 1] = value
    elseif headers[name] then
      several[name] = { headers[name], value }
    else
      headers[name] = value
    end
  end
  for name, values in pairs(several) do headers[name] = table.concat(values, ", ") end
  return headers
end

local id_headers = {
  "x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "x-generation-id",
  "mistral-correlation-id", "cf-ray",
}

--- The provider's own id of the request.
-- @tparam table headers
-- @treturn string|nil
local function request_id(headers)
  for _, name in ipairs(id_headers) do
    if headers[name] then return headers[name] end
  end
end

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

--- Unix time of a date as RFC 3339 writes it: `2026-11-22T09:00:00Z`, `…T11:00:00+02:00`.
-- @treturn number|nil nil for anything else
local function unix_time(text)
  local year, month, day, hour, minute, second, zone =
    tostring(text):match("^(%d%d%d%d)-(%d%d)-(%d%d)[Tt](%d%d):(%d%d):(%d%d)[%d.]*(%S+)$")
  local sign, hours, minutes = (zone or ""):match("^([+-])(%d%d):(%d%d)$")
  if not sign and zone ~= "Z" and zone ~= "z" then return nil end
  local time = days_from_civil(tonumber(year), tonumber(month), tonumber(day)) * 86400
    + hour * 3600 + minute * 60 + second
  return sign and time - tonumber(sign .. 1) * (hours * 3600 + minutes * 60) or time
end

local function read_number(text)
  if not text or not text:find("^%s*%d*%.?%d+%s*$") then return nil end
  local number = tonumber(text)
  return number < math.huge and number or nil
end

local units = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }

-- "6m0s", "120ms", "1.5" (seconds) or an RFC 3339 time -> seconds from now
local function read_wait(text, now)
  local at = unix_time(text)
  if at then return math.max(0, at - now) end
  local total = read_number(text)
  for amount, unit in text:gmatch("([%d.]+)(%a+)") do
    if not read_number(amount) or not units[unit] then return nil end
    total = (total or 0) + tonumber(amount) * units[unit]
  end
  return total
end

local what = { limit = true, remaining = true, reset = true }

--- The rate limits that the headers tell: `requests_limit`, `requests_remaining`,
-- `requests_reset` (seconds from now), the same for `tokens`, `input_tokens`, `output_tokens`.
-- @tparam table headers
-- @tparam[opt] number now Unix time, `os.time()` by default
-- @treturn table|nil nil when there are none
local function rate_limit(headers, now)
  local found
  for name, value in pairs(headers) do
    local rest = name:match("ratelimit%-(.+)$")
    local first, second = (rest or ""):match("^([%a%-]-)%-?(%a+)$")
    local kind, subject = second, first
    if first and what[first:match("^%a+") or ""] then -- x-ratelimit-limit-requests
      kind, subject = rest:match("^(%a+)%-?(.*)$")
    end
    if kind and what[kind] then
      local number = kind == "reset" and read_wait(value, now or os.time()) or read_number(value)
      subject = subject == "" and "requests" or subject:gsub("-", "_")
      found = found or {}
      found[subject .. "_" .. kind] = number
    end
  end
  return found
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

return {
  parse = parse, unix_time = unix_time, rate_limit = rate_limit, request_id = request_id,
  retry_after = retry_after,
}
