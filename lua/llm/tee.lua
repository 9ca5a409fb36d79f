--- Tee: one transfer that several replies read, each at its own pace. Whoever wants more than has
-- come pulls; what has come is kept. The first reader's reply owns the transfer: when that ends too
-- early, all end; when the last of the others leaves, it is closed.
-- @module llm.tee
local Tee = {}
Tee.__index = Tee

local Reader = {} -- has the methods of a transfer
Reader.__index = Reader

--- A further reader, who begins at the beginning.
function Tee:reader()
  self.readers = self.readers + 1
  return setmetatable({ tee = self, at = 0 }, Reader)
end

local function add(self, kind, data, name)
  local count = self.count + 1
  self.count = count
  self.kinds[count], self.data[count], self.names[count] = kind, data, name
  self.over = kind == "end" or kind == "error"
end

-- At the end the owner reads what it did not: it has been paid for.
local function pull(self)
  local kind, data, name = self.transfer:next()
  if not kind or self.over then return self.over end -- a finalizer may have closed it meanwhile
  add(self, kind, data, name)
  if self.over and self.owner then self.owner:fold() end
  return true
end

function Reader:next()
  local tee, at = self.tee, self.at + 1
  if at > tee.count and not pull(tee) then return nil end
  self.at = at
  return tee.kinds[at], tee.data[at], tee.names[at]
end

function Reader:ready() return self.at < self.tee.count or self.tee.transfer:ready() end

-- What a late reader finds says nothing of the transfer's being alive.
function Reader:touch()
  if self.at == self.tee.count then self.tee.transfer:touch() end
end

function Reader:expect_end() self.tee.transfer:expect_end() end
function Reader:status() return self.tee.transfer:status() end
function Reader:header(name) return self.tee.transfer:header(name) end
function Reader:headers() return self.tee.transfer:headers() end
function Reader:phase() return self.tee.transfer:phase() end
function Reader:sent() return self.tee.transfer:sent() end

-- Stands in for a transfer that was closed: it answers what it did.
local function remains_of(transfer)
  local status, phase, sent, block = transfer:status(), transfer:phase(), transfer:sent(),
    transfer:headers()
  return {
    status = function() return status end,
    phase = function() return phase end,
    sent = function() return sent end,
    headers = function() return block end,
    header = function(_, name) return require("llm.headers").parse(block)[name] end,
    expect_end = function() end, touch = function() end, close = function() end,
  }
end

local function close_transfer(self)
  local transfer = self.transfer
  self.transfer = remains_of(transfer)
  transfer:close()
  if self.over then return end
  add(self, "error", "closed", "who asked first has left")
end

function Reader:close()
  if self.closed then return end
  self.closed = true
  local tee = self.tee
  tee.readers = tee.readers - 1
  if tee.first == self then return close_transfer(tee) end
  if tee.readers == 1 and not tee.over then tee.owner:close() end
end

--- Stands in for the HTTP client of a call, so that the replies to it can be read by several.
-- @param http the client, or what stands in for it
-- @treturn table with the method `start`
local function around(http)
  return {
    offline = http.offline,
    start = function(_, setup, body, skimmer)
      local transfer, id = http:start(setup, body, skimmer)
      if not transfer then return nil, id end
      local tee = setmetatable({ transfer = transfer, id = id, readers = 0, count = 0, kinds = {},
        data = {}, names = {}, over = false }, Tee)
      tee.first = tee:reader()
      return tee.first, id
    end,
  }
end

--- Makes a reply the owner of the tee that it reads; it is read no further but by that.
-- @tparam Reply reply
-- @treturn Tee|nil nil: it reads none
local function of(reply)
  local tee = getmetatable(reply.transfer) == Reader and reply.transfer.tee or nil
  if tee then tee.owner = reply end
  return tee
end

return { around = around, of = of }
