--- CSV as RFC 4180 has it, and as spreadsheets write it: fields in quotes may hold separators,
-- line ends and doubled quotes; where the first line has no comma, semicolons or tabs part fields.
-- @module llm.csv

local function separator_of(line)
  for _, separator in ipairs { ",", ";", "\t" } do
    if line:find(separator, 1, true) then return separator end
  end
  return ","
end

-- The field in quotes that begins at `at`, which may go on in the lines that follow. Gives the
-- line it ends in and where; nil when it does not end.
local function quoted(line, at, next_line)
  local parts = {}
  while true do
    local last = line:find('"', at, true)
    while last and line:sub(last + 1, last + 1) == '"' do
      parts[#parts + 1] = line:sub(at, last)
      at = last + 2
      last = line:find('"', at, true)
    end
    if last then
      parts[#parts + 1] = line:sub(at, last - 1)
      return table.concat(parts), line, last + 1
    end
    parts[#parts + 1] = line:sub(at) .. "\n"
    line, at = next_line(), 1
    if not line then return nil end
  end
end

-- The fields of the record that begins with the line.
local function record(line, separator, next_line)
  local fields, at = {}, 1
  while true do
    local text
    if line:sub(at, at) == '"' then
      text, line, at = quoted(line, at + 1, next_line)
      if not text then return nil, "a quote is not closed" end
    else
      text = ""
    end
    local border = line:find(separator, at, true)
    fields[#fields + 1] = text .. line:sub(at, (border or #line + 1) - 1)
    if not border then return fields end
    at = border + 1
  end
end

--- Reads records; the first one names the fields.
-- @tparam function next_line gives a line without its end and its number, or nil
-- @tparam[opt] string separator default: by the first line, a comma before others
-- @treturn function iterator of `{name = text}` and the number of its first line; a record that
-- cannot be read is an empty table, the line and what is wrong
local function reader(next_line, separator)
  local names
  return function()
    while true do
      local line, number = next_line()
      if not line then return nil end
      if line:find("%S") then
        separator = separator or separator_of(line)
        local fields, problem = record(line, separator, next_line)
        if not fields then return {}, number, problem end
        if names then
          local named = {}
          for i, text in ipairs(fields) do named[names[i] or "column " .. i] = text end
          return named, number
        end
        names = fields
      end
    end
  end
end

return { reader = reader }
