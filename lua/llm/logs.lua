--- Logs: what the policy `log` kept, to read, search, sum up and delete.
-- @module llm.logs
local config = require "llm.config"
local data_folder = require "llm.data_folder"
local errors = require "llm.error"
local logbook = require "llm.logbook"
local options = require "llm.options"
local time = require "llm.time"

local known = {
  file = "string", id = "number", model = "string", provider = "string", tag = "string",
  errors = "boolean", since = "string|number", before = "string|number", words = "table",
  limit = "number", by = "string",
}
local units = { s = 1, m = 60, h = 3600, d = 86400, w = 7 * 86400 }

local function default_path() return data_folder.path "logs.db" end

--- Where calls are kept unless a client says otherwise.
-- @tparam[opt] string file named by the user
-- @treturn string|nil nil where there is no home directory
-- @usage print(llm.logs.path())
local function path(file)
  local set = (config.get().policies or {}).log
  return file or type(set) == "table" and set.file or default_path()
end

-- --- when ----------------------------------------------------------------------------------------

-- Days from 1970-01-01 to a date of the Gregorian calendar.
local function days_of(year, month, day)
  if month < 3 then year, month = year - 1, month + 12 end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400) +
    math.floor((153 * month - 457) / 5) + day - 719469
end

local function date_of(text)
  local year, month, day, rest = text:match("^(%d%d%d%d)-(%d%d)-(%d%d)(.*)$")
  if not year then return nil end
  local hour, minute, second = rest:match("^[T ](%d%d):(%d%d):?(%d*)Z?$")
  if rest ~= "" and not hour then return nil end
  return days_of(tonumber(year), tonumber(month), tonumber(day)) * 86400 +
    (tonumber(hour) or 0) * 3600 + (tonumber(minute) or 0) * 60 + (tonumber(second) or 0)
end

-- Unix time of "2d" (ago), of a date, or of itself.
local function moment(name, value)
  if value == nil or type(value) == "number" then return value end
  local count, unit = value:match("^(%d+)([smhdw])$")
  if count then return time.now() - tonumber(count) * units[unit] end
  return date_of(value) or options.refuse(name,
    ("expected a date (2026-11-27, 2026-11-27T08:00Z) or an age (2d, 12h), not %q"):format(value))
end

-- --- which ---------------------------------------------------------------------------------------

-- Every word as a phrase of the index.
local function phrases(words)
  local list = {}
  for i, word in ipairs(words) do
    list[i] = '"' .. logbook.words_of(word):gsub('"', '""') .. '"*'
  end
  return table.concat(list, " ")
end

local conditions = {
  { "id", "id = ?" }, { "tag", "tag = ?" }, { "provider", "provider = ?" },
  { "model", "instr(provider || '/' || model, ?) > 0" }, { "since", "time >= ?" },
  { "before", "time < ?" },
}

