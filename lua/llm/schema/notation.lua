--- The short notation: `"mood: good|bad, score: number 0..1, why"` is an object of three members.
--     fields  = field {(","|";"|newline) field}
--     field   = name ["?"] [":" type] ['"' description '"']
--     type    = choice {"|" choice}          literals make an enum, types a union
--     choice  = (word [range] | "{" fields "}" | "(" type ")" | number | '"' text '"')
--               {"[" [range] "]"}                    a list of them, of so many items
--     range   = number | [number] ".." [number]
-- Words: string integer number boolean null any object; any other word is a literal of an enum.
-- @module llm.schema.notation
local json = require("llm.core").json
local options = require "llm.options"

local null, array_mt = json.null, json.array_mt
local types = { string = true, integer = true, number = true, boolean = true, null = true,
  any = true, object = true }
local ranges = { string = { "minLength", "maxLength" }, integer = { "minimum", "maximum" },
  number = { "minimum", "maximum" }, array = { "minItems", "maxItems" } }

local DEPTH = 50
local NAME, NUMBER = "^[%a_\128-\255][%w_$\128-\255-]*", "^%-?%d+%.?%d*"

local function list(items) return setmetatable(items or {}, array_mt) end

local function fail(self, wanted, at)
  at = at or self.at
  local found = self.text:match("^[%w_]+", at) or self.text:match("^[^\128-\191][\128-\191]*", at)
  options.refuse("schema notation", ("expected %s at character %d, found %s"):format(
    wanted, at, found and ("%q"):format(found) or "the end"))
end

local function skip(self, class)
  self.at = self.text:find(class or "[^ \t\r\n]", self.at) or #self.text + 1
end

-- The text that matches at this place, passed over with the blanks behind it (not the line's end).
local function take(self, pattern)
  local first, last = self.text:find(pattern, self.at)
  if not first then return nil end
  self.at = last + 1
  skip(self, "[^ \t\r]")
  return self.text:sub(first, last)
end

local function take_text(self)
  local start = self.at
  if not take(self, '^"') then return nil end
  self.at = start + 1
  local out = {}
  while true do
    local plain, stop = self.text:match('^([^"\\]*)(["\\]?)', self.at)
    out[#out + 1], self.at = plain, self.at + #plain + 1
    if stop == "" then fail(self, "a closing quote", #self.text + 1) end
    if stop == '"' then break end
    out[#out + 1], self.at = self.text:sub(self.at, self.at), self.at + 1
  end
  skip(self, "[^ \t\r]")
  return table.concat(out)
end

local function take_range(self)
  local start = self.at
  local whole = take(self, "^%-?%d+%.%d+") or take(self, "^%-?%d+")
  if not take(self, "^%.%.") then
    if whole then return tonumber(whole), tonumber(whole), start end
    return nil
  end
  local high = take(self, "^%-?%d+%.%d+") or take(self, "^%-?%d+")
  if not whole and not high then fail(self, "a number", start) end
  return tonumber(whole), tonumber(high), start
end

local function set_range(self, schema, kind)
  local low, high, start = take_range(self)
  local names = ranges[kind]
  if not start then return end
  if not names then fail(self, "no range after " .. kind, start) end
  if low and high and low > high then fail(self, "a range that begins below its end", start) end
  schema[names[1]], schema[names[2]] = low, high
end

local parse_fields, parse_type

local function nest(self, parse, closing)
  self.depth = self.depth + 1
  if self.depth > DEPTH then fail(self, "no more than " .. DEPTH .. " levels") end
  local schema = parse(self)
  self.depth = self.depth - 1
  skip(self)
  if not take(self, closing) then fail(self, '"' .. closing:sub(-1) .. '"') end
  return schema
end

local function parse_word(self)
  local word = take(self, NAME)
  if not word then return nil end
  if word == "true" or word == "false" then return { const = word == "true" } end
  if not types[word] then return { const = word } end
  local schema = { type = word ~= "any" and word or nil }
  if ranges[word] or self.text:find("^%.%.", self.at) then set_range(self, schema, word) end
  return schema
end

-- The type is said as well where it is one: some providers want it.
local function enum_of(values)
  local all_texts = true
  for i = 1, #values do all_texts = all_texts and type(values[i]) == "string" end
  return { type = all_texts and "string" or nil, enum = values }
end

local function parse_choice(self)
  local schema
  if take(self, "^{") then
    schema = nest(self, parse_fields, "^}")
  elseif take(self, "^%(") then
    schema = nest(self, parse_type, "^%)")
  else
    schema = parse_word(self)
    local number = not schema and take(self, NUMBER)
    if number then schema = { const = tonumber(number) } end
    local text = not schema and take_text(self)
    if text then schema = { const = text } end
  end
  if not schema then fail(self, "a type") end
  while take(self, "^%[") do
    if schema.const ~= nil then schema = enum_of(list { schema.const }) end
    schema = { type = "array", items = schema }
    set_range(self, schema, "array")
    if not take(self, "^%]") then fail(self, '"]"') end
  end
  return schema
end

-- Literals, perhaps with null, are an enum; anything else is a union.
local function join(choices)
  local values, all_literal = list(), true
  for i, choice in ipairs(choices) do
    values[i] = choice.type == "null" and null or choice.const
    all_literal = all_literal and values[i] ~= nil
  end
  if all_literal then return enum_of(values) end
  for i, choice in ipairs(choices) do
    if choice.const ~= nil then choices[i] = enum_of(list { choice.const }) end
  end
  return { anyOf = list(choices) }
end

function parse_type(self)
  skip(self)
  local choices = {}
  repeat
    choices[#choices + 1] = parse_choice(self)
  until not take(self, "^|")
  if #choices == 1 and choices[1].const == nil then return choices[1] end
  return join(choices)
end

local function parse_field(self, schema)
  local start = self.at
  local name = take(self, NAME) or take_text(self)
  if not name then fail(self, "a name") end
  if schema.properties[name] then fail(self, "another name, this one is taken", start) end
  local is_optional, child = take(self, "^%?"), { type = "string" }
  if take(self, "^:") then child = parse_type(self) end
  child.description = take_text(self)
  schema.properties[name] = child
  if not is_optional then schema.required[#schema.required + 1] = name end
end

function parse_fields(self)
  local schema = { type = "object", properties = {}, required = list(),
    additionalProperties = false }
  repeat
    skip(self, "[^ \t\r\n,;]")
    local ends = self.at > #self.text or self.text:find("^[})%]]", self.at)
    if not ends then parse_field(self, schema) end
  until ends or not take(self, "^[,;\n]")
  return schema
end

--- The JSON Schema that a text in the short notation stands for. All members are required and
-- others are not allowed, unless the text says otherwise.
-- @tparam string text
-- @treturn table schema; raises invalid_request with the place of what is wrong
-- @usage local schema = llm.schema.parse 'mood: good|bad|null, tags: string[1..5], note? "why"'
local function parse(text)
  local self = { text = text, at = 1, depth = 0 }
  skip(self)
  local schema = text:find("^[{(]", self.at) and parse_type(self) or parse_fields(self)
  skip(self)
  if self.at <= #text then fail(self, "a comma or the end") end
  if schema.properties and not next(schema.properties) then fail(self, "a name") end
  return schema
end

return { parse = parse }
