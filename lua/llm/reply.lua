--- Reply: the answer of one request as it comes in, pulled event by event.
-- The transfer gives frames, the dialect turns them into calls of the methods of llm.sink, `next`
-- hands out what they recorded. A plain body is one frame of type `body`: the same road.
-- @module llm.reply
local core = require "llm.core"
local errors = require "llm.error"
local failure = require "llm.failure"
local guard = require "llm.guard"
local response = require "llm.response"
local task = require "llm.task"

local clock, decode, wait = core.loop.clock, core.json.decode, task.wait

local Reply = {}
Reply.__index = Reply
for name, method in pairs(require "llm.sink") do Reply[name] = method end

local transfer_kinds = {
  timeout = "timeout", network = "network", protocol = "protocol", cut = "truncated",
  too_big = "protocol", syntax = "protocol", invalid = "invalid_request", closed = "cancelled",
}

--- Makes the reply of a transfer that was just started.
-- @treturn Reply
local function new(transfer, id, dialect, request)
  return setmetatable({
    transfer = transfer, id = id, dialect = dialect, request = request,
    decode_event = dialect["decode_" .. (request.kind or "event")],
    state = {},                    -- the dialect's own
    queue = {}, head = 1, tail = 0, -- type, value, type, value …
    texts = {}, text_count = 0, blocks = {}, started = clock(),
    -- recorded by llm.sink and below; named here so that the table has its size at once
    take = transfer.next, over = false, first_content = false, touched = false, err = false,
    counts = nil, model_id = nil, finish_reason = nil, finish_reason_raw = nil, is_complete = nil,
    items = nil, next_page = nil, any = nil, settled = nil, ended = nil, header_block = nil,
    made = nil, endings = nil, cached = nil,
  }, Reply)
end

--- The reply is an error.
function Reply:fail(kind, message, fields)
  if self.err then return end
  self.err = self:error(kind, message, fields)
end

--- An error that knows where it comes from.
function Reply:error(kind, message, fields)
  local err = errors.new(kind, message, fields)
  local request = self.request
  err.provider = err.provider or request.call.provider.name
  err.model = err.model or request.model
  err.attempts = request.call.attempts
  local status = self.transfer:status()
  if status ~= 0 then err.status = err.status or status end
  return failure.complete(err, self)
end

local function read_error_reply(self, body)
  local status = self.transfer:status()
  self.err = failure.of_status(self, status, body)
end

