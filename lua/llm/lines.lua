--- Lines: messages of one line each, exchanged with another program: a child, or what started us.
-- Nothing here waits.
-- @module llm.lines

local Lines = {}
Lines.__index = Lines

local LONGEST = 32 * 1024 * 1024 -- bytes of a line, and of all that waits to be written

--- @tparam Child child see core/lua/process.c
-- @treturn Lines
local function new(child)
  return setmetatable({ child = child, queue = {}, first = 1, last = 0, from = 1, backlog = 0,
    parts = {}, length = 0 }, Lines)
end

local function take_all(self)
  while self.first <= self.last do
    local text = self.queue[self.first]
    local taken = self.child:write(text, self.from)
    if not taken then return nil, "it reads no more" end
    self.from, self.backlog = self.from + taken, self.backlog - taken
    if self.from <= #text then return true end
    self.queue[self.first] = nil
    self.first, self.from = self.first + 1, 1
  end
  return true
end

--- Writes what is queued as far as the other side takes it; call it when the child is ready.
-- @treturn true
-- @treturn nil, message
function Lines:flush()
  local ok, message = take_all(self)
  if not ok then self.queue, self.first, self.last, self.backlog = {}, 1, 0, 0 end
  return ok, message
end

--- Queues a line and writes what goes at once.
-- @tparam string line without its end
-- @treturn true
-- @treturn nil, message
function Lines:send(line)
  if self.backlog + #line > LONGEST then return nil, "it does not read what it is sent" end
  self.last = self.last + 1
  self.queue[self.last] = line .. "\n"
  self.backlog = self.backlog + #line + 1
  return self:flush()
end

local function keep(self, part)
  self.parts[#self.parts + 1], self.length = part, self.length + #part
  return self.length <= LONGEST
end

local function line_of(self)
  local line = table.concat(self.parts)
  self.parts, self.length = {}, 0
  return line
end

--- Reads once and hands over the lines that are complete.
-- @tparam function handle `handle(line)`; must not wait
-- @treturn string `more` when it is worth to call again now, `wait`, or `end` after the last line
-- @treturn nil, message when a line is too long
function Lines:receive(handle)
  local bytes = self.child:read()
  if not bytes then
    if self.length > 0 then handle(line_of(self)) end
    return "end"
  end
  local at, stop = 1, bytes:find("\n", 1, true)
  while stop and keep(self, bytes:sub(at, stop - 1)) do
    handle(line_of(self))
    at = stop + 1
    stop = bytes:find("\n", at, true)
  end
  if not keep(self, bytes:sub(at)) then return nil, "a line of more than 32 MiB" end
  return bytes == "" and "wait" or "more"
end

return { new = new }
