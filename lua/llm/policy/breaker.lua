--- Breaker: a provider that fails again and again is left alone for a while. Its state is that of
-- the address, for all clients of this process that have a breaker: closed; open, when calls fail
-- at once without being sent; half-open, when one call tries.
-- @module llm.policy.breaker
local errors = require "llm.error"
local guard = require "llm.guard"
local log = require "llm.log"
local options = require "llm.options"
local time = require "llm.time"
local window = require "llm.window"

local known = {
  ratio = "number", at_least = "number", window = "number", cooldown = "number",
}

-- What speaks of the provider and not of the request.
local is_fault = { provider_unavailable = true, network = true, timeout = true }

local circuits = {} -- address -> circuit

local Circuit = {}
Circuit.__index = Circuit

local function circuit_of(call, seconds)
  local address = call.provider.base_url
  local circuit = circuits[address]
  if not circuit then
    circuit = setmetatable({ provider = call.provider.name, state = "closed",
      recent = window.new(seconds) }, Circuit)
    circuits[address] = circuit
  end
  return circuit
end

--- The call that tries was cancelled: another one may.
function Circuit:close() self.is_tried = false end

local function open(circuit, policy)
  circuit.state, circuit.opened_at = "open", time.clock()
  log.write("warn", circuit.provider, ("%d of the last calls failed; left alone for %g s"):format(
    circuit.recent:sum "faults", policy.cooldown))
end

local function note(circuit, policy, err)
  local is_bad = err and is_fault[err.kind]
  circuit.recent:add("calls", 1)
  circuit.recent:add("faults", is_bad and 1 or 0)
  if circuit.state == "half-open" then
    if is_bad then return open(circuit, policy) end
    circuit.state, circuit.recent = "closed", window.new(policy.window)
  elseif circuit.state == "closed" and is_bad then
    local calls = circuit.recent:sum "calls"
    if calls >= policy.at_least and circuit.recent:sum "faults" >= policy.ratio * calls then
      open(circuit, policy)
    end
  end
end

-- Seconds until a call may try; nil: it may.
local function time_to_try(circuit, policy)
  if circuit.state == "closed" then return nil end
  local left = circuit.state == "open" and circuit.opened_at + policy.cooldown - time.clock() or 0
  if left > 0 then return left end
  return circuit.is_tried and 1 or nil
end

local function refuse(call, seconds)
  return nil, errors.new("provider_unavailable", ("the provider failed too often and is left alone "
    .. "for another %.0f s"):format(math.ceil(seconds)), { provider = call.provider.name,
    retry_after = seconds, retryable = false })
end

local function send(_, request, next) return next(request) end

local Breaker = {}
Breaker.__index = Breaker

--- The policy itself.
function Breaker:__call(request, next)
  local circuit = circuit_of(request.call, self.window)
  local seconds = time_to_try(circuit, self)
  if seconds then return refuse(request.call, seconds) end
  local reply, err
  if circuit.state == "closed" then
    reply, err = next(request)
  else
    circuit.state, circuit.is_tried = "half-open", true
    reply, err = guard.run(circuit, send, request, next)
    circuit.is_tried = false
  end
  if not reply then note(circuit, self, err) return nil, err end
  if circuit.state == "half-open" then note(circuit, self, nil) end
  reply:finally(function() note(circuit, self, reply.err) end)
  return reply
end

--- Makes the policy.
-- @tparam[opt] table opts `ratio` (0.5: the share of calls that must fail), `at_least` (10: calls
-- in the window before that is judged), `window` (30 seconds), `cooldown` (30 seconds)
-- @treturn policy
-- @usage local client = llm.client { breaker = true, fallback = "anthropic/claude-haiku-4-5" }
local function new(opts)
  opts = options.check(opts, known, "breaker")
  local self = { ratio = opts.ratio or 0.5, at_least = opts.at_least or 10,
    window = opts.window or 30, cooldown = opts.cooldown or 30 }
  for name, value in pairs(self) do
    if value <= 0 or value ~= value then
      options.refuse("breaker", ("%s must be more than 0, not %g"):format(name, value))
    end
  end
  if self.ratio > 1 then options.refuse("breaker", "ratio must be at most 1") end
  return setmetatable(self, Breaker)
end

--- The worst state among the addresses of a provider.
-- @tparam string provider
-- @treturn string|nil `"closed"`, `"open"`, `"half-open"`; nil: it has no breaker
local function state(provider)
  local worst
  for _, circuit in pairs(circuits) do
    if circuit.provider == provider and (not worst or circuit.state ~= "closed") then
      worst = circuit.state
    end
  end
  return worst
end

return {
  new = new,
  state = state,
  reset = function() for address in pairs(circuits) do circuits[address] = nil end end,
}
