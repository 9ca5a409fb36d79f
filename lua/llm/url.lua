--- Base URLs: checked once, where they enter.
-- @module llm.url

local LONGEST = 2048
local ports = { http = 80, https = 443 }

local function split_host(authority)
  local host, port = authority:match("^(%[[%x:.]+%])$"), nil
  if not host then host, port = authority:match("^(%[[%x:.]+%]):(%d+)$") end
  if not host then host, port = authority:match("^([%w%-._]+):(%d+)$") end
  if not host then host = authority:match("^[%w%-._]+$") end
  return host, port
end

--- Takes an http or https URL apart.
-- @tparam string text
-- @treturn table `scheme, host, port, path, origin, is_loopback`
-- @treturn nil, message what is wrong with it
local function parse(text)
  if #text > LONGEST then return nil, "the URL is longer than 2048 bytes" end
  if text:find("[%s%c]") then return nil, "the URL has a blank or a control character" end
  local scheme, authority, path = text:match("^(%a[%w+.-]*)://([^/?#]*)(.*)$")
  if not scheme then return nil, "the URL must begin with https:// or http://" end
  scheme = scheme:lower()
  if not ports[scheme] then return nil, "the URL's scheme must be http or https, not " .. scheme end
  if authority:find("@", 1, true) then
    return nil, "the URL must not hold a user name or password; give the key as api_key"
  end
  local host, port = split_host(authority)
  if not host then return nil, "the URL's host is not valid" end
  port = port and tonumber(port) or ports[scheme]
  if port < 1 or port > 65535 then return nil, "the URL's port must be 1 to 65535" end
  host = host:lower()
  return {
    scheme = scheme, host = host, port = port, path = path,
    origin = scheme .. "://" .. host .. ":" .. port,
    is_loopback = host == "localhost" or host == "[::1]" or
      host:find("^127%.%d+%.%d+%.%d+$") ~= nil,
  }
end

--- The absolute form of a Location header.
-- @tparam table base a parsed URL
-- @tparam string location
-- @treturn table the parsed target
-- @treturn nil, message
local function resolve(base, location)
  local root = base.scheme .. "://" .. base.host .. ":" .. base.port
  if location:find("^//") then
    location = base.scheme .. ":" .. location
  elseif location:find("^/") then
    location = root .. location
  elseif not location:find("^%a[%w+.-]*:") then
    location = root .. base.path:gsub("[?#].*", ""):gsub("[^/]*$", "") .. location
  end
  return parse(location)
end

--- One path segment, percent-encoded, so that a model's name cannot change the path.
-- @tparam string text
-- @treturn string
-- @treturn nil, message for `.` and `..`
local function segment(text)
  if text == "." or text == ".." or text == "" then
    return nil, ("%q cannot be part of a URL path"):format(text)
  end
  return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

return { parse = parse, resolve = resolve, segment = segment }
