--- Limit: so many calls at once, so many requests and tokens a minute; who came first goes first.
-- Limits hold over every minute, wherever it begins. What a provider says of its own limits is
-- followed: no request while none is left, fewer at once after a refusal.
-- @module llm.policy.limit
local errors = require "llm.error"
local estimate = require "llm.estimate"
local guard = require "llm.guard"
local headers_of = require "llm.headers"
local options = require "llm.options"
local task = require "llm.task"
local time = require "llm.time"

local MINUTE = 60
local ANSWER = 1000 -- tokens that an answer is taken for where max_tokens is not set

local known = {
  concurrency = "number", requests_per_minute = "number", tokens_per_minute = "number",
  max_queue = "number", max_wait = "number", adaptive = "boolean",
}

local smallest = {
  concurrency = 1, requests_per_minute = 1, tokens_per_minute = 1, max_queue = 0, max_wait = 0,
}

-- A call that waits, then runs. The queue holds it weakly: one that is dropped leaves it.
local Ticket = {}
Ticket.__index = Ticket

local Limiter = {}
Limiter.__index = Limiter

-- Takes what is older than a minute out of the sums.
local function forget_old(self, now)
  local at = self.oldest
  while self.admitted[at] and now - self.admitted[at].at >= MINUTE do
    self.requests, self.tokens = self.requests - 1, self.tokens - self.admitted[at].need
    self.admitted[at] = nil
    at = at + 1
  end
  self.oldest = at
end

-- Seconds until enough of the last minute's calls are a minute old.
local function time_to_rate(self, need, now)
  forget_old(self, now)
  local requests, tokens, at = self.requests + 1, self.tokens + need, self.oldest
  local wait = 0
  while requests > self.requests_per_minute or tokens > self.tokens_per_minute do
    local entry = self.admitted[at]
    if not entry then break end
    requests, tokens = requests - 1, tokens - entry.need
    wait = entry.at + MINUTE - now
    at = at + 1
  end
  return wait
end

-- Seconds until the ticket may run, as far as is known; 0: now.
local function time_to_go(self, ticket, now)
  if self.running >= math.floor(self.allowed) then return math.huge end
  local pause = self.paused_until - now
  local wait = self.has_rate and time_to_rate(self, ticket.need, now) or 0
  return math.max(0, wait, pause)
end

-- The first ticket of the queue, which is the only one that looks at the clock.
local function head_of(self)
  while self.first <= self.last do
    local ticket = self.queue[self.first]
    if ticket then return ticket end
    self.first = self.first + 1
  end
end

-- Lets the first of the queue look again.
local function wake_head(self)
  local head = head_of(self)
  if head then task.wake(head.waits_for) end
end

local function leave_queue(ticket)
  local self = ticket.limiter
  self.queue[ticket.place], ticket.place = nil, nil
  self.queued = self.queued - 1
  wake_head(self)
end

local function start(ticket, now)
  local self = ticket.limiter
  if ticket.place then leave_queue(ticket) end
  ticket.is_running = true
  self.running = self.running + 1
  if not self.has_rate then return end
  ticket.entry = { at = now, need = ticket.need }
  self.newest = self.newest + 1
  self.admitted[self.newest] = ticket.entry
  self.requests, self.tokens = self.requests + 1, self.tokens + ticket.need
end

-- The true number of tokens, once it is known, counts in place of the estimate.
local function correct(ticket, tokens)
  local self, entry = ticket.limiter, ticket.entry
  if not entry or not tokens then return end
  forget_old(self, time.clock())
  if time.clock() - entry.at >= MINUTE then return end
  self.tokens = self.tokens + tokens - entry.need
  entry.need = tokens
end

--- Leaves the queue, or lets the next one run. Idempotent.
function Ticket:close()
  if self.place then leave_queue(self) end
  if not self.is_running then return end
  self.is_running = false
  self.limiter.running = self.limiter.running - 1
  wake_head(self.limiter)
end

local function refuse(ticket, text, fields)
  fields = fields or {}
  fields.provider, fields.model = ticket.request.call.provider.name, ticket.request.model
  return nil, errors.new("rate_limit", "limit: " .. text, fields)
end

local function too_late(ticket)
  return refuse(ticket, ("waited %.3g s for its turn, as long as max_wait allows; %d others wait")
    :format(ticket.limiter.max_wait, ticket.limiter.queued), { retryable = false })
end

-- The first of the queue waits for the clock or for one that ends, the others for their turn.
-- Since those before it have waited longer, nobody's patience ends before the first one's.
local function wait_as_head(ticket, seconds, now)
  local patience = ticket.came + ticket.limiter.max_wait - now
  local timer, id = task.loop():timer(math.min(seconds, math.max(0, patience)))
  ticket.waits_for = id
  task.wait(id)
  ticket.waits_for = ticket
  timer:close()
end

local function queue_up(ticket)
  local self = ticket.limiter
  self.last = self.last + 1
  self.queue[self.last], ticket.place = ticket, self.last
  ticket.waits_for = ticket
  ticket.ahead = self.queued
  self.queued = self.queued + 1
end

