--- Credentials: where they come from, and keeping them out of everything that is shown or stored.
-- @module llm.secret
local core = require "llm.core"

local known = {} -- every form of every credential seen, the longest first
local SHORTEST = 6 -- shorter ones would mask ordinary words

local function percent(text)
  return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- The longest first, since one may be a part of another.
local function add(form)
  local at = 1
  while known[at] and #known[at] >= #form do
    if known[at] == form then return end
    at = at + 1
  end
  table.insert(known, at, form)
end

--- Remembers a credential, so that scrub masks it in plain, percent-encoded and base64 form.
-- @tparam string value
-- @treturn string the same value
local function remember(value)
  if #value >= SHORTEST then
    add(value)
    add(percent(value))
    add((core.base64.encode(value):gsub("=+$", "")))
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
  for _, form in ipairs(known) do
    if text:find(form, 1, true) then text = plain_replace(text, form) end
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
  if value == "" then return nil, "the key file " .. path .. " is empty" end
  local mode = core.system.mode(path)
  if mode and mode % 64 > 0 then
    io.stderr:write("llmrun: warning: ", path, " is open to other users; chmod 600 it\n")
  end
  return value
end

function sources.cmd(command)
  local pipe, message = io.popen(command, "r")
  if not pipe then return nil, "cannot run the key command: " .. message end
  local value = trim(pipe:read("*a") or "")
  if not pipe:close() then return nil, "the key command failed" end
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

return { resolve = resolve, remember = remember, scrub = scrub, percent = percent }
