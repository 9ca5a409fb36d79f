--- Flights: of the calls that ask the same at the same time one asks, and all read its answer while
-- it comes. Where there is none, each of the others asks for itself; where the one who asks leaves
-- before it, the next asks in its place.
-- @module llm.flights
local exchange = require "llm.exchange"
local guard = require "llm.guard"
local task = require "llm.task"
local tees = require "llm.tee"

local Flights = {} -- by_key: key -> flight, and once its answer comes the tee that brings it
Flights.__index = Flights

-- Who asks. Those who wait know the flight alone: when a leader is dropped, its guard closes it.
local Leader = {}
Leader.__index = Leader

local function land(leader, tee)
  local by_key, flight = leader.flights.by_key, leader.flight
  leader.has_landed, flight.tee = true, tee
  if by_key[leader.key] == flight then by_key[leader.key] = tee end
  task.wake(flight)
end

--- Leaves. Idempotent.
function Leader:close()
  if not self.has_landed then land(self, nil) end
end

-- The answer of a fallback is not the one that was asked for: it is not shared.
local function ask(leader, request, next)
  request.call.http = tees.around(request.call.http)
  local reply, err = next(request)
  local tee = reply and not reply.request.call.tried and tees.of(reply)
  if not tee then
    leader.flight.failed = true
    land(leader, nil)
    return reply, err
  end
  tee.request = request
  reply:finally(function() leader.ended(tee, reply) end)
  local reader = tee:reader()
  if tee.over then reply:fold() end
  land(leader, tee)
  local own
  own, err = exchange.open(reader, tee.id, request)
  if own then own.started, own.first_content = reply.started, reply.first_content end
  return own, err
end

--- Asks for all who ask the same meanwhile.
-- @tparam string key
-- @tparam table request canonical
-- @tparam function next of the policy
-- @tparam function ended `function(tee, reply)`: the reply that owns the transfer has ended
-- @treturn Reply
-- @treturn nil, err
function Flights:lead(key, request, next, ended)
  local flight = { request = request }
  local leader = setmetatable({ flights = self, key = key, flight = flight, ended = ended }, Leader)
  leader.guard = guard.new(leader)
  self.by_key[key] = self.by_key[key] or flight
  return guard.run(leader, ask, request, next)
end

local limits = { "deadline", "timeout", "first_timeout", "max_response_bytes" }

local function has_limits_of(call, other)
  for _, name in ipairs(limits) do
    if call[name] ~= other[name] then return false end
  end
  return true
end

--- The transfer that brings the answer to the same request; waits until there is one.
-- @tparam string key
-- @tparam table request canonical
-- @treturn Tee|nil nil: ask
function Flights:join(key, request)
  while true do
    local flight = self.by_key[key]
    if not flight or flight.over or not has_limits_of(request.call, flight.request.call) then
      return nil
    end
    if flight.reader then return flight end
    task.wait(flight)
    if flight.tee or flight.failed then return flight.tee end
  end
end

local function new()
  return setmetatable({ by_key = setmetatable({}, { __mode = "v" }) }, Flights)
end

return { new = new }
