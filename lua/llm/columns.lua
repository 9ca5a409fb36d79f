--- Columns: texts that grow side by side on a terminal. Rows that every column has filled are final
-- and scroll away; those below them are drawn anew as the texts grow.
-- @module llm.columns
local core = require "llm.core"

local system, clock = core.system, core.loop.clock
local GAP, NARROWEST, INTERVAL = 3, 16, 0.03 -- columns, columns, seconds between two drawings

local Columns = {}
Columns.__index = Columns

local function characters(text) return text:gmatch("[%z\1-\127\192-\255][\128-\191]*") end

-- The longest beginning of the text that the width holds, cut between words where there is one, and
-- the rest; nil when all of it fits.
local function wrap(text, width)
  local used, at, space = 0, 0, nil
  for character in characters(text) do
    used = used + system.width(character)
    if used > width and at > 0 then
      local cut = space or at
      return text:sub(1, cut), (text:sub(cut + 1):gsub("^ ", ""))
    end
    at = at + #character
    if character == " " then space = at end
  end
end

local function padded(text, width) return text .. (" "):rep(width - system.width(text)) end

-- Moves what makes whole lines from the open end of a column to its lines.
local function settle(column, width)
  while true do
    local line, rest = column.open:match("^([^\n]*)\n(.*)$")
    local wrapped, more = wrap(line or column.open, width)
    if wrapped then
      line, rest = wrapped, more .. (line and "\n" .. rest or "")
    end
    if not line then return end
    column.lines[#column.lines + 1] = line
    column.open = rest
  end
end

local function line_of(column, row)
  return column.lines[row] or row == #column.lines + 1 and column.open or ""
end

local function row_of(self, row)
  local cells = {}
  for i, column in ipairs(self) do
    cells[i] = padded(line_of(column, row):gsub(" +$", ""), self.width)
  end
  return (table.concat(cells, (" "):rep(GAP)):gsub(" +$", ""))
end

-- How many rows will not change any more, and how many there are.
local function extent(self)
  local final, all = math.huge, 0
  for _, column in ipairs(self) do
    local count = #column.lines + (column.open ~= "" and 1 or 0)
    all = math.max(all, count)
    if not column.over then final = math.min(final, #column.lines) end
  end
  return math.min(final, all), all
end

local function draw(self)
  local final, all = extent(self)
  local out = { self.live > 0 and ("\27[%dA"):format(self.live) or "" }
  local last = math.min(all, final + self.height)
  for row = self.final + 1, last do out[#out + 1] = "\27[K" .. row_of(self, row) .. "\n" end
  out[#out + 1] = "\27[J"
  self.final, self.live, self.drawn = final, last - final, clock()
  io.stdout:write(table.concat(out))
  io.stdout:flush()
end

--- More text for a column.
-- @tparam number i
-- @tparam string text what a terminal would obey in it is shown instead
function Columns:add(i, text)
  local column = self[i]
  column.open = column.open .. system.neutralise(text):gsub("\t", "  ")
  settle(column, self.width)
  if clock() - self.drawn >= INTERVAL then draw(self) end
end

--- A column is complete.
-- @tparam number i
function Columns:finish(i)
  self[i].over = true
  draw(self)
end

--- Begins columns on standard output.
-- @tparam table titles
-- @treturn Columns|nil nil when it is no terminal, or too narrow for so many
-- @usage local columns = llm.columns { "a", "b" }; columns:add(1, "text"); columns:finish(1)
local function new(titles)
  local room, height = system.columns()
  local width = math.floor((room - GAP * (#titles - 1)) / #titles)
  if not system.isatty(1) or width < NARROWEST then return nil end
  local self = setmetatable({ width = width, height = height - 2, final = 0, live = 0,
    drawn = -1 }, Columns)
  for i = 1, #titles do self[i] = { lines = {}, open = "", over = false } end
  for i, title in ipairs(titles) do self:add(i, title .. "\n" .. ("─"):rep(width) .. "\n") end
  draw(self)
  return self
end

return { new = new }
