--- Reply headers: as a table, and as the numbers that callers want.
-- @module llm.headers

--- Takes a header block apart.
-- @tparam string block `name: value` lines
-- @treturn table name in lower case -> value (repeated headers joined by ", ")
local function parse(block)
  local headers = {}
  for name, value in block:gmatch("([^:\r\n]+):[ \t]*([^\r\n]*)") do
    name = name:lower()
    value = value:gsub("[ \t]+$", "")
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return headers
end

local units = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }

-- "6m0s", "120ms", "1.5" (seconds) or an RFC 3339 time -> seconds from now
local function seconds_of(text)
  if tonumber(text) then return tonumber(text) end
  local y, mo, d, h, mi, s = text:match("^(%d+)-(%d+)-(%d+)[Tt](%d+):(%d+):(%d+)")
  if y then
    local offset = os.time() - os.time(os.date("!*t"))
    local at = os.time { year = y, month = mo, day = d, hour = h, min = mi, sec = s } + offset
    return math.max(0, at - os.time())
  end
  local total
  for amount, unit in text:gmatch("([%d.]+)(%a+)") do
    if not tonumber(amount) or not units[unit] then return nil end
    total = (total or 0) + tonumber(amount) * units[unit]
  end
  return total
end

local what = { limit = true, remaining = true, reset = true }

--- The rate limits that the headers tell: `requests_limit`, `requests_remaining`,
-- `requests_reset` (seconds from now), the same for `tokens`, `input_tokens`, `output_tokens`.
-- @tparam table headers
-- @treturn table|nil nil when there are none
local function rate_limit(headers)
  local found
  for name, value in pairs(headers) do
    local rest = name:match("ratelimit%-(.+)$")
    local first, second = (rest or ""):match("^([%a%-]-)%-?(%a+)$")
    local kind, subject = second, first
    if first and what[first:match("^%a+") or ""] then -- x-ratelimit-limit-requests
      kind, subject = rest:match("^(%a+)%-?(.*)$")
    end
    if kind and what[kind] then
      local number = kind == "reset" and seconds_of(value) or tonumber(value)
      subject = subject == "" and "requests" or subject:gsub("-", "_")
      found = found or {}
      found[subject .. "_" .. kind] = number
    end
  end
  return found
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

return { parse = parse, rate_limit = rate_limit, request_id = request_id, seconds_of = seconds_of }
