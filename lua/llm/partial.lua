--- Partial: reads JSON text piece by piece and has, at any time, the value as far as it came. Prose
-- before the first bracket is passed over; what is no JSON is begun anew at the next bracket. The
-- work is linear in the text: a long string is made anew only when it has grown by a share.
-- @module llm.partial
local json = require("llm.core").json

local decode, array_mt = json.decode, json.array_mt

local Partial = {}
Partial.__index = Partial

local DEPTH = 512
local SHARE = 32 -- a string that is still coming is shown when a 32nd has been added

--- @treturn Partial
local function new()
  return setmetatable({ state = "seek", stack = {}, depth = 0, pieces = {}, count = 0,
    length = 0, shown = 0, root = nil, key = nil, changed = false }, Partial)
end

-- Puts a value where one is due.
local function place(self, value)
  local top = self.stack[self.depth]
  if top == nil then
    self.root = value
  elseif self.key == nil then
    top[self.index or #top + 1] = value
  else
    top[self.key] = value
  end
  self.changed = true
end

local function restart(self)
  self.state, self.depth, self.root, self.key, self.index = "seek", 0, nil, nil, nil
end

local function after_value(self)
  self.key, self.index = nil, nil
  self.state = self.depth == 0 and "done" or "after"
end

local function open(self, container, state, at)
  if self.depth == DEPTH then
    restart(self)
    return at
  end
  place(self, container)
  self.depth = self.depth + 1
  self.stack[self.depth] = container
  self.key, self.index, self.state = nil, nil, state
  return at + 1
end

local function close(self, at)
  self.depth = self.depth - 1
  after_value(self)
  return at + 1
end

local function begin(self, state)
  self.state, self.count, self.length, self.shown = state, 0, 0, 0
end

local function keep(self, text)
  if text == "" then return end
  self.count, self.length = self.count + 1, self.length + #text
  self.pieces[self.count] = text
end

local function text_of(self) return table.concat(self.pieces, "", 1, self.count) end

-- Shows the string that is still coming; an escape that is not complete waits.
local function show(self)
  if self.length - self.shown < math.max(1, self.length / SHARE) then return end
  self.shown = self.length
  local top = self.stack[self.depth]
  if self.key == nil and not self.index then self.index = #top + 1 end
  place(self, decode('"' .. text_of(self) .. '"'))
end

local states = {}

function states:seek(text, at)
  at = text:find("[{%[]", at)
  if not at then return #text + 1 end
  self.state = "value"
  return at
end

function states:value(text, at)
  local byte = text:sub(at, at)
  if byte == "{" then return open(self, {}, "key", at) end
  if byte == "[" then return open(self, setmetatable({}, array_mt), "value", at) end
  if byte == '"' then
    begin(self, "string")
    return at + 1
  elseif byte == "]" and getmetatable(self.stack[self.depth]) == array_mt then
    return close(self, at)
  elseif byte:find("[%w-]") then
    begin(self, "literal")
    return at
  end
  restart(self)
  return at + 1
end

function states:key(text, at)
  local byte = text:sub(at, at)
  if byte == "}" then return close(self, at) end
  if byte == '"' then begin(self, "name") else restart(self) end
  return at + 1
end

function states:colon(text, at)
  if text:sub(at, at) == ":" then self.state = "value" else restart(self) end
  return at + 1
end

function states:after(text, at)
  local byte, is_array = text:sub(at, at), getmetatable(self.stack[self.depth]) == array_mt
  if byte == "," then
    self.state = is_array and "value" or "key"
    return at + 1
  end
  if byte == (is_array and "]" or "}") then return close(self, at) end
  restart(self)
  return at + 1
end

function states:literal(text, at)
  local stop = text:find("[^%w.+-]", at) or #text + 1
  keep(self, text:sub(at, stop - 1))
  if stop > #text then return stop end
  local value = decode(text_of(self))
  if value == nil then
    restart(self)
  else
    place(self, value)
    after_value(self)
  end
  return stop
end

-- A string or a name up to its quote or to an escape.
local function string_state(self, text, at)
  local stop = text:find('["\\]', at) or #text + 1
  keep(self, text:sub(at, stop - 1))
  if stop > #text then return stop end
  if text:sub(stop, stop) == "\\" then
    self.escape, self.outside, self.state = "", self.state, "escape"
    return stop
  end
  local value = decode('"' .. text_of(self) .. '"')
  if value == nil then
    restart(self)
  elseif self.state == "name" then
    self.key, self.state = value, "colon"
  else
    place(self, value)
    after_value(self)
  end
  return stop + 1
end
states.string, states.name = string_state, string_state

-- An escape is kept as a whole; of a surrogate pair both halves are one.
function states:escape(text, at)
  local escape = self.escape .. text:sub(at, at)
  self.escape = escape
  local is_pair = escape:find("^\\u[dD][89abAB]")
  local is_whole = #escape == 2 and escape ~= "\\u" or #escape == (is_pair and 12 or 6)
  if is_pair and #escape == 7 and text:sub(at, at) ~= "\\" then -- half a pair stands alone
    self.escape, is_whole, at = escape:sub(1, 6), true, at - 1
  end
  if is_whole then
    keep(self, self.escape)
    self.state = self.outside
  end
  return at + 1
end

function states.done(_, text) return #text + 1 end

local skips_blanks = { value = true, key = true, colon = true, after = true }

--- Takes a piece of text.
-- @tparam string text
-- @return the value as far as it came, or nil when this piece changed nothing. Tables are the same
-- ones from piece to piece: they grow.
function Partial:feed(text)
  local at = 1
  self.changed = false
  while at <= #text do
    if skips_blanks[self.state] then at = text:find("[^ \t\r\n]", at) or #text + 1 end
    if at > #text then break end
    at = states[self.state](self, text, at)
  end
  if self.state == "string" then show(self) end
  if self.changed then return self.root end
end

return { new = new }
