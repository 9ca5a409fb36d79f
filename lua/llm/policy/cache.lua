--- Cache: the answer to a request that was answered before, word for word, at once and for nothing.
-- Requests are the same when the bytes that would be sent are, for the same account; those that
-- are asked at the same time share one answer while it comes. Only whole answers are kept.
-- @module llm.policy.cache
local auth = require "llm.auth"
local core = require "llm.core"
local data_folder = require "llm.data_folder"
local exchange = require "llm.exchange"
local flights = require "llm.flights"
local headers_of = require "llm.headers"
local log = require "llm.log"
local options = require "llm.options"
local playback = require "llm.playback"
local stores = require "llm.reply_store"
local time = require "llm.time"

local MIB = 1048576
local PIECE = 256 -- bytes; as a stream, a kept text comes in pieces of at least so many

local known = {
  file = "string|boolean", ttl = "number", max_bytes = "number", mode = "string",
  shared = "boolean",
}
local modes = { on = true, read_only = true, refresh = true }
local is_kept = { stop = true, tool_calls = true } -- finish reasons of whole answers
local is_asked = { embed = true } -- kinds of queries that have the same answer tomorrow

local Cache = {}
Cache.__index = Cache

-- --- what is kept --------------------------------------------------------------------------------

-- With `shared`, whoever asks the same gets the same; otherwise only who asked.
local function key_of(self, request)
  local call, bytes = request.call, exchange.identity(request)
  if not bytes then return nil end
  local owner = self.shared and "" or table.concat({ auth.account(call) or "", call.tag or "",
    request.user or "" }, "\n")
  return core.sigv4.sha256(owner .. "\n" .. bytes)
end

local function warn(self, message)
  if not self.warned then log.write("warn", "cache", "replies are not kept: " .. message) end
  self.warned = true
end

local function store_of(self)
  if self.store or self.broken then return self.store end
  local store, problem = stores.open(self.path)
  self.store, self.broken = store, not store
  if problem then warn(self, problem) end
  return store
end

local function find(self, key)
  local oldest = self.ttl and time.now() - self.ttl or 0
  local entry, problem = self.store:get(key, oldest)
  if problem then warn(self, problem) end
  return entry
end

local function frames_of(tee)
  local frames, text = {}, nil
  for i = 1, tee.count do
    local kind, data = tee.kinds[i], tee.data[i]
    if kind == "text" and text and #text[2] < PIECE then
      text[2] = text[2] .. data
    else
      local frame = { kind, data, tee.names[i] }
      frames[#frames + 1] = frame
      text = kind == "text" and frame or nil
    end
  end
  frames[#frames] = { "end" } -- what came after the terminal event does not matter
  return frames
end

-- The reply that owns a transfer has ended; it knows its finish reason when it was read to the end.
local function keep(self, key, tee, reply)
  if reply.err or not (is_kept[reply.finish_reason] or reply.request.kind) then return end
  local id = headers_of.request_id(headers_of.parse(tee.first:headers()))
  local entry = { status = tee.first:status(), headers = { ["x-request-id"] = id },
    frames = frames_of(tee) }
  local ok, problem = self.store:put(key, entry, self.max_bytes)
  if not ok then warn(self, problem) end
end

-- --- how it is answered --------------------------------------------------------------------------

local function next_frame(self)
  self.at = self.at + 1
  local frame = self.recording.frames[self.at]
  return frame[1], frame[2], frame[3]
end

-- A reply for which nothing is spent; it was asked for at `began`.
local function answer(transfer, id, request, began)
  request.call.attempts = 0
  local reply, err = exchange.open(transfer, id, request)
  if reply then reply.cached, reply.started, reply.made = true, began, nil end
  return reply, err
end

local function replay(entry, request, began)
  local transfer = playback.new(entry, next_frame)
  transfer.at = 0
  return answer(transfer, transfer, request, began)
end

local function ask(self, key, request, next)
  return self.flights:lead(key, request, next, function(tee, reply) keep(self, key, tee, reply) end)
end

-- --- the policy ----------------------------------------------------------------------------------

local function mode_of(self, call)
  local mode = call.cache
  if mode == nil or mode == true then mode = self.mode end
  if mode and not modes[mode] then
    options.refuse("request", ('cache must be true, false, "on", "read_only" or "refresh", not %q')
      :format(mode))
  end
  return mode
end

-- A dry run shows what would be sent; a recording is the whole answer already.
local function key_if_used(self, request)
  local call = request.call
  if request.kind and not is_asked[request.kind] or call.dry_run or call.http.offline or
    call.client.recorder then
    return nil
  end
  return store_of(self) and key_of(self, request)
end

--- The policy itself.
function Cache:__call(request, next)
  local mode = mode_of(self, request.call)
  local key = mode and key_if_used(self, request)
  if not key then return next(request) end
  if mode == "refresh" then return ask(self, key, request, next) end
  local began = time.clock()
  local entry = find(self, key)
  if entry then return replay(entry, request, began) end
  if mode == "read_only" then return next(request) end
  local tee = self.flights:join(key, request)
  if tee then return answer(tee:reader(), tee.id, request, began) end
  return ask(self, key, request, next)
end

--- Makes the policy. Given to several clients they share what it keeps.
-- @tparam[opt] table opts `file`: a path, or true for `cache.db` in the user's data folder
-- (default: this process's memory); `ttl`: seconds after which an answer is asked for again
-- (default: none); `max_bytes` (64 MiB in memory, 1 GiB in a file); `mode`: `"on"`, `"read_only"`
-- (nothing is added) or `"refresh"` (nothing is taken); `shared`: whoever asks the same gets the
-- same answer, whatever the key, `tag` and `user` (default: false)
-- @treturn policy
-- @raise invalid_request
-- @usage local client = llm.client { model = "openai/gpt-5-mini", cache = { file = true } }
local function new(opts)
  opts = options.check(opts, known, "cache")
  local mode, path = opts.mode or "on", opts.file
  if not modes[mode] then
    options.refuse("cache", ('mode must be "on", "read_only" or "refresh", not %q'):format(mode))
  end
  for _, name in ipairs { "ttl", "max_bytes" } do
    if opts[name] and (opts[name] <= 0 or opts[name] ~= opts[name]) then
      options.refuse("cache", ("%s must be more than 0, not %g"):format(name, opts[name]))
    end
  end
  if path == true then path = data_folder.path "cache.db" end
  if opts.file == true and not path then
    options.refuse("cache", "there is no home directory; give file a path")
  end
  return setmetatable({
    path = path, store = not path and stores.in_memory() or nil, mode = mode, ttl = opts.ttl,
    max_bytes = opts.max_bytes or (path and 1024 or 64) * MIB, shared = opts.shared,
    flights = flights.new(),
  }, Cache)
end

return { new = new }