local function read_event(self, data, name, is_rest)
  local status = self.transfer:status()
  if status < 200 or status > 299 then return read_error_reply(self, data) end
  local json, message
  local at = data:find("[^%s]")
  local byte = at and data:byte(at)
  if byte == 123 or byte == 91 and data ~= "[DONE]" then -- { or [
    json, message = decode(data)
    if json == nil then
      if is_rest then return end
      return self:fail("protocol", "the reply is not JSON: " .. message)
    end
  elseif name == "body" then
    return self:fail("protocol", failure.not_json(self, data))
  end
  self.any = true
  self.decode_event({ type = name, data = data, json = json }, self)
end

local function read_end(self)
  self.over = true
  if self.err or self.is_complete then return end
  local status = self.transfer:status()
  if status < 200 or status > 299 then
    read_error_reply(self, "")
  elseif not self.any then
    self:fail("protocol", failure.not_json(self, ""))
  elseif not self.finish_reason then
    self:fail("truncated", "the stream ended before its terminal event")
  end
end

local function read_failure(self, code, message)
  self.over = true
  if self.err or self.is_complete then return end
  self:fail(transfer_kinds[code] or "network", message, {
    phase = self.transfer:phase(),
    maybe_billed = self.transfer:sent() or self.transfer:status() ~= 0,
  })
end

-- Takes one thing from the transfer, waiting for it; a run of skimmed text is returned at once.
local function pull(self)
  local transfer, take = self.transfer, self.take
  local kind, data, name = take(transfer)
  while not kind do
    wait(self.id)
    if self.settled then return end
    kind, data, name = take(transfer)
  end
  if kind == "text" then
    if not self.first_content then self.first_content = clock() end
    self:keep(data)
    return data
  elseif kind == "event" or kind == "rest" then
    read_event(self, data, name, kind == "rest")
    if self.touched then
      self.touched = false
      transfer:touch()
    end
  elseif kind == "end" then
    read_end(self)
  else
    read_failure(self, data, name)
  end
  if self.err then self.over = true end
end

--- The next event; waits for it. Raises the error that ended the reply.
-- @treturn string|nil type: text, reasoning, refusal, tool_call, tool_arguments, media, finish; nil
-- at the end
-- @return its value
function Reply:next()
  while true do
    local head = self.head
    if head <= self.tail then
      local queue = self.queue
      local kind, value = queue[head], queue[head + 1]
      queue[head], queue[head + 1] = nil, nil
      self.head = head + 2
      return kind, value
    end
    if self.over then
      self:settle()
      if self.err and not self.reported then
        self.reported = true
        self.err.partial = self.err.partial or self:response()
        error(self.err, 0)
      end
      return nil
    end
    local text = pull(self)
    if text then return "text", text end
  end
end

local function opening(self)
  while not self.over and not self.first_content do
    local text = pull(self)
    if text then
      self.queue[self.tail + 1], self.queue[self.tail + 2] = "text", text
      self.tail = self.tail + 2
    end
  end
  if self.err and not self.first_content then
    self:settle()
    self.reported = true
    return nil, self.err
  end
  return self
end

--- Waits until there is content to show or the reply is over, so that a failure before the first
-- content can still be answered by another attempt.
-- @treturn Reply
-- @treturn nil, err
function Reply:open() return guard.run(self, opening) end

local function pull_more(self)
  if self.over then return nil end
  pull(self)
  return true
end

--- Reads the reply to its end. A task that is cancelled meanwhile closes it.
-- @treturn Response
-- @treturn nil, err
function Reply:fold()
  for _ in pull_more, self, nil, self do end -- luacheck: ignore
  self:settle()
  if not self.err then return self:response() end
  if not self.err.partial then self.err.partial = self:response() end
  return nil, self.err
end

--- Ends the reply; what is still coming is cut off at once. Idempotent.
function Reply:settle()
  if self.settled then return end
  self.settled = true
  self.ended = clock()
  self.over = true
  self.header_block = self.transfer:headers()
  self.made = nil
  self.transfer:close()
  task.wake(self.id)
  self.request.call.client.replies[self] = nil
  local endings = self.endings
  for i = 1, endings and #endings or 0 do endings[i](self) end
end

--- Calls a function once, when the reply has ended in whatever way: read, failed, closed or
-- cancelled; a stream that is dropped is closed. `reply.err` and `reply:response()` tell how. The
-- function must not wait.
-- @tparam function ending `function(reply)`
function Reply:finally(ending)
  if self.settled then return ending(self) end
  local endings = self.endings
  if endings then endings[#endings + 1] = ending else self.endings = { ending } end
end

--- Closes the reply: its reader wants no more.
function Reply:close() self:settle() end
Reply.__close = Reply.settle

--- Cancels the reply: its reader, who waits, gets an error.
function Reply:cancel()
  if not self.over then self:fail("cancelled", "the client was closed") end
  self:settle()
end

-- Counts that come before the answer's end are of what had come by then.
local function has_final_usage(self)
  local counts = self.counts
  return counts and counts.input_tokens and counts.output_tokens and
    (self.finish_reason or self.request.kind)
end

--- What has come so far as a Response; estimated usage is marked `usage.estimated`.
-- @treturn Response
function Reply:response()
  if self.made and self.settled then return self.made end
  local call = self.request.call
  local content = self:content()
  local usage = self.counts
  if self.settled and not has_final_usage(self) then
    usage = call.client.estimate_usage(self, content)
  end
  local model = self.model_id or self.request.model
  self.made = response.new {
    prompt_tokens = nil, completion_tokens = nil, tokens_used = nil,
    content = content, provider = call.provider.name, model = model, usage = usage,
    cost_estimate = self.cached and 0 or
      usage and call.client:cost(model, self.request.model, usage, self.request),
    cached = self.cached,
    response_time = (self.ended or clock()) - self.started,
    first_token_time = self.first_content and self.first_content - self.started,
    finish_reason = self.finish_reason, finish_reason_raw = self.finish_reason_raw,
    tool_calls = self:tool_calls(), reasoning = self.thoughts, refusal = self.refused,
    opaque = self.kept, attempts = call.attempts, tried = call.tried, queue_time = call.queue_time,
    queue_length = call.queue_length, header_block = self.header_block,
    items = self.items, next_page = self.next_page, logprobs = self.probabilities,
  }
  return self.made
end

return { new = new }
