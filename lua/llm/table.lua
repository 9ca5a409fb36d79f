--- Tables: rows for people on a terminal, for programs in a pipe.
-- @module llm.table
local core = require "llm.core"
local output = require "llm.output"

local system = core.system

local GAP, NARROWEST = 2, 12 -- columns between two cells; what is left of a text that is cut

-- A row is one line, whatever its texts hold.
local function one_line(value) return (tostring(value):gsub("%c+", " ")) end

local function dollars(usd)
  return "$" .. ("%.9f"):format(usd):gsub("^(%d+%.%d%d.-)0+$", "%1")
end

-- A cell as people read it.
local function shown(value, column)
  if value == nil then return "" end
  if type(value) ~= "number" then return system.neutralise(one_line(value)) end
  return column.usd and dollars(value) or ("%.14g"):format(value)
end

local function characters(text) return text:gmatch("[%z\1-\127\192-\255][\128-\191]*") end

-- The text in exactly so many columns.
local function fitted(text, width, is_right)
  local missing = width - system.width(text)
  if missing < 0 then
    local kept, left = {}, width - 1
    for character in characters(text) do
      left = left - system.width(character)
      if left < 0 then break end
      kept[#kept + 1] = character
    end
    text = table.concat(kept) .. "…"
    missing = width - system.width(text)
  end
  local blanks = (" "):rep(missing)
  return is_right and blanks .. text or text .. blanks
end

local function natural_widths(lines, count)
  local widths = {}
  for i = 1, count do
    widths[i] = 0
    for _, line in ipairs(lines) do widths[i] = math.max(widths[i], system.width(line[i])) end
  end
  return widths
end

-- The last of the first n columns that may be cut.
local function flexible_of(columns, n)
  for i = n, 1, -1 do
    if columns[i].cut then return i end
  end
end

-- How many columns the room has, from the left; one that may be cut is made to fit in widths.
local function fit(columns, widths, room)
  local total = -GAP
  for _, width in ipairs(widths) do total = total + GAP + width end
  for n = #columns, 1, -1 do
    if total <= room then return n end
    local flexible = flexible_of(columns, n)
    local left = flexible and widths[flexible] - (total - room) or 0
    if left >= NARROWEST then
      widths[flexible] = left
      return n
    end
    total = total - GAP - widths[n]
  end
  widths[1] = math.min(widths[1], room)
  return 1
end

local function write_for_people(rows, columns)
  local lines, is_number = { {} }, {}
  for i, column in ipairs(columns) do lines[1][i] = column.title or column[1] end
  for _, row in ipairs(rows) do
    local line = {}
    for i, column in ipairs(columns) do
      local value = row[column[1]]
      line[i] = shown(value, column)
      is_number[i] = is_number[i] or type(value) == "number"
    end
    lines[#lines + 1] = line
  end
  local widths = natural_widths(lines, #columns)
  local count = fit(columns, widths, system.columns())
  for _, line in ipairs(lines) do
    local cells = {}
    for i = 1, count do cells[i] = fitted(line[i], widths[i], is_number[i]) end
    output.write((table.concat(cells, (" "):rep(GAP)):gsub(" +$", "")), "\n")
  end
end

local function write_for_programs(rows, columns)
  for _, row in ipairs(rows) do
    local cells = {}
    for i, column in ipairs(columns) do
      local value = row[column[1]]
      if type(value) == "number" then value = ("%.14g"):format(value) end
      cells[i] = value == nil and "" or one_line(value)
    end
    output.write(table.concat(cells, "\t"), "\n")
  end
end

--- Writes rows to standard output: aligned, with titles and as wide as the terminal; in a pipe one
-- row a line with tabs between the cells and no titles; or as a JSON list of whole rows.
-- @tparam table rows list of tables: name of the column -> text, number or nil
-- @tparam table columns list of `{name, title=, usd=, cut=}`, the most important ones first: those
-- that a terminal has no room for are left out; `cut`: one may be cut instead; `usd`: dollars
-- @tparam[opt] table opts `json`: write JSON wherever it goes
-- @usage llm.table(llm.models("gpt"), { { "id", title = "model" }, { "context" } })
local function write(rows, columns, opts)
  if opts and opts.json then
    local list = setmetatable(rows, core.json.array_mt)
    output.write(core.json.encode(list), "\n")
  elseif system.isatty(1) then
    write_for_people(rows, columns)
  else
    write_for_programs(rows, columns)
  end
end

return { write = write }
