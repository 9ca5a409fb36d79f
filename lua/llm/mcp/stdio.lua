--- Stdio: MCP messages as lines, with a server that we started.
-- @module llm.mcp.stdio
local errors = require "llm.error"
local lines = require "llm.lines"
local log = require "llm.log"
local process = require "llm.process"
local task = require "llm.task"
local time = require "llm.time"

local Stdio = { politeness = 2 } -- seconds that it may take to end, once asked
Stdio.__index = Stdio

local TAIL = 4096    -- bytes of its last error lines that are kept for a message
local GRACE = 0.3    -- seconds between the end of its output and its own
local SIGTERM = 15

--- Starts a server.
-- @tparam string name for messages
-- @tparam table words
-- @tparam table opts `env`, `cwd`
-- @treturn Stdio
-- @treturn nil, err
local function start(name, words, opts)
  local child, err = process.start(words, { env = opts.env, cwd = opts.cwd, stderr = "capture" })
  if not child then return nil, err end
  return setmetatable({ child = child, name = name, lines = lines.new(child), said = "" }, Stdio)
end

-- One piece of its error output: shown when debugging, kept for when it dies.
local function hear(self)
  local bytes = self.child:read("stderr")
  if not bytes or bytes == "" then return false end
  for line in bytes:gmatch("[^\n]+") do log.write("debug", self.name, line) end
  self.said = (self.said .. bytes):sub(-TAIL)
  return true
end

-- Why nothing more will come; nil while that is not certain.
local function death_of(self)
  local how, number = self.child:status()
  self.ended_at = self.ended_at or time.clock()
  if not how and time.clock() < self.ended_at + GRACE then return nil end
  for _ = 1, 64 do if not hear(self) then break end end
  local what = how == "exit" and "ended with exit code " .. number
    or how == "signal" and "was ended by signal " .. number or "closed its output"
  local said = self.said:gsub("%s+$", ""):match("[^\n]*\n?[^\n]*\n?[^\n]*$")
  return errors.new("provider_unavailable", ("the MCP server %s %s%s"):format(self.name, what,
    said ~= "" and "; it said: " .. said or ""), { provider = self.name, retryable = false })
end

function Stdio:send(text)
  if self.err then return nil, self.err end
  local ok, problem = self.lines:send(text)
  if ok or self.lines.backlog == 0 then return true end -- of one that is about to end pump tells
  return nil, errors.new("provider_unavailable", ("the MCP server %s has a problem: %s"):format(
    self.name, problem), { provider = self.name, retryable = false })
end

--- Moves what can be moved.
function Stdio:pump(_, receive)
  if self.err then return nil, self.err end
  self.lines:flush()
  local heard = hear(self)
  local state, problem = self.lines:receive(receive)
  if not state then
    self.err = errors.new("protocol", ("the MCP server %s sent %s"):format(self.name, problem),
      { provider = self.name })
    self.child:kill(SIGTERM)
  elseif state == "end" or state == "wait" and self.child:status() then
    self.err = death_of(self)
  end
  self.wake_at = (heard or state == "more") and 0 or self.ended_at and self.ended_at + GRACE
  if self.err then return nil, self.err end
  return true
end

-- All requests wait for the one child; the earliest deadline wakes all of them.
function Stdio:park(entry)
  local at = self.wake_at or math.huge
  entry.parked = self.child:id()
  for _, other in pairs(entry.peer.pending) do
    if other.deadline and other.deadline < at then at = other.deadline end
  end
  self.child:wake_at(at)
  task.wait(self.child:id())
end

function Stdio:begin() end -- luacheck: ignore (there is but one way)

function Stdio:hears() return true end -- luacheck: ignore

local function has_ended(self, seconds)
  local deadline = time.clock() + seconds
  while not self.child:status() do
    if time.clock() >= deadline then return false end
    local heard, bytes = hear(self), self.child:read()
    self.child:wake_at((heard or bytes and bytes ~= "") and 0 or deadline)
    task.wait(self.child:id())
  end
  return true
end

--- Lets the server end by itself, then asks it to, then makes it.
function Stdio:close()
  self.err = self.err or errors.new("cancelled", "the MCP session is closed")
  self.lines:flush()
  self.child:finish()
  if not has_ended(self, self.politeness) then
    self.child:kill(SIGTERM)
    has_ended(self, self.politeness)
  end
  self.child:close()
end

return { start = start }
