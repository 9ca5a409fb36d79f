--- Objects: answers in a shape. The provider's own schema is used where it takes one, else a tool
-- call, else a prompt; whatever comes back is validated here, and asked for again with what is
-- wrong. Loaded by the Client when it is first asked for an object.
-- @module llm.object
local contexts = require "llm.schema.context"
local errors = require "llm.error"
local extract = require "llm.extract"
local json = require("llm.core").json
local message = require "llm.message"
local options = require "llm.options"
local requests = require "llm.request"
local schemas = require "llm.schema"
local total = require "llm.total"
local wire = require "llm.schema.wire"

local modes = { "native", "tool", "prompt" }
local MAX_RETRIES = 2
local MAX_PARSED = 200

local own = { schema = "table|string", max_retries = "number", mode = "string",
  formats = "boolean" }
local ours = { tools = true, tool_choice = true, response_schema = true } -- set by the mode
local known = {}
for name, kind in pairs(requests.model_options) do known[name] = not ours[name] and kind or nil end
for name, kind in pairs(requests.call_options) do known[name] = kind end
for name, kind in pairs(own) do known[name] = kind end

-- --- what is known of a schema -------------------------------------------------------------------

-- A plan knows its schema, and LuaJIT has no ephemerons: so values are weak as well.
local plans = setmetatable({}, { __mode = "kv" })    -- schema -> plan
local asserted = setmetatable({}, { __mode = "kv" }) -- the same with formats
local parsed, parsed_count = {}, 0                   -- text in the short notation -> schema
local taken = setmetatable({}, { __mode = "k" })     -- client -> schema -> model -> index of mode

local function make_plan(schema, formats)
  local validator, err = schemas.compile(schema, { formats = formats })
  if not validator then error(err, 0) end
  local rooted, is_wrapped = wire.rooted(schema)
  local name = wire.name(schema)
  return { validator = validator, schema = schema, rooted = rooted, is_wrapped = is_wrapped,
    name = name, tools = { { name = name, parameters = rooted,
      description = schema.description or "Gives the answer." } } }
end

local function parse(text)
  local schema = parsed[text]
  if schema then return schema end
  if parsed_count == MAX_PARSED then parsed, parsed_count = {}, 0 end
  parsed[text], parsed_count = schemas.parse(text), parsed_count + 1
  return parsed[text]
end

local function plan_of(schema, formats)
  if type(schema) == "string" then schema = parse(schema) end
  local cache = formats and asserted or plans
  local plan = cache[schema] or make_plan(schema, formats)
  cache[schema] = plan
  return plan
end

-- The options of the method apart from those of the request; and the plan.
local function divide(opts, where)
  local wanted, sent = {}, {}
  for name, value in pairs(options.check(opts, known, where)) do
    if own[name] then wanted[name] = value else sent[name] = value end
  end
  if not wanted.schema then options.refuse(where, "no schema is given") end
  wanted.plan = plan_of(wanted.schema, wanted.formats)
  return wanted, sent
end

-- --- asking --------------------------------------------------------------------------------------

