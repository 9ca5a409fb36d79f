--- Extract: the JSON values in a model's reply, which may stand in a fence of code or after prose.
-- @module llm.extract
local json = require("llm.core").json

local TIMES = 4 -- how often the length of a text is looked at for the ends of values
local MOST = 20 -- values

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
  local at = 1
  while at and #found < MOST do
    local fence = text:find("```", at, true)
    local body = fence and text:find("\n", fence, true)
    local last = body and text:find("```", body, true)
    local value = last and json.decode(text:sub(body + 1, last - 1))
    if value ~= nil and value ~= false then found[#found + 1] = value end
    at = last and last + 3
  end
end

local function from_prose(text, found)
  local at, left = text:find("[{%[]"), TIMES * #text
  while at and left > 0 and #found < MOST do
    local last, value = closing(text, at), nil
    if last then value = json.decode(text:sub(at, last)) end
    left = left - (last or #text) + at
    if value ~= nil then found[#found + 1] = value end
    at = text:find("[{%[]", value ~= nil and last + 1 or at + 1)
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
