--- Ledger: sums with limits, in a database that several processes share. What a call may cost is
-- reserved before it and settled after it, each in one transaction; a reservation whose process
-- has gone is counted as spent, since its request may have been answered.
-- @module llm.ledger
local core = require "llm.core"
local data_folder = require "llm.data_folder"
local errors = require "llm.error"
local time = require "llm.time"

local Ledger = {}
Ledger.__index = Ledger

local schema = {
  [[CREATE TABLE IF NOT EXISTS spent (account TEXT, since INTEGER, nanodollars INTEGER NOT NULL,
    tokens INTEGER NOT NULL, PRIMARY KEY (account, since)) WITHOUT ROWID]],
  [[CREATE TABLE IF NOT EXISTS reserved (id INTEGER PRIMARY KEY, account TEXT NOT NULL,
    since INTEGER NOT NULL, nanodollars INTEGER NOT NULL, tokens INTEGER NOT NULL,
    pid INTEGER NOT NULL, born TEXT NOT NULL)]],
  "CREATE INDEX IF NOT EXISTS reserved_account ON reserved (account, since)",
}

-- When a process began, which tells it from a later one of the same number; nil: there is none.
local function birth_of(pid)
  local file = io.open(("/proc/%s/stat"):format(pid), "r")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  local fields = {}
  for field in text:match("%)(.*)$"):gmatch("%S+") do fields[#fields + 1] = field end
  return fields[20] -- starttime: the 22nd, two of which stand before the last parenthesis
end

local function fail(message)
  return nil, errors.new("budget", "the budget cannot be looked at: " .. message)
end

local function run_whole(self, body, ...)
  local db = self.db
  local ok, message = db:run "BEGIN IMMEDIATE"
  if not ok then return fail(message) end
  local result, err = body(self, ...)
  if result then
    ok, message = db:run "COMMIT"
    if ok then return result end
    result, err = fail(message)
  end
  db:run "ROLLBACK"
  return result, err
end

-- Runs statements one after the other; the first that fails undoes them all. A finalizer that
-- settles a dropped call may come between those of another one: it is done after them.
local function transact(self, body, ...)
  if self.is_busy then
    table.insert(self.later, { body, ... })
    return true
  end
  self.is_busy = true
  local result, err = run_whole(self, body, ...)
  while self.later[1] do
    local one = table.remove(self.later)
    run_whole(self, one[1], one[2], one[3])
  end
  self.is_busy = false
  return result, err
end

-- Adds to what is spent.
local function add(self, account, since, amount)
  local ok, message = self.db:run([[INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    nanodollars = nanodollars + excluded.nanodollars, tokens = tokens + excluded.tokens]],
    account, since, amount.nanodollars, amount.tokens)
  if not ok then return fail(message) end
  return true
end

local function settle(self, id, amount)
  local rows, message = self.db:rows(
    "DELETE FROM reserved WHERE id = ? RETURNING account, since", id)
  if not rows then return fail(message) end
  if not rows[1] then return true end -- somebody took us for dead, and counted the estimate
  return add(self, rows[1][1], rows[1][2], amount)
end

-- What processes reserved that are no more counts as spent.
local function settle_dead(self)
  local rows, message = self.db:rows(
    "SELECT id, pid, born, nanodollars, tokens FROM reserved WHERE pid <> ?", self.pid)
  if not rows then return fail(message) end
  for _, row in ipairs(rows) do
    if birth_of(row[2]) ~= row[3] then
      local ok, err = settle(self, row[1], { nanodollars = row[4], tokens = row[5] })
      if not ok then return nil, err end
    end
  end
  return true
end

local function sums(self, account, since)
  local rows, message = self.db:rows([[SELECT
    (SELECT nanodollars FROM spent WHERE account = ?1 AND since = ?2),
    (SELECT tokens FROM spent WHERE account = ?1 AND since = ?2),
    sum(nanodollars), sum(tokens) FROM reserved WHERE account = ?1 AND since = ?2]], account, since)
  if not rows then return fail(message) end
  local row = rows[1]
  return {
    spent = { nanodollars = row[1] or 0, tokens = row[2] or 0 },
    reserved = { nanodollars = row[3] or 0, tokens = row[4] or 0 },
  }
end

--- Which of the two units has no room for an amount, if any.
-- @treturn string|nil `"nanodollars"`, `"tokens"`
function Ledger.full_unit(sum, limit, amount)
  for _, unit in ipairs { "nanodollars", "tokens" } do
    local used = sum.spent[unit] + sum.reserved[unit]
    if limit[unit] and used + amount[unit] > limit[unit] then return unit end
  end
end

local function reserve(self, account, since, limit, amount)
  local sum, err = sums(self, account, since)
  if sum and self.full_unit(sum, limit, amount) then
    local ok
    ok, err = settle_dead(self)
    sum = ok and sums(self, account, since)
    if sum and self.full_unit(sum, limit, amount) then return nil, sum end
  end
  if not sum then return nil, err end
  local rows, message = self.db:rows([[INSERT INTO reserved
    (account, since, nanodollars, tokens, pid, born) VALUES (?, ?, ?, ?, ?, ?) RETURNING id]],
    account, since, amount.nanodollars, amount.tokens, self.pid, self.born)
  if not rows then return fail(message) end
  return rows[1][1]
end

--- Reserves an amount unless that would pass the limit.
-- @tparam string account
-- @tparam number since when its window began, Unix time
-- @tparam table limit `nanodollars`, `tokens`; nil: no limit
-- @tparam table amount `nanodollars`, `tokens`
-- @treturn number the reservation
-- @treturn nil, table err, or where there is no room `{spent =, reserved =}`
function Ledger:reserve(account, since, limit, amount)
  return transact(self, reserve, account, since, limit, amount)
end

--- Puts what a call really took in the place of a reservation.
-- @treturn boolean true
-- @treturn nil, err
function Ledger:settle(reservation, amount) return transact(self, settle, reservation, amount) end

--- Counts what was spent elsewhere.
-- @treturn boolean true
-- @treturn nil, err
function Ledger:add(account, since, amount) return transact(self, add, account, since, amount) end

--- What is spent and reserved: `{spent = {nanodollars =, tokens =}, reserved = …}`.
-- @treturn table
-- @treturn nil, err
function Ledger:sums(account, since) return sums(self, account, since) end

local function set_up(self)
  for _, statement in ipairs(schema) do
    local ok, message = self.db:run(statement)
    if not ok then return fail(message) end
  end
  return settle_dead(self)
end

--- Opens a ledger; the file is made when it is not there, for its owner alone.
-- @tparam string path `":memory:"` is this process's own
-- @treturn Ledger
-- @treturn nil, err of kind budget
local function open(path)
  local db, message = core.sqlite.open(data_folder.make(path))
  if not db then return fail(message) end
  local ok
  ok, message = db:run "PRAGMA synchronous=FULL" -- money outlives a power cut
  if not ok then return fail(message) end
  local pid = core.system.pid()
  local self = setmetatable({ db = db, pid = pid, born = birth_of(pid) or time.stamp(),
    later = {} }, Ledger)
  local err
  ok, err = transact(self, set_up)
  if not ok then return nil, err end
  return self
end

return { open = open }
