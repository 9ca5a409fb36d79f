--- Reply store: recorded replies by their keys, in the memory of this process or in a database that
-- several share. What was used last is kept longest.
-- @module llm.reply_store
local core = require "llm.core"
local data_folder = require "llm.data_folder"
local time = require "llm.time"

local decode, encode = core.json.decode, core.json.encode

-- --- in memory: a table, and a ring in the order of use ------------------------------------------

local Memory = {}
Memory.__index = Memory

local OVERHEAD = 160 -- bytes of a table with its entry in another

local function size_of(entry)
  local bytes = 4 * OVERHEAD
  for _, frame in ipairs(entry.frames) do bytes = bytes + OVERHEAD + #(frame[2] or "") end
  return bytes
end

local function unlink(node)
  node.newer.older, node.older.newer = node.older, node.newer
end

local function link(self, node)
  local ring = self.ring
  node.newer, node.older = ring, ring.older
  ring.older.newer, ring.older = node, node
end

local function remove(self, node)
  unlink(node)
  self.nodes[node.key] = nil
  self.bytes = self.bytes - node.bytes
end

--- Finds a reply.
-- @tparam string key
-- @tparam number oldest Unix time; what was made before it is not found
-- @treturn table|nil entry
function Memory:get(key, oldest)
  local node = self.nodes[key]
  if not node then return nil end
  if node.made < oldest then return remove(self, node) end
  unlink(node)
  link(self, node)
  return node.entry
end

--- Keeps a reply in the place of what had its key.
-- @tparam string key
-- @tparam table entry `status`, `headers`, `frames`
-- @tparam number most bytes of all; what is larger by itself is not kept
-- @treturn boolean true
function Memory:put(key, entry, most)
  local node = { key = key, entry = entry, bytes = size_of(entry), made = time.now() }
  if node.bytes > most then return true end
  if self.nodes[key] then remove(self, self.nodes[key]) end
  self.nodes[key] = node
  link(self, node)
  self.bytes = self.bytes + node.bytes
  while self.bytes > most do remove(self, self.ring.newer) end
  return true
end

local function in_memory()
  local ring = {}
  ring.newer, ring.older = ring, ring -- its oldest is its newer neighbour, and round
  return setmetatable({ nodes = {}, ring = ring, bytes = 0 }, Memory)
end

-- --- in a database -------------------------------------------------------------------------------

local File = {}
File.__index = File

local PATIENCE_MS = 250 -- a call waits no longer for others who write
local COARSE = 60       -- seconds within which it is not noted that a reply was used again
local SPARE = 0.9       -- of the room: what is left when the oldest have gone

local set_up = {
  [[CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, made REAL NOT NULL,
    used REAL NOT NULL, bytes INTEGER NOT NULL, reply TEXT NOT NULL)]],
  "CREATE INDEX IF NOT EXISTS replies_used ON replies (used, bytes)",
  "PRAGMA busy_timeout=" .. PATIENCE_MS,
}

local kinds = { event = true, rest = true, text = true, ["end"] = true }

local function is_text(value) return value == nil or type(value) == "string" end

-- What is read is data that anybody may have written.
local function is_entry(value)
  if type(value) ~= "table" or type(value.status) ~= "number" or type(value.headers) ~= "table" or
    not is_text(value.headers["x-request-id"]) or type(value.frames) ~= "table" then
    return false
  end
  local last
  for _, frame in ipairs(value.frames) do
    if type(frame) ~= "table" or not (kinds[frame[1]] and is_text(frame[2]) and is_text(frame[3]))
    then
      return false
    end
    last = frame[1]
  end
  return last == "end"
end

--- As in memory.
-- @treturn table|nil entry
-- @treturn nil, message
function File:get(key, oldest)
  local rows, problem = self.db:rows(
    "SELECT reply, used FROM replies WHERE key = ? AND made >= ?", key, oldest)
  local row = rows and rows[1]
  if not row then return nil, problem end
  local now = time.now()
  if now - row[2] >= COARSE then
    self.db:run("UPDATE replies SET used = ? WHERE key = ?", now, key)
  end
  local entry = decode(row[1])
  return is_entry(entry) and entry or nil
end

-- Other processes put here, too: how much there is is counted again when it seems too much.
local function make_room(self, most)
  local rows, problem = self.db:rows "SELECT total(bytes) FROM replies"
  if not rows then return nil, problem end
  self.bytes = rows[1][1]
  if self.bytes <= most then return true end
  self.bytes = SPARE * most
  return self.db:run([[DELETE FROM replies WHERE key IN (SELECT key FROM (SELECT key,
    sum(bytes) OVER (ORDER BY used DESC, rowid DESC) AS so_far FROM replies) WHERE so_far > ?)]],
    self.bytes)
end

--- As in memory.
-- @treturn boolean true
-- @treturn nil, message
function File:put(key, entry, most)
  local text, now = encode(entry), time.now()
  if #text > SPARE * most then return true end
  local ok, problem = self.db:run("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?)", key, now,
    now, #text, text)
  if not ok then return nil, problem end
  self.bytes = self.bytes and self.bytes + #text
  if self.bytes and self.bytes <= most then return true end
  return make_room(self, most)
end

local open_files = setmetatable({}, { __mode = "v" }) -- path -> database

local function open_database(path)
  local db, problem = core.sqlite.open(data_folder.make(path))
  if not db then return nil, problem end
  for _, statement in ipairs(set_up) do
    local ok
    ok, problem = db:rows(statement)
    if not ok then return nil, problem end
  end
  open_files[path] = db
  return db
end

--- Opens a store in a file, which is made for its owner alone; those of a process share one handle.
-- @tparam string path
-- @treturn table with `get` and `put`
-- @treturn nil, message
local function open(path)
  local db, problem = open_files[path], nil
  if not db then db, problem = open_database(path) end
  if not db then return nil, problem end
  return setmetatable({ db = db }, File)
end

return { in_memory = in_memory, open = open }
