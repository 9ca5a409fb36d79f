--- Extract: the JSON values in a model's reply, which may stand in a fence of code or after prose.
-- @module llm.extract
local json = require("llm.core").json

local STARTS = 20 -- places where a value may begin that are tried

-- The end of what the bracket at `at` opens; nil when it is not closed.
local function closing(text, at)
  local depth = 0
  while true do
    at = text:find('[%[%]{}"]', at)
    if not at then return nil end
    local byte = text:sub(at, at)
    if byte == '"' then
      repeat
        at = text:find('["\\]', at + 1)
        if not at then return nil end
        local is_escape = text:sub(at, at) == "\\"
        if is_escape then at = at + 1 end
      until not is_escape
    else
      depth = depth + ((byte == "{" or byte == "[") and 1 or -1)
      if depth == 0 then return at end
    end
    at = at + 1
  end
end

local function from_fences(text, found)
  for body in text:gmatch("```[^\n]*\n(.-)\n?[ \t]*```") do
    local value = json.decode(body)
    if value ~= nil then found[#found + 1] = value end
  end
end

local function from_prose(text, found)
  local at = 1
  for _ = 1, STARTS do
    at = text:find("[{%[]", at)
    local last = at and closing(text, at)
    local value = last and json.decode(text:sub(at, last))
    if not at then return end
    if value ~= nil then found[#found + 1] = value end
    at = value ~= nil and last + 1 or at + 1
  end
end

--- The values that a text holds, the likeliest first.
-- @tparam string text
-- @treturn table list, empty when there is none
-- @treturn string why the text as a whole is no JSON
local function values(text)
  local whole, problem = json.decode(text)
  if whole ~= nil then return { whole } end
  local found = {}
  from_fences(text, found)
  from_prose(text, found)
  return found, problem
end

return { values = values }
