--- Budget: a limit of dollars or tokens for a day or another window. What a call may take is
-- reserved before it and settled after it, so that many at once cannot pass the limit together.
-- @module llm.policy.budget
local data_folder = require "llm.data_folder"
local errors = require "llm.error"
local estimate = require "llm.estimate"
local guard = require "llm.guard"
local ledger = require "llm.ledger"
local log = require "llm.log"
local options = require "llm.options"
local time = require "llm.time"

local ANSWER = 1000 -- tokens that an answer is taken for where max_tokens is not set
local NANO = 1e9
local MOST = 2 ^ 53

local windows = { hour = 3600, day = 86400, week = 7 * 86400 }

local known = {
  usd = "number", tokens = "number", window = "string|number", by = "string|function",
  file = "string|boolean", answer = "number", unknown_price = "string", unavailable = "string",
}

-- What splits a budget into accounts.
local splits = {
  tag = function(request) return request.call.tag or "" end,
  provider = function(request) return request.call.provider.name end,
  model = function(request) return request.call.provider.name .. "/" .. request.model end,
  key = function(request)
    local key = request.call.client.key
    return key and "…" .. key:sub(-4) or ""
  end,
}

local Budget = {}
Budget.__index = Budget

-- One call's reservation.
local Hold = {}
Hold.__index = Hold

local function since(self) return math.floor(time.now() / self.window) * self.window end

local function account_of(self, request)
  local part = self.split and tostring(self.split(request)) or ""
  return self.split and self.by .. ":" .. part or "all"
end

local function nanodollars(usd) return math.min(MOST, math.floor(usd * NANO + 0.5)) end

-- The ledger, opened when first needed.
local function the_ledger(self)
  if self.ledger then return self.ledger end
  local err
  self.ledger, err = ledger.open(self.path)
  return self.ledger, err
end

local function fail(request, text)
  return errors.new("budget", text,
    { provider = request.call.provider.name, model = request.model })
end

local function dollars(nano) return ("$%.4f"):format(nano / NANO) end

-- What the limit is, what is left of it, and when it begins anew.
local function no_room(self, request, account, sum, amount)
  local unit = self.ledger.full_unit(sum, self.limit, amount)
  local show = unit == "nanodollars" and dollars or function(n) return ("%d tokens"):format(n) end
  local text = ("the limit of %s (%s%s) leaves no room: %s spent, %s reserved, this call may take "
    .. "%s; it begins anew at %s"):format(show(self.limit[unit]), self.window_name,
    account == "all" and "" or ", " .. account, show(sum.spent[unit]), show(sum.reserved[unit]),
    show(amount[unit]), time.stamp(since(self) + self.window))
  return fail(request, text)
end

local function no_price(request)
  return fail(request, ("no price is known for %s, so a budget of dollars cannot count it; give "
    .. "its price in costs, or set unknown_price = \"allow\""):format(request.model))
end

-- What a call may take: `{nanodollars =, tokens =}` | nil, err
local function worst_case(self, request)
  local usage = { input_tokens = estimate.input(request),
    output_tokens = request.kind and 0 or request.max_tokens or self.answer }
  local usd = request.call.client:cost(request.model, request.model, usage, request)
  if not usd and self.limit.nanodollars and not self.allows_unknown then
    return nil, no_price(request)
  end
  return { nanodollars = nanodollars(usd or 0), tokens = usage.input_tokens + usage.output_tokens }
end

-- What it took; what was reserved, where a provider's figures make no sense.
local function taken(response, reserved)
  local usd, tokens = response.cost_estimate, response.tokens_used
  return { nanodollars = usd and nanodollars(usd) or reserved.nanodollars,
    tokens = tokens and math.min(MOST, tokens) or reserved.tokens }
end

local NOTHING = { nanodollars = 0, tokens = 0 }

local function settle(hold, amount)
  if hold.is_settled then return end
  hold.is_settled = true
  local ok, err = hold.budget.ledger:settle(hold.id, amount)
  if not ok then log.write("error", "budget", tostring(err)) end
end

--- Called when the call's task was cancelled or the call dropped: what was reserved may be spent.
function Hold:close() settle(self, self.amount) end

local function pass(hold, request, next)
  local reply, err = next(request)
  if reply then
    reply:finally(function() settle(hold, taken(reply:response(), hold.amount)) end)
  elseif err.partial then
    settle(hold, taken(err.partial, hold.amount))
  else
    settle(hold, err.maybe_billed and hold.amount or NOTHING)
  end
  return reply, err
end

-- The limit cannot be looked at: nothing is sent, unless the user wants it so.
local function unavailable(self, request, next, err)
  err.provider, err.model = request.call.provider.name, request.model
  if not self.goes_on then return nil, err end
  log.write("warn", "budget", tostring(err))
  return next(request)
end