-- Waits for the ticket's turn: true | nil, err
local function await_turn(ticket)
  local self, now = ticket.limiter, ticket.came
  if not head_of(self) and time_to_go(self, ticket, now) <= 0 then return start(ticket, now) end
  if self.queued >= self.max_queue then
    return refuse(ticket, ("%d calls wait already, as many as max_queue allows"):format(
      self.queued), { retryable = false })
  end
  queue_up(ticket)
  while true do
    now = time.clock()
    if head_of(self) == ticket then
      local seconds = time_to_go(self, ticket, now)
      if seconds <= 0 then return start(ticket, now) end
      if now - ticket.came >= self.max_wait then
        leave_queue(ticket)
        return too_late(ticket)
      end
      wait_as_head(ticket, seconds, now)
    else
      task.wait(ticket)
    end
  end
end

local function pause(self, seconds)
  self.paused_until = math.max(self.paused_until, time.clock() + math.min(seconds, MINUTE))
end

-- None left until the reset: the next one waits for it, but not longer than a minute: then the
-- provider is asked again.
local function read_headers(self, block)
  if not block:lower():find("ratelimit-", 1, true) then return end
  local told = headers_of.rate_limit(headers_of.parse(block), time.now()) or {}
  for _, what in ipairs { "requests", "tokens", "input_tokens", "output_tokens" } do
    local left, reset = told[what .. "_remaining"], told[what .. "_reset"]
    if left == 0 and reset then pause(self, reset) end
  end
end

-- Half as many at once after a refusal, one more after as many good replies as run at once.
local function adapt(self, err)
  if not err then
    self.allowed = math.min(self.concurrency, self.allowed + 1 / self.allowed)
  elseif err.kind == "rate_limit" then
    self.allowed = math.max(1, self.allowed / 2)
    if err.retry_after then pause(self, err.retry_after) end
  end
end

local function finish(ticket, reply, err)
  local self = ticket.limiter
  if self.adaptive then adapt(self, err) end
  local response = reply and ticket.entry and reply:response()
  correct(ticket, response and response.tokens_used)
  ticket:close()
end

local function tell_wait(ticket)
  local call, waited = ticket.request.call, time.clock() - ticket.came
  if not ticket.ahead then return end
  call.waited = (call.waited or 0) + waited
  call.queue_time, call.queue_length = (call.queue_time or 0) + waited, ticket.ahead
end

local function pass(ticket, request, next)
  local _, err = await_turn(ticket)
  tell_wait(ticket)
  if err then return nil, err end
  local reply
  reply, err = next(request)
  if not reply then finish(ticket, nil, err) return nil, err end
  if ticket.limiter.adaptive then read_headers(ticket.limiter, reply.transfer:headers()) end
  reply:finally(function() finish(ticket, reply, reply.err) end)
  return reply
end

local function need_of(self, request)
  if self.tokens_per_minute == math.huge then return 0 end
  return estimate.input(request) + (request.max_tokens or ANSWER)
end

--- The policy itself.
function Limiter:__call(request, next)
  local ticket = setmetatable({ limiter = self, request = request, came = time.clock(),
    need = need_of(self, request) }, Ticket)
  if ticket.need > self.tokens_per_minute then
    return refuse(ticket, ("the call may take %d tokens, and tokens_per_minute is %d; shorten it "
      .. "or set max_tokens"):format(ticket.need, self.tokens_per_minute), { retryable = false })
  end
  ticket.guard = guard.new(ticket)
  return guard.run(ticket, pass, request, next)
end

--- What runs and what waits now.
-- @treturn table `running`, `queued`, `concurrency` (calls at once that are allowed now)
function Limiter:status()
  return { running = self.running, queued = self.queued, concurrency = math.floor(self.allowed) }
end

--- Makes the policy. Given to several clients it limits all of them together.
-- @tparam[opt] table opts `concurrency` (5), `requests_per_minute`, `tokens_per_minute` (prompt and
-- answer), `max_queue` (calls that may wait), `max_wait` (seconds; an error of kind `rate_limit`),
-- `adaptive` (true: follows what the provider tells)
-- @treturn policy with `status()`
-- @usage local client = llm.client { limit = { concurrency = 16, requests_per_minute = 500 } }
local function new(opts)
  opts = options.check(opts, known, "limit")
  for name, least in pairs(smallest) do
    local value = opts[name] or least
    if value < least or value ~= value then
      options.refuse("limit", ("%s must be at least %d, not %g"):format(name, least, value))
    end
  end
  local concurrency = opts.concurrency or 5
  return setmetatable({
    concurrency = concurrency, allowed = concurrency, running = 0,
    adaptive = opts.adaptive ~= false,
    queue = setmetatable({}, { __mode = "v" }), first = 1, last = 0, queued = 0,
    max_queue = opts.max_queue or math.huge, max_wait = opts.max_wait or math.huge,
    requests_per_minute = opts.requests_per_minute or math.huge,
    tokens_per_minute = opts.tokens_per_minute or math.huge,
    has_rate = opts.requests_per_minute ~= nil or opts.tokens_per_minute ~= nil,
    admitted = {}, oldest = 1, newest = 0, requests = 0, tokens = 0, paused_until = -math.huge,
  }, Limiter)
end

return { new = new }
