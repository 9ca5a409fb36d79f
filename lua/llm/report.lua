--- Report: the same done to every row, and what came of it written as it comes: a table for people,
-- tab-separated lines or JSON for programs.
-- @module llm.report
local each = require "llm.each"
local json = require("llm.core").json
local options = require "llm.options"
local output = require "llm.output"
local tables = require "llm.table"

local RAW = 300 -- bytes of a reply that are shown with what is wrong with it

-- What would fail again with every other row ends the script.
local hopeless = { authentication = true, permission = true, model_not_found = true, quota = true,
  budget = true, cancelled = true }

local function is_of_the_row(err)
  if type(err) ~= "table" or not err.kind or hopeless[err.kind] then return false end
  return err.kind ~= "invalid_request" or err.status ~= nil
end

local function complain(index, result)
  local raw = result.raw_response and result.raw_response:sub(1, RAW):gsub("%c+", " ")
  io.stderr:write(("llmrun: row %d: %s\n"):format(index, result.error),
    raw and ("llmrun: the reply was: %s\n"):format(raw) or "")
end

-- What came of a row: what the function gave, or what went wrong.
local function outcome(result, err, row)
  if row.error then return { error = row.error, index = row.index, text = row.text } end
  if not err then return result end
  if not is_of_the_row(err) then error(err, 0) end
  return { error = tostring(err), raw_response = err.raw, index = row.index, text = row.text }
end

local known = { columns = "table", json = "boolean", concurrency = "number" }

--- Calls a function for every row, several at once, and writes the tables that it gives, in order
-- as soon as they are there: with `json` as JSON objects, one a line; else the columns, with tabs
-- between, or all as one table when the output is a terminal. A row whose function raised the error
-- of a model has `error` and, where the reply cannot be read, `raw_response`; other errors, and
-- those that every row would meet, such as a wrong key, are raised.
-- @tparam table|function rows of llm.rows, or others as for llm.each that are tables
-- @tparam function body `body(row, index)` gives a table
-- @tparam table opts `columns` (as for llm.table; the first says `error` where there is one),
-- `json`, `concurrency` (8)
-- @treturn number how many rows there were
-- @treturn number how many failed
-- @usage local _, failed = llm.report(llm.rows {}, rate, { columns = { { "mood" }, { "text" } } })
-- if failed > 0 then llm.stop(13) end
local function report(rows, body, opts)
  options.check(opts, known, "llm.report")
  local kept, failed, count = {}, 0, 0
  for index, result, err, row in each.each(rows, function(row, index)
    return not row.error and body(row, index)
  end, { concurrency = opts.concurrency }) do
    count, result = index, outcome(result, err, row)
    if result.error then
      failed = failed + 1
      output.progress()
      complain(index, result)
      if not opts.json then result[opts.columns[1][1]] = "error" end
    end
    if opts.json then
      output.write(json.encode(result), "\n")
    elseif output.is_terminal() then
      kept[#kept + 1] = result
    else
      tables.write({ result }, opts.columns)
    end
    output.progress(index .. " done")
  end
  output.progress()
  if kept[1] then tables.write(kept, opts.columns) end
  return count, failed
end

return { report = report }
