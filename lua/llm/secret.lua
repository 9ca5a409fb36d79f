--- Credentials: where they come from, and keeping them out of everything that is shown or stored.
-- @module llm.secret
local system = require("llm.core").system

local known = {} -- every form of every credential seen -> true
local SHORTEST = 6 -- shorter ones would mask ordinary words

local function percent(text)
  return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  return (text:gsub("..?.?", function(group)
    local a, b, c = group:byte(1, 3)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    local out = ""
    for i = 3, 0, -1 do
      local d = math.floor(n / 64 ^ i) % 64
      out = out .. digits:sub(d + 1, d + 1)
    end
    return out:sub(1, #group + 1) .. ("="):rep(3 - #group)
  end))
end

--- Remembers a credential, so that scrub masks it in plain, percent-encoded and base64 form.
-- @tparam string value
-- @treturn string the same value
local function remember(value)
  if #value >= SHORTEST and not known[value] then
    known[value] = true
    known[percent(value)] = true
    known[(base64(value):gsub("=+$", ""))] = true
  end
  return value
end

local function plain_replace(text, wanted)
  local from, to = text:find(wanted, 1, true)
  while from do
    text = text:sub(1, from - 1) .. "[redacted]" .. text:sub(to + 1)
    from, to = text:find(wanted, from + 10, true)
  end
  return text
end

--- Masks every known credential in a text.
-- @tparam string text
-- @treturn string
local function scrub(text)
  for value in pairs(known) do
    if text:find(value, 1, true) then text = plain_replace(text, value) end
  end
  return text
end

local function trim(text) return (text:gsub("^%s+", ""):gsub("%s+$", "")) end

local sources = {}

function sources.env(name)
  local value = os.getenv(name)
  if value and value ~= "" then return value end
  return nil, "the environment variable " .. name .. " is not set"
end

function sources.file(path)
  local file, message = io.open(path, "r")
  if not file then return nil, "cannot read the key file: " .. message end
  local value = trim(file:read(65536) or "")
  file:close()
  local mode = system.mode(path)
  if mode and mode % 64 > 0 then
    io.stderr:write("llmrun: warning: ", path, " is open to other users; chmod 600 it\n")
  end
  if value == "" then return nil, "the key file " .. path .. " is empty" end
  return value
end

function sources.cmd(command)
  local pipe, message = io.popen(command, "r")
  if not pipe then return nil, "cannot run the key command: " .. message end
  local value = trim(pipe:read("*a") or "")
  pipe:close()
  if value == "" then return nil, "the key command printed nothing" end
  return value
end

--- Resolves `env:NAME`, `file:PATH`, `cmd:COMMAND` or a literal key, and remembers the result.
-- @tparam string reference
-- @treturn string the credential
-- @treturn nil, message
local function resolve(reference)
  local scheme, rest = reference:match("^(%a+):(.*)$")
  local source = scheme and sources[scheme]
  if not source then return remember(reference) end
  local value, message = source(rest)
  if not value then return nil, message end
  return remember(value)
end

return { resolve = resolve, remember = remember, scrub = scrub, base64 = base64, percent = percent }
