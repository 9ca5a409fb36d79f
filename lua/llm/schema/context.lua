--- Context: one validation: the errors so far, and how much work it may still be. An error's path
-- is put together on the way back, so that a value that is valid pays nothing for it.
-- @module llm.schema.context
local uri = require "llm.schema.uri"

local Context = {}
Context.__index = Context

local ERRORS = 20        -- that are told
local DEPTH = 1000       -- levels of the schema that are open at once
local STEPS = 2000000    -- schemas applied: a second's work

local function new(resource)
  return setmetatable({
    errors = {}, count = 0, quiet = 0, depth = 0, steps = 0, scope = { resource },
    scope_count = 1, exhausted = nil,
  }, Context)
end

--- Records what is wrong, unless this is an attempt that may fail.
-- @treturn boolean false
function Context:fail(location, message, ...)
  if self.quiet == 0 and self.count < ERRORS then
    self.count = self.count + 1
    self.errors[self.count] = { message = select("#", ...) > 0 and message:format(...) or message,
      schema_path = location, path = {} }
  end
  return false
end

--- The errors after the first `before` are of a member.
-- @treturn number how many errors there are now
function Context:under(step, before)
  for i = before + 1, self.count do
    local path = self.errors[i].path
    path[#path + 1] = step
  end
  return self.count
end

--- Ends the validation: whatever comes is no answer.
-- @treturn boolean false
function Context:exhaust(message)
  self.exhausted = self.exhausted or message
  self.steps, self.quiet = STEPS, self.quiet + 1
  return false
end

--- Counts the levels of a reference. Undone by `leave`.
function Context:enter(levels)
  self.depth = self.depth + levels
  return self.depth <= DEPTH or self:exhaust("nested too deep, or a reference that leads to itself")
end

function Context:leave(levels) self.depth = self.depth - levels end

--- Whether there is work left.
function Context:step()
  self.steps = self.steps + 1
  return self.steps <= STEPS or self:exhaust("more work than a validation may be")
end

local function pointer(path)
  local out = {}
  for i = #path, 1, -1 do out[#out + 1] = "/" .. uri.escape(path[i]) end
  return table.concat(out)
end

local function to_text(self)
  return (self.path == "" and "the value" or self.path) .. " " .. self.message
end
local Problem = { __tostring = to_text }

local function before(a, b)
  if a.path ~= b.path then return a.path < b.path end
  if a.schema_path ~= b.schema_path then return a.schema_path < b.schema_path end
  return a.message < b.message
end

local Problems = {}

function Problems:__tostring()
  local out = {}
  for i, problem in ipairs(self) do out[i] = tostring(problem) end
  return table.concat(out, "; ")
end

--- The errors as they are given out: in the order of their paths.
-- @treturn table list of `path`, `schema_path`, `message`
function Context:problems()
  if self.exhausted then
    self.errors = { { path = {}, schema_path = "#", message = "could not be checked: " ..
      self.exhausted } }
  end
  for _, problem in ipairs(self.errors) do
    problem.path = pointer(problem.path)
    setmetatable(problem, Problem)
  end
  table.sort(self.errors, before)
  return setmetatable(self.errors, Problems)
end

--- Errors that are one and of the whole.
local function single(message)
  local problem = setmetatable({ path = "", schema_path = "#", message = message }, Problem)
  return setmetatable({ problem }, Problems)
end

return { new = new, single = single }