--- The policy itself.
function Budget:__call(request, next)
  local amount, err = worst_case(self, request)
  if not amount then return nil, err end
  local book
  book, err = the_ledger(self)
  if not book then return unavailable(self, request, next, err) end
  local account = account_of(self, request)
  local id
  id, err = book:reserve(account, since(self), self.limit, amount)
  if not id and errors.is_error(err) then return unavailable(self, request, next, err) end
  if not id then return nil, no_room(self, request, account, err, amount) end
  local hold = setmetatable({ budget = self, id = id, amount = amount }, Hold)
  hold.guard = guard.new(hold)
  return guard.run(hold, pass, request, next)
end

--- What is spent, reserved and left in the window that is now.
-- @tparam[opt] string account as `by` makes it: `"tag:nightly"`; default: where there is no `by`
-- @treturn table `spent`, `reserved`, `limit`, `left` (USD, or tokens for a limit of tokens),
-- `unit`, `resets_at` (Unix time)
-- @treturn nil, err
-- @usage print(client:budget_status().left)
function Budget:status(account)
  local book, err = the_ledger(self)
  local sum
  if book then sum, err = book:sums(account or "all", since(self)) end
  if not sum then return nil, err end
  local unit = self.limit.nanodollars and "nanodollars" or "tokens"
  local scale = unit == "nanodollars" and NANO or 1
  local spent, reserved, limit = sum.spent[unit], sum.reserved[unit], self.limit[unit]
  return { spent = spent / scale, reserved = reserved / scale, limit = limit / scale,
    left = (limit - spent - reserved) / scale,
    unit = unit == "tokens" and unit or "usd", resets_at = since(self) + self.window }
end

--- Whether a call that may take so much would be let through now.
-- @tparam[opt] number amount USD, or tokens for a limit of tokens; default 0
-- @tparam[opt] string account
-- @treturn boolean
-- @treturn number|err what is left; the error where the ledger cannot be read
function Budget:can_make_request(amount, account)
  local status, err = self:status(account)
  if not status then return false, err end
  return (amount or 0) <= status.left and status.left > 0, status.left
end

--- Counts what was spent elsewhere.
-- @tparam number usd
-- @tparam[opt] number tokens
-- @tparam[opt] string account
-- @treturn boolean true
-- @treturn nil, err
function Budget:record_cost(usd, tokens, account)
  if usd < 0 or usd ~= usd then options.refuse("budget", "a cost must not be negative") end
  local book, err = the_ledger(self)
  if not book then return nil, err end
  return book:add(account or "all", since(self),
    { nanodollars = nanodollars(usd), tokens = tokens or 0 })
end

local function choice(opts, name)
  local value = opts[name] or "refuse"
  if value ~= "refuse" and value ~= "allow" then
    options.refuse("budget", ("%s must be \"refuse\" or \"allow\", not %q"):format(name, value))
  end
  return value == "allow"
end

local function check(opts)
  options.check(opts, known, "budget")
  if not (opts.usd or opts.tokens) then
    options.refuse("budget", "give a limit: usd (dollars) or tokens")
  end
  for _, name in ipairs { "usd", "tokens", "answer" } do
    local value = opts[name] or 0
    if value < 0 or value > MOST or value ~= value then
      options.refuse("budget", ("%s must be at least 0, not %g"):format(name, value))
    end
  end
  local window = opts.window or "day"
  local seconds = windows[window] or window
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 1 then
    options.refuse("budget", ("window must be hour, day, week or a number of seconds, not %q")
      :format(tostring(window)))
  end
  if type(opts.by) == "string" and not splits[opts.by] then
    options.refuse("budget", ("by must be tag, key, provider, model or a function, not %q"):format(
      opts.by))
  end
  return seconds
end

--- Makes the policy. Given to several clients it is one budget for all of them.
-- @tparam table opts `usd` or `tokens` (the limit; with both, both hold), `window`: `"hour"`,
-- `"day"` (default; days of UTC), `"week"` or seconds; `by`: `"tag"`, `"key"`, `"provider"`,
-- `"model"` or `function(request) -> name`: a limit for each; `file`: a path, or `true` for one of
-- this user, shared by processes (default: this process's own); `answer`: tokens that an answer is
-- taken for where max_tokens is not set (1000); `unknown_price` and `unavailable` (the file cannot
-- be used): `"refuse"` (default) or `"allow"`
-- @treturn policy with `status()`, `can_make_request(usd)`, `record_cost(usd)`
-- @usage local client = llm.client { budget = { usd = 10, file = true } }
local function new(opts)
  opts = opts or {}
  local seconds = check(opts)
  local file = opts.file
  if file == true then
    file = data_folder.path "budget.db" or options.refuse("budget", "file = true needs HOME")
  end
  return setmetatable({
    limit = { nanodollars = opts.usd and nanodollars(opts.usd), tokens = opts.tokens },
    window = seconds, window_name = windows[opts.window or "day"] and (opts.window or "day") or
      ("%g s"):format(seconds),
    by = type(opts.by) == "string" and opts.by or "own", split = splits[opts.by] or opts.by,
    path = file or ":memory:", answer = opts.answer or ANSWER,
    allows_unknown = choice(opts, "unknown_price"), goes_on = choice(opts, "unavailable"),
  }, Budget)
end

return { new = new }
