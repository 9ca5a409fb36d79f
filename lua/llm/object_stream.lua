--- Object streams: an object while it comes. Loaded by the Client when it is first asked for one.
-- @module llm.object_stream
local guard = require "llm.guard"
local object = require "llm.object"
local options = require "llm.options"
local partials = require "llm.partial"

local Stream = {}
Stream.__index = Stream

local function open(self)
  if self.closed then error("this stream is closed", 0) end
  local client, sent = self.client, self.sent
  local reply, err = object.in_modes(client, self.wanted, sent, self.messages,
    function(mode, messages)
      self.source = mode == "tool" and "tool_arguments" or "text"
      return client.chain(client:request(messages, sent))
    end)
  if not reply then
    self.closed = true
    error(err, 0)
  end
  self.reply, self.guard = reply, guard.new(self)
  return reply
end

-- The whole value, validated.
local function last(self)
  self.ended = true
  local response = self.reply:response()
  local problems, raw = object.read(self.wanted.plan, response)
  if not problems then return response.object, true end
  local err = object.ending(response, raw) or object.failure("schema",
    "the reply does not fit the schema: " .. tostring(problems), response,
    { errors = problems, raw = raw })
  error(err, 0)
end

local function next_value(self)
  if self.ended then return nil end
  local reply, plan = self.reply or open(self), self.wanted.plan
  while true do
    local kind, value = reply:next()
    if not kind then return last(self) end
    if kind == self.source and (kind == "text" or value.index == 1) then
      local found = self.partial:feed(kind == "text" and value or value.text)
      if found and plan.is_wrapped then found = found.value end
      if found ~= nil then return found, false end
    end
  end
end

--- What has come so far; after the loop all of it, with `object`.
-- @treturn Response|nil nil before the first event
function Stream:response() return self.reply and self.reply:response() end

--- Cancels the request at once. Idempotent.
function Stream:close()
  self.closed = true
  if self.reply then self.reply:close() end
end
Stream.__close = Stream.close

--- Asks for a value that fits a schema and yields it as far as it came, again and again.
-- @tparam Client client
-- @tparam string|table messages as for generate_text
-- @tparam table opts as for generate_object, without `max_retries`: what was shown stays
-- @return an iterator for `for`: the value, and whether it is whole and valid, which the last one
-- is. The tables are the same ones every time and grow. Its second value is the stream, with
-- `:response()` and `:close()`
-- @raise the error that ended the reply; of kind `schema` when the whole does not fit
-- @usage for partial in client:stream_object(text, { schema = "title, tags: string[]" }) do … end
local function stream(client, messages, opts)
  local wanted, sent = object.divide(opts, "stream_object")
  if wanted.max_retries then
    options.refuse("stream_object", "takes no max_retries: what was shown stays")
  end
  local self = setmetatable({ client = client, wanted = wanted, sent = sent, messages = messages,
    partial = partials.new() }, Stream)
  return next_value, self, nil, self
end

return { stream = stream }
