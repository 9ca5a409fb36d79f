--- A key that must not be seen again: everything a user may get to see is shown to it, and at the
-- end no part of the key may be in there, plain, percent-encoded or in base64.
local core = require "llm.core"
local secret = require "llm.secret"

local canary = { key = "sk-canary-7f3a+9/x=" }

-- The part of a base64 text that does not depend on what stands beside it, at each alignment.
local function base64_forms(text)
  local forms = {}
  for offset = 0, 2 do
    local encoded = core.base64.encode(("x"):rep(offset) .. text):gsub("=+$", "")
    forms[#forms + 1] = encoded:sub(math.ceil(offset * 4 / 3) + 1, -2)
  end
  return forms
end

local forms = base64_forms(canary.key)
forms[#forms + 1] = "canary-7f3a"
forms[#forms + 1] = secret.percent(canary.key)

local function dump(value, into, seen)
  if type(value) ~= "table" then
    into[#into + 1] = tostring(value)
  elseif not seen[value] then
    seen[value] = true
    into[#into + 1] = tostring(value)
    for key, field in pairs(value) do
      dump(key, into, seen)
      dump(field, into, seen)
    end
  end
end

--- Notes a value and all that can be reached from it.
function canary:show(...)
  for i = 1, select("#", ...) do dump((select(i, ...)), self, {}) end
end

--- What of the key was shown: nil, or the text it was found in.
-- @treturn nil|string
function canary:found()
  local text = table.concat(self, "\n")
  for _, form in ipairs(forms) do
    local at = text:find(form, 1, true)
    if at then return text:sub(math.max(1, at - 80), at + 80) end
  end
end

--- Everything that is logged is shown, too.
function canary:listen()
  require("llm.log").configure("debug", function(...) self:show(...) end)
end

return canary
