--- References between schemas: resolving them (RFC 3986, section 5.2) and reading their fragments.
-- @module llm.schema.uri

local function split(text)
  local rest, fragment = text:match("^([^#]*)#?(.*)$")
  local scheme, query
  scheme, rest = rest:match("^(%a[%w+.-]*:)(.*)$")
  if not scheme then scheme, rest = "", text:match("^[^#]*") end
  local path_and_authority, found = rest:match("^([^?]*)(%??.*)$")
  query = found
  local authority, path = path_and_authority:match("^(//[^/]*)(.*)$")
  return { scheme = scheme, authority = authority or "", path = path or path_and_authority,
    query = query, fragment = fragment }
end

local function remove_dots(path)
  local out = {}
  for slash, segment in path:gmatch("(/?)([^/]*)") do
    if segment == ".." then
      if #out > 1 or out[1] and out[1] ~= "/" then table.remove(out) end
    elseif segment ~= "." and (slash ~= "" or segment ~= "") then
      out[#out + 1] = slash .. segment
    end
  end
  if path:find("/%.%.?$") then out[#out + 1] = "/" end
  return table.concat(out)
end

local function merge(base, path)
  if path:find("^/") then return remove_dots(path) end
  local folder = base.path:match("^(.*/)") or base.authority ~= "" and "/" or ""
  return remove_dots(folder .. path)
end

--- The absolute form of a reference.
-- @tparam string base an address without a fragment; may be empty
-- @tparam string reference
-- @treturn string address without its fragment
-- @treturn string fragment, "" when there is none
local function resolve(base, reference)
  local to = split(reference)
  if to.scheme == "" then
    local from = split(base)
    to.scheme = from.scheme
    if to.authority == "" then
      to.authority = from.authority
      if to.path == "" then
        to.path = from.path
        if to.query == "" then to.query = from.query end
      else
        to.path = merge(from, to.path)
      end
    end
  end
  return to.scheme .. to.authority .. to.path .. to.query, to.fragment
end

--- The text of a percent-encoded fragment.
local function decode(fragment)
  return (fragment:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- The steps of a JSON Pointer (RFC 6901).
-- @tparam string pointer "" or "/…"
-- @return an iterator over its steps
local function steps(pointer)
  local next_step = pointer:gmatch("/([^/]*)")
  return function()
    local step = next_step()
    return step and (step:gsub("~1", "/"):gsub("~0", "~"))
  end
end

--- A step as it stands in a JSON Pointer.
local function escape(step) return (tostring(step):gsub("~", "~0"):gsub("/", "~1")) end

return { resolve = resolve, decode = decode, steps = steps, escape = escape }
