--- Policies: the chain between a client and the wire. Each is `function(request, next) -> reply |
-- nil, err`; the ones of the library stand in llm.policy.NAME and are options of a client under
-- their names: `true` or a table of options makes one, a policy made before is shared, `false` is
-- none.
-- @module llm.policies
local exchange = require "llm.exchange"
local options = require "llm.options"

-- From the script to the wire. What is answered from memory costs nothing; each model that a
-- fallback asks is priced, retried and limited by itself; a retry takes another key, and queues.
local order = { "log", "alert", "metrics", "cache", "fallback", "budget", "retry", "keys", "limit",
  "breaker" }
local defaults = { metrics = true, retry = true }

--- The options that they add to those of a client.
local known = {}
for _, name in ipairs(order) do known[name] = "boolean|table|function" end
known.fallback = "boolean|string|table|function"

local function is_policy(value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(value) == "function" or meta and meta.__call ~= nil
end

local function make(name, value, client)
  if is_policy(value) then return value end
  return require("llm.policy." .. name).new(value ~= true and value or nil, client)
end

--- The policies of a client, outermost first: its own, then the library's.
-- @tparam table opts of the client; `policies` is a list of one's own
-- @tparam table settings `policies` of the configuration: options by name
-- @tparam Client client
-- @treturn table list
local function list(opts, settings, client)
  local result = {}
  for i, policy in ipairs(opts.policies or {}) do
    if not is_policy(policy) then
      options.refuse("policies", ("policies[%d] must be a function, not a %s"):format(
        i, type(policy)))
    end
    result[i] = policy
  end
  for _, name in ipairs(order) do
    local value = opts[name]
    if value == nil then value = settings[name] end
    if value == nil then value = defaults[name] end
    if value then result[#result + 1] = make(name, value, client) end
  end
  result[#result + 1] = client.recorder
  return result
end

--- Joins policies to one function, the innermost of which sends.
-- @tparam table policies outermost first
-- @treturn function `function(request) -> reply | nil, err`
local function chain(policies)
  local send = exchange.send
  for i = #policies, 1, -1 do
    local policy, inner = policies[i], send
    send = function(request) return policy(request, inner) end
  end
  return send
end

return { list = list, chain = chain, known = known }
