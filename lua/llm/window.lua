--- Window: sums of the last so many seconds; it slides in twelve steps.
-- @module llm.window
local time = require "llm.time"

local STEPS = 12

local Window = {}
Window.__index = Window

-- The step of now; those that have left the window are dropped.
local function step_of(self)
  local number = math.floor(time.clock() / (self.seconds / STEPS))
  if self.newest ~= number then
    for old in pairs(self.steps) do if old <= number - STEPS then self.steps[old] = nil end end
    self.newest, self.steps[number] = number, self.steps[number] or {}
  end
  return self.steps[number]
end

--- Adds to a sum.
-- @tparam string name
-- @tparam number amount
function Window:add(name, amount)
  local step = step_of(self)
  step[name] = (step[name] or 0) + amount
end

--- A sum of the window that ends now.
-- @tparam string name
-- @treturn number
function Window:sum(name)
  step_of(self)
  local sum = 0
  for _, step in pairs(self.steps) do sum = sum + (step[name] or 0) end
  return sum
end

--- Makes a window.
-- @tparam number seconds
-- @treturn Window
-- @usage local w = window.new(60); w:add("requests", 1); print(w:sum "requests")
local function new(seconds) return setmetatable({ seconds = seconds, steps = {} }, Window) end

return { new = new }
