--- Logbook: a file of exchanges, SQLite or (by its suffix .jsonl) JSON lines, which several
-- processes may write at once and its owner alone may read. A long text is kept once, under its
-- SHA-256: the record has `"sha256:…"` in its place. Credentials are masked before anything is
-- written.
-- @module llm.logbook
local core = require "llm.core"
local data_folder = require "llm.data_folder"
local message = require "llm.message"
local secret = require "llm.secret"

local json, sha256 = core.json, core.sigv4.sha256
local LONG = 256 -- bytes; shorter texts stand in the record itself
local DEEPEST = 64
local INDEXED = 65536 -- bytes of a prompt and of an answer that a search looks at
local PATIENCE_MS = 250 -- a call waits no longer for others who write

local schema = {
  [[CREATE TABLE IF NOT EXISTS content (sha256 TEXT PRIMARY KEY, text TEXT NOT NULL)
    WITHOUT ROWID]],
  [[CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, time REAL NOT NULL, provider TEXT,
    model TEXT, kind TEXT, tag TEXT, duration REAL, first_token_time REAL, finish_reason TEXT,
    input_tokens INTEGER, cached_tokens INTEGER, output_tokens INTEGER, cost REAL,
    cached INTEGER, error_kind TEXT, record TEXT NOT NULL)]],
  "CREATE INDEX IF NOT EXISTS calls_time ON calls (time)",
}
local index = "CREATE VIRTUAL TABLE IF NOT EXISTS search USING fts5(prompt, answer, content='')"

-- --- long texts ----------------------------------------------------------------------------------

-- A text as it stands in a record; one that looks like a reference is kept elsewhere, too.
local function refer(text, contents)
  text = secret.scrub(text)
  if #text < LONG and text:sub(1, 7) ~= "sha256:" then return text end
  local hash = sha256(text)
  if not hash then return text end
  contents[hash] = text
  return "sha256:" .. hash
end

-- A copy in which long texts are references; what is no data (the function of a tool) is left out.
local function pack(value, contents, depth)
  local kind = type(value)
  if kind == "string" then return refer(value, contents) end
  if kind == "number" or kind == "boolean" or value == json.null then return value end
  if kind ~= "table" or depth > DEEPEST then return nil end
  local copy = {}
  if getmetatable(value) == json.array_mt then setmetatable(copy, json.array_mt) end
  for key, item in pairs(value) do
    if key == "data" and type(item) == "string" and value.mime then
      item = core.base64.encode(item)
    end
    if type(key) == "string" then key = secret.scrub(key) end
    copy[key] = pack(item, contents, depth + 1)
  end
  return copy
end

local function unpack_texts(value, find)
  if type(value) == "string" then
    local hash = value:match("^sha256:(%x+)$")
    return hash and find(hash) or value
  end
  if type(value) == "table" then
    for key, item in pairs(value) do value[key] = unpack_texts(item, find) end
  end
  return value
end

-- --- searching -----------------------------------------------------------------------------------

--- A text as the index takes it: Chinese, Japanese and Korean characters are words of their own.
local function words_of(text)
  return (text:gsub("[\227-\237][\128-\191][\128-\191]", " %0 "))
end

