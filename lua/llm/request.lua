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
  stream = "boolean", extra = "table", unsupported = "string",
}

-- How the call is carried.
local call_options = {
  timeout = "number", first_timeout = "number", connect_timeout = "number", deadline = "number",
  headers = "table", max_response_bytes = "number", tag = "string",
}

local known = { cache = "boolean|string" } -- how the client's cache is used; see llm.policy.cache
for name, kind in pairs(model_options) do known[name] = kind end
for name, kind in pairs(call_options) do known[name] = kind end

local ranges = { temperature = { 0, 2 }, top_p = { 0, 1 }, max_tokens = { 1, 2 ^ 31 } }
local integers = { "max_tokens", "seed", "top_logprobs" } -- 4096.0 goes out as 4096

local function check_values(request)
  for name, range in pairs(ranges) do
    local value = request[name]
    if value and not (value >= range[1] and value <= range[2]) then
      options.refuse("request", ("%s must be %g to %g, not %g"):format(
        name, range[1], range[2], value))
    end
  end
  for _, name in ipairs(integers) do
    local value = request[name]
    if value then request[name] = math.floor(value) end
  end
end

--- What requests of one client have in common, checked once.
-- @tparam table base options of the client
-- @tparam table defaults of the configuration
-- @treturn table template for `new`
local function template(base, defaults)
  local common = { defaulted = {} }
  for name in pairs(model_options) do common[name] = base[name] end
  for _, name in ipairs { "temperature", "max_tokens" } do
    if common[name] == nil and defaults[name] then
      common[name], common.defaulted[name] = defaults[name], true
    end
  end
  if common.stream == nil then common.stream = true end
  check_values(common)
  return common
end

local function apply(request, opts)
  local own
  for name, value in pairs(opts) do
    if call_options[name] or name == "cache" then
      own = own or {}
      own[name] = value
    else
      request[name] = value
      if request.defaulted[name] then
        request.defaulted = { temperature = request.defaulted.temperature,
          max_tokens = request.defaulted.max_tokens, [name] = false }
      end
    end
  end
  check_values(request)
  return own
end

--- Builds the canonical request.
-- @tparam string|table messages
-- @tparam table|nil opts of the call
-- @tparam table common of `template`
-- @treturn table request; raises invalid_request
-- @treturn table|nil the call's own transport options
local function new(messages, opts, common)
  local request = {
    messages = message.normalise(messages), call = nil, model = nil, temperature = nil,
    max_tokens = nil, stream = nil, defaulted = nil,
  }
  for name, value in pairs(common) do request[name] = value end
  if opts == nil then return request end
  return request, apply(request, options.check(opts, known, "request"))
end

--- What a request in OpenAI's Chat Completions asks, for the methods of a client.
-- @tparam table body decoded
-- @treturn table messages
-- @treturn table options of the call; a name that stands for nothing here is left out
-- @usage local response = client:generate_text(llm.chat_request(body))
local function of_chat(body)
  local asked, opts = require("llm.dialect.openai_chat_server").decode_request(body), {}
  for name in pairs(model_options) do opts[name] = asked[name] end
  opts.stream = nil
  return asked.messages, opts
end

return {
  new = new, of_chat = of_chat, template = template, model_options = model_options,
  call_options = call_options,
}