local function with_text(messages, text)
  local list = {}
  for i, source in ipairs(message.normalise(messages)) do list[i] = source end
  local last = list[#list]
  if last.role ~= "user" then
    list[#list + 1] = { role = "user", content = text }
    return list
  end
  local copy = {}
  for name, value in pairs(last) do copy[name] = value end
  if type(last.content) == "string" then
    copy.content = last.content .. "\n\n" .. text
  else
    copy.content = {}
    for i, part in ipairs(last.content) do copy.content[i] = part end
    copy.content[#copy.content + 1] = { type = "text", text = text }
  end
  list[#list] = copy
  return list
end

local function instruction(plan)
  plan.text = plan.text or "Answer with one JSON value that fits this JSON Schema, and with " ..
    "nothing else: no prose, no code fence.\n" .. json.encode(plan.schema)
  return plan.text
end

-- Sets what the mode needs in the options of the call; gives the messages.
local function prepare(mode, plan, messages, sent)
  sent.response_schema, sent.tools, sent.tool_choice = nil, nil, nil
  if mode == "native" then
    sent.response_schema = plan.rooted
  elseif mode == "tool" then
    sent.tools, sent.tool_choice = plan.tools, { name = plan.name }
  else
    return with_text(messages, instruction(plan))
  end
  return messages
end

local function modes_of(client, schema)
  local by_schema = taken[client]
  if not by_schema then
    by_schema = setmetatable({}, { __mode = "k" })
    taken[client] = by_schema
  end
  by_schema[schema] = by_schema[schema] or {}
  return by_schema[schema]
end

-- The modes to try: the given one, or from the one that this model took before.
local function range_of_modes(known_mode, wanted)
  if not wanted.mode then return known_mode or 1, #modes end
  for i, mode in ipairs(modes) do
    if mode == wanted.mode then return i, i end
  end
  options.refuse("generate_object", "mode must be native, tool or prompt")
end

-- The provider, or its dialect, does not take this way of asking.
local function is_refused(err)
  return err.kind == "invalid_request" and
    (err.status == nil or err.status == 400 or err.status == 422)
end

-- Asks in one mode after the other until one is taken. `ask(mode, messages)` gives its result, or
-- nil, an error, and whether the mode was taken all the same.
local function in_modes(client, wanted, sent, messages, ask)
  local by_model, model = modes_of(client, wanted.plan.schema), sent.model or client.options.model
  local from, to = range_of_modes(by_model[model or ""], wanted)
  local first_err
  for i = from, to do
    local result, err, is_taken = ask(modes[i], prepare(modes[i], wanted.plan, messages, sent))
    if result then
      by_model[model or ""] = i
      return result
    end
    first_err = first_err or err
    if is_taken or not is_refused(err) then return nil, err end
  end
  return nil, first_err
end

-- --- reading -------------------------------------------------------------------------------------

local function tool_arguments(plan, response)
  for _, call in ipairs(response.tool_calls or {}) do
    if call.name == plan.name then return call.arguments end
  end
end

local function unwrap(plan, value)
  if plan.is_wrapped and type(value) == "table" and value.value ~= nil then return value.value end
  return value
end

local function failure(kind, text, response, fields)
  local err = errors.new(kind, text, fields)
  err.partial, err.provider, err.model = response, response.provider, response.model
  err.attempts = response.attempts
  return err
end

-- Why there will be no object, however often one asks; else nil.
local function ending(response, raw)
  if response.refusal or response.finish_reason == "content_filter" then
    return failure("content_filter", "the model refused: " .. (response.refusal or raw), response,
      { raw = raw })
  end
  if response.finish_reason == "length" then
    return failure("schema", "the reply was cut at its length limit before the object was " ..
      "complete; raise max_tokens", response, { raw = raw })
  end
end

-- Puts the object of a response at `response.object`. Gives the errors, nil when there are none,
-- and the raw reply.
local function read(plan, response)
  local raw = tool_arguments(plan, response) or response.content
  local values, problem = extract.values(raw)
  local first
  for _, value in ipairs(values) do
    value = unwrap(plan, value)
    local ok, wrong = plan.validator:validate(value)
    if ok then
      response.object = value
      return nil, raw
    end
    first = first or wrong
  end
  return first or contexts.single("is not there, the reply holds no JSON: " .. problem), raw
end

-- The conversation with the reply and what is wrong with it.
local function ask_again(messages, response, problems)
  local list = {}
  for i, source in ipairs(message.normalise(messages)) do list[i] = source end
  local text = "That does not fit the schema: " .. tostring(problems) ..
    ". Answer again, with the corrected value alone."
  local calls = response.tool_calls
  if calls or response.content:find("%S") then list[#list + 1] = response:message() end
  for _, call in ipairs(calls or {}) do
    list[#list + 1] = { role = "tool", tool_call_id = call.id, name = call.name, content = text }
  end
  if not calls then list[#list + 1] = { role = "user", content = text } end
  return list
end

-- --- asking --------------------------------------------------------------------------------------

-- Gives the Response; or nil, an error, and whether anything came back before it.
local function attempts(client, wanted, sent, messages)
  local plan, sum = wanted.plan, nil
  for left = wanted.max_retries or MAX_RETRIES, 0, -1 do
    local response, err = client:generate_text(messages, sent)
    if not response then
      if sum and err.partial then total.add(err.partial, sum) end
      return nil, err, sum ~= nil
    end
    sum = total.add(response, sum)
    local problems, raw = read(plan, response)
    if not problems then return response end
    err = ending(response, raw)
    if err then return nil, err, true end
    if left == 0 then
      return nil, failure("schema", "the reply does not fit the schema: " .. tostring(problems),
        response, { errors = problems, raw = raw }), true
    end
    messages = ask_again(messages, response, problems)
  end
end

--- Asks for a value that fits a schema.
-- @tparam Client client
-- @tparam string|table messages as for generate_text
-- @tparam table opts `schema` (a JSON Schema or a text in the short notation, see docs/objects.md),
-- `max_retries` (how often it is asked again, default 2), `mode` (`"native"`, `"tool"` or
-- `"prompt"`; default: what the provider takes), `formats = true`, and the options of generate_text
-- @treturn Response with `object`; its tokens, cost and time are those of all attempts
-- @treturn nil, err of kind `schema`: `errors` (see llm.schema), `raw` (the last reply's text),
-- `partial` (the last Response); `content_filter` when the model refuses
-- @usage local r = assert(client:generate_object(review, { schema = "mood: good|bad, why" }))
local function generate(client, messages, opts)
  local wanted, sent = divide(opts, "generate_object")
  return in_modes(client, wanted, sent, messages, function(_, asked)
    return attempts(client, wanted, sent, asked)
  end)
end

return {
  generate = generate, divide = divide, in_modes = in_modes, read = read, ending = ending,
  failure = failure,
}
