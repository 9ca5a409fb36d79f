--- Sink: what a dialect says about a reply as it reads it. These are methods of the Reply, and the
-- only ones that a dialect calls; each records, none waits.
-- @module llm.sink
local core = require "llm.core"

local clock = core.loop.clock

local Sink = {}

-- event type -> whether it is content: what a user would see, and what resets a timeout
local is_content = {
  text = true, reasoning = true, refusal = true, tool_call = true, tool_arguments = true,
  media = true,
}

local function push(self, kind, value)
  if is_content[kind] then
    if not self.first_content then self.first_content = clock() end
    self.touched = true
  end
  local tail = self.tail
  self.queue[tail + 1], self.queue[tail + 2] = kind, value
  self.tail = tail + 2
end

--- Keeps a piece of text for the response. Every 16 pieces become one, so that a thousand long
-- streams do not hold a million little strings.
function Sink:keep(text)
  local texts, count = self.texts, self.text_count + 1
  texts[count] = text
  if count == 16 then
    self.blocks[#self.blocks + 1] = table.concat(texts)
    count = 0
  end
  self.text_count = count
end

--- All the text so far.
-- @treturn string
function Sink:content()
  local blocks, rest = self.blocks, table.concat(self.texts, "", 1, self.text_count)
  return blocks[1] and table.concat(blocks) .. rest or rest
end

--- A piece of the answer's text.
function Sink:text(text)
  if text == "" then return end
  self:keep(text)
  push(self, "text", text)
end

local function append(self, field, kind, text)
  if text == "" then return end
  self[field] = (self[field] or "") .. text
  push(self, kind, text)
end

--- A piece of the model's reasoning.
function Sink:reasoning(text) append(self, "thoughts", "reasoning", text) end

--- A piece of a refusal, which some providers keep apart from the text.
function Sink:refusal(text) append(self, "refused", "refusal", text) end

--- A tool call begins, or its id or name becomes known. index counts from 1 in any order.
function Sink:tool_call(index, id, name)
  if type(index) ~= "number" or index < 1 or index > 4096 or index ~= math.floor(index) then
    return self:fail("protocol", "the reply numbers a tool call " .. tostring(index))
  end
  self.calls = self.calls or {}
  local call = self.calls[index]
  if not call then
    call = { index = index, pieces = {} }
    self.calls[index] = call
  end
  if id == "" then id = nil end
  if name == "" then name = nil end
  call.id, call.name = call.id or id, call.name or name
  push(self, "tool_call", { index = index, id = call.id, name = call.name })
end

--- A piece of a tool call's arguments, JSON text.
function Sink:tool_arguments(index, text)
  local call = self.calls and self.calls[index]
  if not call then
    self:tool_call(index)
    call = self.calls and self.calls[index]
    if not call then return end
  end
  call.pieces[#call.pieces + 1] = text
  push(self, "tool_arguments", { index = index, text = text })
end

--- Provider state that must come back unchanged with the next request.
function Sink:opaque(namespace, value)
  self.kept = self.kept or {}
  local list = self.kept[namespace] or {}
  self.kept[namespace] = list
  list[#list + 1] = value
end

--- Log probabilities of tokens, as the provider gives them: rows of `token`, `logprob` and, where
-- asked for, `top_logprobs`.
function Sink:logprobs(rows)
  if not rows[1] then return end
  self.probabilities = self.probabilities or {}
  for _, row in ipairs(rows) do self.probabilities[#self.probabilities + 1] = row end
end

--- An image, audio or other data.
function Sink:media(mime, data) push(self, "media", { mime = mime, data = data }) end

local usage_fields = {
  "input_tokens", "cached_tokens", "cache_write_tokens", "cache_write_long_tokens",
  "output_tokens", "reasoning_tokens",
}

-- A count that makes no sense is no count.
local function is_count(value)
  return type(value) == "number" and value >= 0 and value <= 2 ^ 53
end

--- Token counts; later ones replace earlier ones, field by field.
function Sink:usage(usage)
  local known = self.counts or {}
  self.counts = known
  for i = 1, #usage_fields do
    local field = usage_fields[i]
    local count = usage[field]
    if count and is_count(count) then known[field] = count end
  end
end

--- One of what a query asked for: a vector at the place of its text, a row about a model.
function Sink:item(value, place)
  self.items = self.items or {}
  self.items[place or #self.items + 1] = value
end

--- A list goes on: the next request of its kind has this in `request.page`.
function Sink:more(page) self.next_page = page end

--- The model that answers, as the provider names it.
function Sink:model(id) self.model_id = self.model_id or id end

--- Why the model stopped: stop, length, tool_calls, content_filter or other; and the raw word.
function Sink:finish(reason, raw)
  if self.finish_reason then return end
  if reason == "stop" and self.calls then reason = "tool_calls" end
  self.finish_reason, self.finish_reason_raw = reason, raw
  push(self, "finish", reason)
end

--- The stream's terminal event was seen: nothing more will come.
function Sink:complete()
  if not self.finish_reason then self:finish("other") end
  if self.is_complete then return end
  self.is_complete = true
  self.transfer:expect_end()
end

-- Results find their call by its id, so no two are the same.
local function own_id(id, number, taken)
  if not id or taken[id] then id = "call_" .. number end
  while taken[id] do id = id .. "_" end
  taken[id] = true
  return id
end

--- The tool calls so far, in the order of their indexes.
-- @treturn table|nil list of {id, name, arguments}
function Sink:tool_calls()
  if not self.calls then return nil end
  local order = {}
  for index in pairs(self.calls) do order[#order + 1] = index end
  table.sort(order)
  local list, taken = {}, {}
  for i, index in ipairs(order) do
    local call = self.calls[index]
    local arguments = table.concat(call.pieces)
    list[i] = {
      id = own_id(call.id, i, taken), name = call.name,
      arguments = arguments == "" and "{}" or arguments,
    }
  end
  return list
end

return Sink
