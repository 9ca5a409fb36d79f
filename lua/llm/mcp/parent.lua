--- Parent: MCP messages as lines, with what started us. Until it is closed standard output is the
-- protocol's: what is printed goes to standard error.
-- @module llm.mcp.parent
local core = require "llm.core"
local errors = require "llm.error"
local lines = require "llm.lines"
local task = require "llm.task"

local Parent = {}
Parent.__index = Parent

--- @treturn Parent
-- @treturn nil, err
local function new()
  io.stdout:flush()
  local child, message = core.process.parent(task.loop())
  if not child then return nil, errors.new("invalid_request", message) end
  io.stdout:setvbuf("line")
  return setmetatable({ child = child, lines = lines.new(child) }, Parent)
end

function Parent:send(text) return self.lines:send(text) end

--- Moves what can be moved; nil after the last message, or when nobody reads ours.
function Parent:pump(_, receive)
  if not self.lines:flush() then return nil end
  self.state = self.lines:receive(receive)
  return self.state == "more" or self.state == "wait" or nil
end

function Parent:park()
  self.child:wake_at(self.state == "more" and 0 or math.huge)
  task.wait(self.child:id())
end

--- Waits until all is written, as long as somebody reads.
function Parent:drain()
  while self.lines:flush() and self.lines.backlog > 0 do task.wait(self.child:id()) end
end

--- Standard output is the script's again.
function Parent:close()
  io.stdout:flush()
  self.child:close()
end

return { new = new }
