--- Template: a prompt with fields. `{name}` stands for a field of a row or an argument, and nothing
-- else is special: braces that hold no name stay what they are, and what is filled in is never
-- looked at again. Lines that are just `system:`, `user:` or `assistant:` begin a message, so that
-- a file may hold a system prompt and examples.
-- @module llm.template
local options = require "llm.options"

local Template = {}
Template.__index = Template

local NAME = "{([%a_][%w_%-]*)}"
local roles = { ["system:"] = "system", ["user:"] = "user", ["assistant:"] = "assistant" }

local function trimmed(lines)
  local text = table.concat(lines, "\n"):gsub("^%s*\n", ""):gsub("%s+$", "")
  return text
end

-- The messages of a text: {role, content} each; a text without roles is the user's.
local function messages_of(text)
  local list, role, lines = {}, nil, {}
  local function close()
    local content = trimmed(lines)
    if content ~= "" or role then list[#list + 1] = { role = role or "user", content = content } end
    lines = {}
  end
  for line in (text:gsub("\r\n", "\n") .. "\n"):gmatch("(.-)\n") do
    local begins = roles[line:match("^(%l+:)%s*$")]
    if begins then
      close()
      role = begins
    else
      lines[#lines + 1] = line
    end
  end
  close()
  return list
end

local function names_of(messages)
  local names, seen = {}, {}
  for _, message in ipairs(messages) do
    for name in message.content:gmatch(NAME) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  return names
end

local function known_names(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names[1] and table.concat(names, ", ") or "none"
end

local function value_of(fields, name)
  local value = fields[name]
  if type(value) == "string" then return value end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  options.refuse("template", value == nil and ("there is no field %q; the fields are: %s"):format(
    name, known_names(fields)) or ("the field %q must be a text, not a %s"):format(name,
    type(value)))
end

--- Fills the fields in.
-- @tparam table fields name -> text, number or boolean
-- @treturn table messages
-- @raise invalid_request naming the field that is missing, and those that are there
-- @usage local messages = template:fill { city = "Oslo" }
function Template:fill(fields)
  local filled = {}
  for i, message in ipairs(self.messages) do
    filled[i] = { role = message.role, content = message.content:gsub(NAME, function(name)
      return value_of(fields, name)
    end) }
  end
  return filled
end

--- Makes a template.
-- @tparam string text
-- @treturn Template with `names` (of its fields), `messages` and `fill(fields)`
-- @raise invalid_request when nothing is asked
-- @usage local template = llm.template "system:\nBe brief.\nuser:\nWhat is {word}?"
local function new(text)
  if type(text) ~= "string" or not text:find("%S") then
    options.refuse("template", "expected a text that is not blank")
  end
  local messages = messages_of(text)
  for i, message in ipairs(messages) do
    if message.content == "" then
      options.refuse("template", ("message %d (%s:) is empty"):format(i, message.role))
    end
  end
  if messages[#messages].role ~= "user" then
    options.refuse("template", "the last message must be the user's")
  end
  return setmetatable({ messages = messages, names = names_of(messages) }, Template)
end

return { new = new }
