--- Response: what a call returns.
-- Fields: content, provider, model, tokens_used, prompt_tokens, completion_tokens, cost_estimate
-- (USD, nil when the price is unknown), response_time (seconds), first_token_time (seconds),
-- finish_reason, finish_reason_raw, tool_calls, reasoning, refusal, logprobs, usage, opaque,
-- attempts, tried (errors of the models asked before, by a fallback), queue_time (seconds),
-- queue_length (calls that waited before it), cached (true: nothing was spent); and from the
-- headers: request_id, rate_limit, headers. `tostring(response)` is its content.
-- @module llm.response
local json = require("llm.core").json
local headers_of = require "llm.headers"

local Response = {}

-- What is read from the reply's headers is read when it is asked for.
local from_headers = {
  headers = function(headers) return headers end,
  request_id = headers_of.request_id,
  rate_limit = headers_of.rate_limit,
}

function Response:__index(name)
  local method = Response[name]
  if method then return method end
  local read = from_headers[name]
  local block = read and rawget(self, "header_block")
  return block and read(headers_of.parse(block)) or nil
end

function Response:__tostring() return self.content end

--- Gives a table of the fields above its metatable and the figures that follow from usage.
-- @tparam table fields
-- @treturn table the response
local function new(fields)
  local usage = fields.usage
  if usage then
    fields.prompt_tokens = usage.input_tokens
    fields.completion_tokens = usage.output_tokens
    if usage.input_tokens and usage.output_tokens then
      fields.tokens_used = usage.input_tokens + usage.output_tokens
    end
  end
  return setmetatable(fields, Response)
end

-- Arguments that are no JSON object cannot go back: most providers want them decoded.
local function sendable(calls)
  local list, is_same = {}, true
  for i, call in ipairs(calls) do
    list[i] = call
    if type(json.decode(call.arguments)) ~= "table" then
      list[i], is_same = { id = call.id, name = call.name, arguments = "{}" }, false
    end
  end
  return is_same and calls or list
end

--- The message that continues a conversation: content, tool calls and the provider's own state.
-- Arguments of a call that are no JSON object are `{}` in it.
-- @treturn table
-- @usage messages[#messages + 1] = response:message()
function Response:message()
  return {
    role = "assistant", content = self.content, opaque = self.opaque,
    tool_calls = self.tool_calls and sendable(self.tool_calls),
  }
end

return { new = new }
