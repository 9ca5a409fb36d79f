--- Requests: messages and options checked and put into the canonical table that dialects read.
-- @module llm.request
local message = require "llm.message"
local options = require "llm.options"

-- What a model reads. Dialects translate these; the canonical request has these names.
local model_options = {
  model = "string", temperature = "number", max_tokens = "number", top_p = "number",
  stop = "string|table", seed = "number", presence_penalty = "number",
  frequency_penalty = "number", logprobs = "boolean", top_logprobs = "number",
  logit_bias = "table", tools = "table", tool_choice = "string|table",
  parallel_tool_calls = "boolean", response_schema = "table", reasoning_effort = "string",
  user = "string", metadata = "table", prompt_cache_key = "string", service_tier = "string",
  stream = "boolean", extra = "table",
}

-- How the call is carried.
local call_options = {
  timeout = "number", first_timeout = "number", connect_timeout = "number", deadline = "number",
  headers = "table", max_response_bytes = "number",
}

local known = {}
for name, kind in pairs(model_options) do known[name] = kind end
for name, kind in pairs(call_options) do known[name] = kind end

local ranges = { temperature = { 0, 2 }, top_p = { 0, 1 }, max_tokens = { 1, 2 ^ 31 } }

local function check_ranges(request)
  for name, range in pairs(ranges) do
    local value = request[name]
    if value and not (value >= range[1] and value <= range[2]) then
      options.refuse("request", ("%s must be %g to %g, not %g"):format(
        name, range[1], range[2], value))
    end
  end
end

--- Builds the canonical request.
-- @tparam string|table messages
-- @tparam table|nil opts of the call
-- @tparam table base options of the client, already checked
-- @tparam table defaults of the configuration
-- @treturn table request; raises invalid_request
-- @treturn table|nil the call's own transport options
local function new(messages, opts, base, defaults)
  opts = options.check(opts, known, "request")
  local request = { messages = message.normalise(messages), defaulted = {}, stream = true }
  local own
  for name, value in pairs(base) do
    if model_options[name] then request[name] = value end
  end
  for name, value in pairs(opts) do
    if model_options[name] then
      request[name] = value
    else
      own = own or {}
      own[name] = value
    end
  end
  for _, name in ipairs { "temperature", "max_tokens" } do
    if request[name] == nil and defaults[name] then
      request[name], request.defaulted[name] = defaults[name], true
    end
  end
  check_ranges(request)
  return request, own
end

return { new = new, model_options = model_options, call_options = call_options }