--- What was asked last, and what was answered.
-- @tparam table record
-- @treturn string
-- @treturn string
local function texts_of(record)
  local messages = record.request and record.request.messages
  local last = type(messages) == "table" and messages[#messages]
  local prompt = type(last) == "table" and message.text_of(last.content) or ""
  return prompt, type(record.response) == "string" and record.response or ""
end

-- --- SQLite --------------------------------------------------------------------------------------

local Database = {}
Database.__index = Database

function Database:prepare()
  for _, statement in ipairs(schema) do
    local ok, problem = self.db:run(statement)
    if not ok then return nil, problem end
  end
  self.has_index = self.db:run(index) ~= nil
  return self.db:rows("PRAGMA busy_timeout=" .. PATIENCE_MS)
end

local function indexed(text)
  text = secret.scrub(text)
  return words_of(#text > INDEXED and text:sub(1, INDEXED) or text)
end

--- Makes a record found by its words.
-- @tparam number|nil id nil: the row that was inserted last
-- @tparam table record whole
function Database:index(id, record)
  local prompt, answer = texts_of(record)
  return self.db:run([[INSERT INTO search (rowid, prompt, answer)
    VALUES (coalesce(?, last_insert_rowid()), ?, ?)]], id, indexed(prompt), indexed(answer))
end

local function insert_all(self, record, text, contents)
  local db, usage = self.db, record.usage or {}
  local ok, problem
  for hash, content in pairs(contents) do
    ok, problem = db:run("INSERT OR IGNORE INTO content VALUES (?, ?)", hash, content)
    if not ok then return nil, problem end
  end
  ok, problem = db:run([[INSERT INTO calls (time, provider, model, kind, tag, duration,
    first_token_time, finish_reason, input_tokens, cached_tokens, output_tokens, cost, cached,
    error_kind, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)]],
    record.time, record.provider, record.model, record.kind, record.tag, record.duration,
    record.first_token_time, record.finish_reason, usage.input_tokens, usage.cached_tokens,
    usage.output_tokens, record.cost_estimate, record.cached, record.error and record.error.kind,
    text)
  if not ok or not self.has_index then return ok, problem end
  return self:index(nil, record)
end

function Database:put(record, text, contents)
  local ok, problem = self.db:run "BEGIN IMMEDIATE"
  if not ok then return nil, problem end
  ok, problem = insert_all(self, record, text, contents)
  if ok then ok, problem = self.db:run "COMMIT" end
  if not ok then self.db:run "ROLLBACK" end
  return ok, problem
end

--- A record with its long texts, as it was put.
-- @tparam string text of the column `record`
-- @treturn table
function Database:unpack(text)
  return unpack_texts(json.decode(text), function(hash)
    local rows = self.db:rows("SELECT text FROM content WHERE sha256 = ?", hash)
    return rows and rows[1] and rows[1][1]
  end)
end

local function open_database(path)
  local db, problem = core.sqlite.open(path)
  if not db then return nil, problem end
  local self = setmetatable({ db = db }, Database)
  local ok
  ok, problem = self:prepare()
  if not ok then return nil, problem end
  return self
end

-- --- JSON lines ----------------------------------------------------------------------------------

local Lines = {}
Lines.__index = Lines

-- One write for all of it: lines of several processes do not mix.
function Lines:put(_, text, contents)
  local lines = {}
  for hash, content in pairs(contents) do
    if not self.known[hash] then
      lines[#lines + 1] = json.encode { sha256 = hash, text = content }
    end
  end
  lines[#lines + 1] = text
  local ok, problem = self.file:write(self.lead .. table.concat(lines, "\n") .. "\n")
  self.lead = ok and "" or "\n" -- a full disk may have taken half a line
  if not ok then return nil, problem end
  for hash in pairs(contents) do self.known[hash] = true end
  return true
end

local function open_lines(path)
  local lock = core.system.lock(path) -- makes the file for its owner alone, and empties none
  if lock then lock:close() end
  local file, problem = io.open(path, "ab")
  if not file then return nil, problem end
  file:setvbuf "no"
  return setmetatable({ file = file, known = {}, lead = "" }, Lines)
end

-- --- both ----------------------------------------------------------------------------------------

local function is_lines(path) return path:find("%.jsonl$") ~= nil end

local open_books = {} -- path -> book, to the end: a finalizer may still have something to put

--- Opens a logbook to write; the clients of a process share one.
-- @tparam string path
-- @treturn table with `put`
-- @treturn nil, message
local function open(path)
  if open_books[path] then return open_books[path] end
  local open_file = is_lines(path) and open_lines or open_database
  local book, problem = open_file(data_folder.make(path))
  open_books[path] = book
  return book, problem
end

local function put_one(book, record)
  local contents = {}
  return book:put(record, json.encode(pack(record, contents, 1)), contents)
end

--- Writes a record. The finalizer of a dropped stream may come in between: its record is written
-- after.
-- @tparam table book
-- @tparam table record
-- @treturn boolean true
-- @treturn nil, message
local function put(book, record)
  local later = book.later
  if later then
    later[#later + 1] = record
    return true
  end
  later = { record }
  book.later = later
  local ran, ok, problem
  for _, one in ipairs(later) do
    ran, ok, problem = pcall(put_one, book, one) -- which waits for nobody
    if not (ran and ok) then break end
  end
  book.later = nil
  return ran and ok or nil, problem or ok
end

-- JSON lines as a database in memory, which answers the same questions.
local function load_lines(path)
  local file, problem = io.open(path, "rb")
  if not file then return nil, problem end
  local book = assert(open_database ":memory:")
  for line in file:lines() do
    local value = json.decode(line) -- a line that was cut by a full disk is none
    if type(value) == "table" and value.sha256 then
      book.db:run("INSERT OR IGNORE INTO content VALUES (?, ?)", value.sha256, value.text)
    elseif type(value) == "table" and type(value.time) == "number" then
      book:put(book:unpack(line), line, {})
    end
  end
  file:close()
  return book
end

--- Opens a logbook that is there, to read.
-- @tparam string path
-- @treturn table with `db`, `has_index`, `unpack`
-- @treturn nil, message
local function read(path)
  if is_lines(path) then return load_lines(path) end
  local file, problem = io.open(path, "rb")
  if not file then return nil, problem end
  file:close()
  return open_database(path)
end

return { open = open, put = put, read = read, words_of = words_of, texts_of = texts_of }