-- The rows that are asked for, as SQL and its values.
local function where(opts, has_index)
  local texts, values = { "1" }, {}
  local wanted = { since = moment("since", opts.since), before = moment("before", opts.before) }
  for _, condition in ipairs(conditions) do
    local name = condition[1]
    local value = wanted[name] or opts[name]
    if value then
      texts[#texts + 1], values[#values + 1] = condition[2], value
    end
  end
  if opts.errors then texts[#texts + 1] = "error_kind IS NOT NULL" end
  if has_index and opts.words and opts.words[1] then
    texts[#texts + 1] = "id IN (SELECT rowid FROM search WHERE search MATCH ?)"
    values[#values + 1] = phrases(opts.words)
  end
  return " WHERE " .. table.concat(texts, " AND "), values
end

local function is_found(record, words)
  local prompt, answer = logbook.texts_of(record)
  local text = (prompt .. "\n" .. answer):lower()
  for _, word in ipairs(words or {}) do
    if not text:find(word:lower(), 1, true) then return false end
  end
  return true
end

local function fail(message, ...)
  return nil, errors.new("invalid_request", "logs: " .. message:format(...))
end

local function open(opts)
  local file = path(opts.file)
  if not file then return fail "there is no home directory; name a file" end
  local book, problem = logbook.read(file)
  if book then return book end
  return fail("no calls are kept (%s); set LLM_LOG_CALLS=1, or policies = { log = true } in the " ..
    "configuration, and they are", problem)
end

local unpack = table.unpack or unpack -- luacheck: ignore

--- Calls that were kept, the newest first.
-- @tparam[opt] table opts `limit`, `id`, `model` (a part of `provider/model`), `provider`, `tag`,
-- `since` and `before` (an age such as `2d`, a date in UTC, or Unix time), `errors` (failed ones
-- only), `words` (a list: all must be in the last prompt or the answer), `file`
-- @treturn table list of records, see docs/policies.md
-- @treturn nil, err when nothing is kept
-- @usage for _, call in ipairs(assert(llm.logs.calls { since = "1d" })) do print(call.model) end
local function calls(opts)
  opts = options.check(opts, known, "llm.logs.calls")
  local book, err = open(opts)
  if not book then return nil, err end
  local has_index = book.has_index
  local condition, values = where(opts, has_index)
  local limit = (has_index or not opts.words) and opts.limit or -1
  values[#values + 1] = math.floor(limit)
  local rows, problem = book.db:rows("SELECT id, record FROM calls" .. condition ..
    " ORDER BY time DESC, id DESC LIMIT ?", unpack(values))
  if not rows then return fail(problem) end
  local list = {}
  for _, row in ipairs(rows) do
    local record = book:unpack(row[2])
    record.id = row[1]
    if #list < (opts.limit or math.huge) and (has_index or is_found(record, opts.words)) then
      list[#list + 1] = record
    end
  end
  return list
end

-- --- sums ----------------------------------------------------------------------------------------

local keys = {
  model = "provider || '/' || model", provider = "provider", tag = "coalesce(tag, '-')",
  day = "strftime('%Y-%m-%d', time, 'unixepoch')",
}

local fields = { "key", "calls", "errors", "input_tokens", "cached_tokens", "output_tokens",
  "cost", "unpriced" }

-- What came from a cache costs nothing; what has no price is counted and not added.
local sums = [[, count(*), sum(error_kind IS NOT NULL), coalesce(sum(input_tokens), 0),
  coalesce(sum(cached_tokens), 0), coalesce(sum(output_tokens), 0),
  sum(CASE WHEN cached THEN 0.0 ELSE cost END) AS usd,
  coalesce(sum(cost IS NULL AND output_tokens IS NOT NULL AND cached IS NULL), 0) FROM calls]]

--- What calls used and cost, summed up.
-- @tparam[opt] table opts `by`: `"model"` (default), `"day"` (UTC), `"tag"` or `"provider"`; and
-- what `calls` takes to choose them, but `words` and `limit`
-- @treturn table list of `{key=, calls=, errors=, input_tokens=, cached_tokens=, output_tokens=,
-- cost=, unpriced=}`; `cost` is USD, nil when no price is known; `unpriced` counts the calls whose
-- price is unknown. The dearest first, days in order
-- @treturn nil, err when nothing is kept
-- @usage local days = assert(llm.logs.usage { by = "day" })
local function usage(opts)
  opts = options.check(opts, known, "llm.logs.usage")
  local book, err = open(opts)
  if not book then return nil, err end
  local by = opts.by or "model"
  if not keys[by] then
    options.refuse("by", ("expected model, day, tag or provider, not %q"):format(by))
  end
  local condition, values = where(opts, false)
  local order = by == "day" and "1" or "usd IS NULL, usd DESC, 2 DESC, 1"
  local rows, problem = book.db:rows("SELECT " .. keys[by] .. sums .. condition ..
    " GROUP BY 1 ORDER BY " .. order, unpack(values))
  if not rows then return fail(problem) end
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = {}
    for at, name in ipairs(fields) do list[i][name] = row[at] end
  end
  return list
end

-- --- deletion ------------------------------------------------------------------------------------

-- The texts that a record is still made of; and the index, which forgets only all at once.
local function clean(book)
  local db, used = book.db, {}
  if book.has_index then db:run "INSERT INTO search (search) VALUES ('delete-all')" end
  for _, row in ipairs(db:rows "SELECT id FROM calls") do
    local text = db:rows("SELECT record FROM calls WHERE id = ?", row[1])[1][1]
    for hash in text:gmatch("sha256:(%x+)") do used[hash] = true end
    if book.has_index then book:index(row[1], book:unpack(text)) end
  end
  for _, row in ipairs(db:rows "SELECT sha256 FROM content") do
    if not used[row[1]] then db:run("DELETE FROM content WHERE sha256 = ?", row[1]) end
  end
end

--- Deletes calls, and the texts that no other call has.
-- @tparam table opts `before`: a date in UTC, an age, or Unix time; `file`
-- @treturn number how many
-- @treturn nil, err
-- @usage print(llm.logs.delete { before = "30d" })
local function delete(opts)
  opts = options.check(opts, known, "llm.logs.delete")
  if not opts.before then options.refuse("llm.logs.delete", "before is missing") end
  if path(opts.file):find("%.jsonl$") then
    return fail "JSON lines are deleted with an editor; this takes a database"
  end
  local book, err = open(opts)
  if not book then return nil, err end
  local before = moment("before", opts.before)
  local count, problem = book.db:run "BEGIN IMMEDIATE"
  if count then count, problem = book.db:run("DELETE FROM calls WHERE time < ?", before) end
  if not count then return fail(problem) end
  clean(book)
  local ok
  ok, problem = book.db:run "COMMIT"
  if not ok then return fail(problem) end
  return count
end

return { calls = calls, usage = usage, delete = delete, path = path, default_path = default_path }
