--- Rows: texts from lines, JSON lines or CSV, one after the other as they are read: a file of any
-- size takes no more memory than its longest row.
-- @module llm.rows
local args = require "llm.args"
local csv = require "llm.csv"
local json = require("llm.core").json
local options = require "llm.options"

local endings = { jsonl = "jsonl", ndjson = "jsonl", csv = "csv", tsv = "tsv" }

-- Gives the next line without its end, and whether it had one; nil at the end.
local function line_reader(path)
  local file, number = args.open(path), 0
  return function()
    local line, message
    if file then line, message = file:read("*l") end
    if message then args.stop(2, args.name_of(path) .. ": " .. message) end
    if not line then
      if file and file ~= io.stdin then file:close() end
      file = nil
      return nil
    end
    number = number + 1
    if number == 1 then line = line:gsub("^\239\187\191", "") end
    return (line:gsub("\r$", "")), number
  end
end

-- One line may be put back, to see what comes.
local function peekable(next_line)
  local line, number = next_line()
  local is_first = true
  return function()
    if is_first then
      is_first = false
      return line, number
    end
    return next_line()
  end, line
end

local function format_of(path, first)
  local known = endings[path:match("%.(%w+)$") or ""]
  if known then return known end
  local is_object = first and first:find("^%s*{") and type(json.decode(first)) == "table"
  return is_object and "jsonl" or "lines"
end

local function names_of(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return table.concat(names, ", ")
end

-- The text of a row: the named field; where none is named `text`, or the only one.
local function text_of(fields, field)
  if type(fields) == "string" then return fields end
  local value = fields[field or "text"]
  if value == nil and not field then
    local name = next(fields)
    if name and next(fields, name) == nil then value = fields[name] end
  end
  if type(value) == "number" then value = tostring(value) end
  if type(value) == "string" then return value end
  return nil, ("there is no text in the field %q; the fields are: %s"):format(
    field or "text", names_of(fields))
end

local function give(row, fields, field, is_whole)
  row.fields = type(fields) == "table" and fields or nil
  row.text, row.error = text_of(fields, field)
  if is_whole and row.fields then row.error = nil end
  if row.text and not row.text:find("%S") then row.error = "the text is empty" end
  if row.text and row.text:find("\0", 1, true) then row.error = "holds bytes that are no text" end
  if row.error then row.error = ("%s:%d: %s"):format(row.file, row.line, row.error) end
  return row
end

local readers = {}

function readers.lines(next_line)
  return function()
    local line, number
    repeat line, number = next_line() until not line or line:find("%S")
    return line, number
  end
end

function readers.jsonl(next_line)
  local next_full = readers.lines(next_line)
  return function()
    local line, number = next_full()
    if not line then return nil end
    local value, problem = json.decode(line)
    if type(value) == "table" or type(value) == "string" then return value, number end
    return {}, number, "is no JSON object: " .. (problem or line:sub(1, 40))
  end
end

readers.csv = csv.reader
function readers.tsv(next_line) return csv.reader(next_line, "\t") end

local known = { texts = "table", file = "string", format = "string", field = "string",
  whole = "boolean" }

local function of_texts(texts)
  local i = 0
  return function()
    i = i + 1
    local text = texts[i]
    if not text then return nil end
    return { index = i, text = text, error = not text:find("%S") and "the text is empty" or nil }
  end
end

--- Reads rows.
-- @tparam table opts `texts`: the rows themselves, if there are any; else `file` (`-`, the default,
-- is standard input), `format` (`"lines"`, `"jsonl"`, `"csv"`, `"tsv"`; default: by the name of the
-- file or its first line), `field` (which holds the text; default `text`, or the only one),
-- `whole` (rows of several fields need no text)
-- @treturn function iterator of `{index, text, fields, file, line}`; a row that cannot be read has
-- `error`. A file that cannot be read ends the script with exit code 2
-- @usage for row in llm.rows { file = "reviews.csv", field = "review" } do print(row.text) end
local function rows(opts)
  options.check(opts, known, "llm.rows")
  if opts.texts and opts.texts[1] then return of_texts(opts.texts) end
  local path, index = opts.file or "-", 0
  local next_line, first = peekable(line_reader(path))
  local format = opts.format or format_of(path, first)
  if not readers[format] then
    args.stop(2, ("the format must be lines, jsonl, csv or tsv, not %q"):format(format))
  end
  local next_fields = readers[format](next_line)
  return function()
    local fields, line, problem = next_fields()
    if not fields then return nil end
    index = index + 1
    local row = { index = index, file = path, line = line }
    if problem then
      row.error = ("%s:%d: %s"):format(path, line, problem)
      return row
    end
    return give(row, fields, opts.field, opts.whole)
  end
end

return { rows = rows }
