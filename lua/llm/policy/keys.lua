--- Keys: several keys of one provider. A conversation stays with its key, so that what the provider
-- cached of its prompt is found; a key that is refused or asked to wait is passed over.
-- @module llm.policy.keys
local errors = require "llm.error"
local log = require "llm.log"
local message = require "llm.message"
local options = require "llm.options"
local time = require "llm.time"

local COOLDOWN = 30 -- seconds, where the provider does not say
local PREFIX = 512 -- bytes of each of the first messages that tell a conversation

-- kind of error -> whether the key is bad for good; nil: the key is not to blame
local blames = { authentication = true, permission = true, quota = true, rate_limit = false }

local Keys = {}
Keys.__index = Keys

local function add(hash, text)
  for i = 1, math.min(#text, PREFIX) do hash = (hash * 31 + text:byte(i)) % 2 ^ 32 end
  return hash
end

-- Which key a conversation begins with: by its system prompt and the first of the user's messages.
local function home_of(self, request)
  local hash = 0
  for i = 1, math.min(2, #request.messages) do
    local one = request.messages[i]
    hash = add(hash, message.text_of(one.content))
    if one.role ~= "system" then break end
  end
  return hash % #self.keys
end

local function name_of(key) return "the key that ends with " .. key.value:sub(-4) end

local function blame(key, err)
  if blames[err.kind] then
    key.is_parked, key.err = true, err
    log.write("warn", err.provider or "keys", ("%s is not used any more: %s"):format(name_of(key),
      err.kind))
  else
    key.rests_until, key.err = time.clock() + (err.retry_after or COOLDOWN), err
  end
end

-- All keys are refused or rest: the error of the one that rests for the shortest time.
local function none_left(self, request)
  local soonest
  for _, key in ipairs(self.keys) do
    local is_sooner = not key.is_parked and (not soonest or key.rests_until < soonest.rests_until)
    if is_sooner then soonest = key end
  end
  local err = (soonest or self.keys[1]).err
  local wait = soonest and math.max(0, soonest.rests_until - time.clock())
  return nil, errors.new(err.kind, ("none of %d keys can be used: %s"):format(#self.keys,
    err.message), { provider = request.call.provider.name, model = request.model,
    status = err.status, retry_after = wait, retryable = soonest ~= nil })
end

--- The policy itself.
function Keys:__call(request, next)
  local call, home = request.call, home_of(self, request)
  for i = 0, #self.keys - 1 do
    local key = self.keys[(home + i) % #self.keys + 1]
    if not key.is_parked and time.clock() >= key.rests_until then
      call.key, call.setups = key.value, key.setups
      local reply, err = next(request)
      if reply or blames[err.kind] == nil then return reply, err end
      blame(key, err)
    end
  end
  return none_left(self, request)
end

--- How the keys are.
-- @treturn table list of `ends_with` (four characters), `state`: `"ok"`, `"rests"`, `"refused"`
function Keys:status()
  local list = {}
  for i, key in ipairs(self.keys) do
    local rests = time.clock() < key.rests_until
    list[i] = { ends_with = key.value:sub(-4),
      state = key.is_parked and "refused" or rests and "rests" or "ok" }
  end
  return list
end

--- Makes the policy. Clients make it themselves where a provider has several keys.
-- @tparam table list keys
-- @treturn policy with `status()`
-- @usage local client = llm.client { api_keys = { "env:KEY_A", "env:KEY_B" } }
local function new(list)
  local self = { keys = {} }
  for i, value in ipairs(list or {}) do
    self.keys[i] = { value = value, setups = {}, rests_until = -math.huge }
  end
  if not self.keys[1] then options.refuse("keys", "give a list of keys") end
  return setmetatable(self, Keys)
end

return { new = new }
