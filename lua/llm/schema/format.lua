--- Formats that are asserted when `formats = true`: those of 2020-12 but idn-hostname. Others are
-- annotations always.
-- @module llm.schema.format
local pattern = require "llm.schema.pattern"

local LONGEST = { address = 45, mailbox = 320, duration = 100 } -- longer ones would take long

local days = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

-- RFC 3339, section 5.6
local function is_date(text)
  local year, month, day = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)$")
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if not year or not days[month] or day < 1 or day > days[month] then return false end
  local is_leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return month ~= 2 or day < 29 or is_leap
end

local function offset_of(zone)
  if zone:find("^[Zz]$") then return 0 end
  local sign, hours, minutes = zone:match("^([+-])(%d%d):(%d%d)$")
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not sign or hours > 23 or minutes > 59 then return nil end
  return (sign == "+" and 1 or -1) * (hours * 60 + minutes)
end

local function is_time(text)
  local hour, minute, second, zone = text:match("^(%d%d):(%d%d):(%d%d)%.?%d*([Zz+-].*)$")
  if not hour or text:find(":%d%d%.[Zz+-]") then return false end
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  local offset = offset_of(zone)
  if not offset or hour > 23 or minute > 59 or second > 60 then return false end
  return second < 60 or (hour * 60 + minute - offset) % 1440 == 1439 -- a leap second
end

local function is_date_time(text)
  local date, time = text:match("^(.-)[Tt](.*)$")
  return date ~= nil and is_date(date) and is_time(time)
end

local function is_ipv4(text)
  local parts = { text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  for _, part in ipairs(parts) do
    if #part > 3 or tonumber(part) > 255 or part:find("^0%d") then return false end
  end
  return #parts == 4
end

-- Groups of a part of an address; nil when it is none.
local function count_groups(text)
  if text == "" then return 0 end
  local count = 0
  local head, tail = text:match("^(.-):?([^:]*%.[^:]*)$")
  if tail then
    if not is_ipv4(tail) then return nil end
    text, count = head, 2
    if text == "" then return count end
  end
  for group in (text .. ":"):gmatch("([^:]*):") do
    if not group:find("^%x%x?%x?%x?$") then return nil end
    count = count + 1
  end
  return count
end

local function is_ipv6(text)
  if #text > LONGEST.address then return false end
  local head, tail = text:match("^(.-)::(.*)$")
  if not head then return count_groups(text) == 8 end
  local before, after = count_groups(head), count_groups(tail)
  return before ~= nil and after ~= nil and not head:find(".", 1, true) and before + after <= 7
end

local hex = "%x"
local uuid = "^" .. hex:rep(8) .. "%-" .. (hex:rep(4) .. "%-"):rep(3) .. hex:rep(12) .. "$"

local function is_hostname(text)
  if #text > 253 then return false end
  for label in (text .. "."):gmatch("([^.]*)%.") do
    local is_label = label:find("^[%w-]+$") and not label:find("^%-") and not label:find("%-$")
    if not is_label or #label > 63 then return false end
  end
  return true
end

-- The mailbox, without its quotes if it has some, and the host.
local function split_address(text)
  if #text > LONGEST.mailbox then return nil end
  local quoted, host = text:match('^"(.*)"@([^%s@"]+)$')
  if quoted then
    local is_closed = quoted:gsub("\\.", ""):find('["\\%c]')
    return not is_closed and "quoted", host
  end
  return text:match("^([^%s@]+)@([^%s@]+)$")
end

local function is_email(text)
  local mailbox, host = split_address(text)
  if not mailbox or mailbox:find("^%.") or mailbox:find("%.$") or mailbox:find("..", 1, true) then
    return false
  end
  local literal = host:match("^%[(.*)%]$")
  if not literal then return is_hostname(host) end
  return is_ipv4(literal) or is_ipv6(literal:match("^IPv6:(.*)$") or "-")
end

local function is_idn_email(text) return (split_address(text)) end

-- RFC 3987: the characters, the escapes; RFC 3986 has no others than those of ASCII.
local function is_iri_reference(text)
  return not text:find("[^%w%-._~:/?#%[%]@!$&'()*+,;=%%\128-\255]") and
    not text:gsub("%%%x%x", ""):find("%%")
end

-- An address with colons stands in brackets.
local function has_host(text)
  local host = text:match("^%a[%w+.-]*://([^/?#]*)")
  return not host or not host:gsub("^.*@", ""):find("^[^%[]*:.*:")
end

local function is_iri(text)
  return text:find("^%a[%w+.-]*:") ~= nil and is_iri_reference(text) and has_host(text)
end

local function is_ascii(text) return not text:find("[\128-\255]") end

local function is_reference(text) return is_ascii(text) and is_iri_reference(text) end

local function is_uri(text) return is_ascii(text) and is_iri(text) end

-- RFC 6570
local function is_uri_template(text)
  return not text:gsub("{[+#./;?&=,!@|]?[%w_.,:*%%]+}", ""):find("[{}%s\"<>\\^`]")
end

-- Numbers with units that follow each other as they do in `units`.
local function is_run(text, units)
  local found = text:gsub("%d+(%a)", "%1")
  return text ~= "" and text:gsub("%d+%a", "") == "" and units:find(found, 1, true) ~= nil
end

-- RFC 3339, appendix A
local function is_duration(text)
  if #text > LONGEST.duration then return false end
  if text:find("^P%d+W$") then return true end
  local date, mark, time = text:match("^P([^T]*)(T?)(.*)$")
  if not date then return false end
  local is_timed = mark == "T"
  return (is_timed and date == "" or is_run(date, "YMD")) and (not is_timed or is_run(time, "HMS"))
end

-- RFC 6901
local function is_pointer(text)
  return (text == "" or text:sub(1, 1) == "/") and not text:gsub("~[01]", ""):find("~")
end

local function is_relative_pointer(text)
  local levels, rest = text:match("^(%d+)(.*)$")
  if not levels or levels:find("^0%d") then return false end
  rest = rest:gsub("^[+-]%d+", "")
  return rest == "#" or is_pointer(rest)
end

return {
  date = is_date, time = is_time, ["date-time"] = is_date_time, duration = is_duration,
  ipv4 = is_ipv4, ipv6 = is_ipv6, hostname = is_hostname, email = is_email,
  ["idn-email"] = is_idn_email, uri = is_uri, ["uri-reference"] = is_reference, iri = is_iri,
  ["iri-reference"] = is_iri_reference, ["uri-template"] = is_uri_template,
  ["json-pointer"] = is_pointer, ["relative-json-pointer"] = is_relative_pointer,
  regex = pattern.is_pattern, uuid = function(text) return text:find(uuid) ~= nil end,
}
