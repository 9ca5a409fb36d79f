--- The server's half of OpenAI's Responses: the answer, as events or as one body. What a stream has
-- said so far is kept in the context of its request, because the last event repeats all of it.
-- @module llm.dialect.openai_responses_encoder
local core = require "llm.core"

local json = core.json
local null = json.null

local function list_of(source) return setmetatable(source, json.array_mt) end

local function state_of(context)
  context.state = context.state or { items = {}, sequence = 0, pieces = {} }
  return context.state
end

local function encode_usage(usage)
  if not usage then return null end
  return {
    input_tokens = usage.input_tokens, output_tokens = usage.output_tokens,
    total_tokens = usage.input_tokens + usage.output_tokens,
    input_tokens_details = { cached_tokens = usage.cached_tokens or 0 },
    output_tokens_details = { reasoning_tokens = usage.reasoning_tokens or 0 },
  }
end

local incomplete_reasons = { length = "max_output_tokens", content_filter = "content_filter" }

local function response_of(context, status)
  local state = state_of(context)
  local reason = status ~= "in_progress" and incomplete_reasons[state.reason]
  local output = list_of {}
  for i, item in ipairs(state.items) do output[i] = item end
  return {
    id = context.id, object = "response", created_at = context.created, model = context.model,
    status = reason and "incomplete" or status, output = output, error = null,
    incomplete_details = reason and { reason = reason } or null, usage = encode_usage(state.usage),
    instructions = null, metadata = {}, parallel_tool_calls = true, temperature = null,
    top_p = null, tool_choice = "auto", tools = list_of {},
  }
end

-- --- items: begun, fed, ended --------------------------------------------------------------------

local part_makers = {
  text = function(text)
    return { type = "output_text", text = text, annotations = list_of {}, logprobs = list_of {} }
  end,
  refusal = function(text) return { type = "refusal", refusal = text } end,
  reasoning = function(text) return { type = "summary_text", text = text } end,
}

local item_makers = {
  text = function(id, parts)
    return { id = "msg_" .. id, type = "message", role = "assistant", content = list_of(parts) }
  end,
  reasoning = function(id, parts)
    return { id = "rs_" .. id, type = "reasoning", summary = list_of(parts) }
  end,
  tool_call = function(id, call)
    return { id = "fc_" .. id, type = "function_call", call_id = call.id, name = call.name,
      arguments = call.arguments }
  end,
}
item_makers.refusal = item_makers.text

-- kind -> what its events are called: of the part, of its text, the text's field when it is done
local names = {
  text = { "content_part", "output_text", "text", "content_index" },
  refusal = { "content_part", "refusal", "refusal", "content_index" },
  reasoning = { "reasoning_summary_part", "reasoning_summary_text", "text", "summary_index" },
}

local function id_of(context) return context.id .. "_" .. #state_of(context).items end

local function add(out, context, kind, fields)
  local state = state_of(context)
  fields.type, fields.sequence_number = kind, state.sequence
  state.sequence = state.sequence + 1
  out[#out + 1] = fields
end

local function add_item(out, context, what, item, status)
  if item.type ~= "reasoning" then item.status = status end
  add(out, context, "response.output_item." .. what,
    { output_index = #state_of(context).items, item = item })
end

-- An event about the only part of the open item.
local function add_part(out, context, name, fields)
  local state = state_of(context)
  fields.item_id, fields.output_index = state.open_id, #state.items
  fields[names[state.open][4]] = 0
  add(out, context, "response." .. name, fields)
end

local function close(out, context)
  local state = state_of(context)
  local kind = state.open
  if not kind then return end
  local text = table.concat(state.pieces)
  local part, name = part_makers[kind](text), names[kind]
  add_part(out, context, name[2] .. ".done", { [name[3]] = text })
  add_part(out, context, name[1] .. ".done", { part = part })
  local item = item_makers[kind](id_of(context), { part })
  add_item(out, context, "done", item, "completed")
  state.items[#state.items + 1] = item
  state.open, state.pieces = nil, {}
end

local function open(out, context, kind)
  local state = state_of(context)
  if state.open == kind then return end
  close(out, context)
  local item = item_makers[kind](id_of(context), {})
  state.open, state.open_id = kind, item.id
  add_item(out, context, "added", item, "in_progress")
  add_part(out, context, names[kind][1] .. ".added", { part = part_makers[kind]("") })
end

local function feeder(kind)
  return function(text, context, out)
    open(out, context, kind)
    local pieces = state_of(context).pieces
    pieces[#pieces + 1] = text
    add_part(out, context, names[kind][2] .. ".delta", { delta = text })
  end
end

local function add_call(call, context, out)
  close(out, context)
  local state, id = state_of(context), id_of(context)
  local empty = { id = call.id, name = call.name, arguments = "" }
  add_item(out, context, "added", item_makers.tool_call(id, empty), "in_progress")
  local item = item_makers.tool_call(id, call)
  add(out, context, "response.function_call_arguments.delta",
    { item_id = item.id, output_index = #state.items, delta = call.arguments })
  add(out, context, "response.function_call_arguments.done",
    { item_id = item.id, output_index = #state.items, arguments = call.arguments })
  add_item(out, context, "done", item, "completed")
  state.items[#state.items + 1] = item
end

-- --- the canonical events ------------------------------------------------------------------------

local encoders = {
  text = feeder "text", reasoning = feeder "reasoning", refusal = feeder "refusal",
  tool_call = add_call,
  start = function(_, context, out)
    for _, name in ipairs { "created", "in_progress" } do
      add(out, context, "response." .. name, { response = response_of(context, "in_progress") })
    end
  end,
  finish = function(reason, context, out)
    close(out, context)
    state_of(context).reason = reason
  end,
  usage = function(usage, context) state_of(context).usage = usage end,
  complete = function(_, context, out)
    local response = response_of(context, "completed")
    add(out, context, "response." .. response.status, { response = response })
  end,
  failure = function(err, _, out)
    out[1] = { error = { message = err.message, type = err.type, code = err.code or null } }
  end,
}

function encoders.body(answer, context, out)
  local unused = {}
  for _, kind in ipairs { "reasoning", "refusal", "text" } do
    if answer[kind] then encoders[kind](answer[kind], context, unused) end
  end
  for _, call in ipairs(answer.tool_calls or {}) do add_call(call, context, unused) end
  encoders.finish(answer.finish_reason, context, unused)
  encoders.usage(answer.usage, context)
  out[1] = response_of(context, "completed")
end

local function encode_event(kind, value, context)
  local out = {}
  encoders[kind](value, context, out)
  return out
end

return { encode_event = encode_event }
