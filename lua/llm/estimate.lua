--- Estimate: the usage of a reply that did not tell it, or was cut before it could.
-- @module llm.estimate
local core = require "llm.core"
local tokens = require "llm.tokens"

-- Tools go to the model as text of a form that is not documented: their names, what is said about
-- them, and their schemas.
local function count_tools(tools, model)
  local n = 0
  for _, tool in ipairs(tools) do
    local schema = type(tool.parameters) == "table" and core.json.encode(tool.parameters) or ""
    local text = table.concat({ tool.name or "", tool.description or "", schema }, " ")
    n = n + tokens.count_tokens(text, model)
  end
  return n
end

--- The tokens of a request's prompt.
-- @tparam table request canonical
-- @treturn number
local function count_input(request)
  local n = 0
  for _, text in ipairs(request.texts or {}) do n = n + tokens.count_tokens(text, request.model) end
  if request.texts then return n end
  n = tokens.count_tokens(request.messages, request.model)
  return request.tools and n + count_tools(request.tools, request.model) or n
end

-- What has come of the answer. Reasoning that was not shown is not in it.
local function count_output(reply, content)
  local texts = { content, reply.thoughts or "", reply.refused or "" }
  for _, call in ipairs(reply:tool_calls() or {}) do
    texts[#texts + 1] = (call.name or "") .. call.arguments
  end
  local n = 0
  for _, text in ipairs(texts) do n = n + tokens.count_tokens(text, reply.request.model) end
  return n
end

--- The usage of a reply: what the provider told of the prompt stays; what it told of the answer
-- counts when it is more than what has come.
-- @tparam Reply reply
-- @tparam string content all the text of the reply
-- @treturn table usage with `estimated = true`
local function usage_of(reply, content)
  local usage = { estimated = true }
  local counts = reply.counts or {}
  if counts.input_tokens then
    for name, count in pairs(counts) do usage[name] = count end
  else
    usage.input_tokens = count_input(reply.request)
  end
  usage.output_tokens = math.max(counts.output_tokens or 0, count_output(reply, content))
  return usage
end

return { input = count_input, usage = usage_of }
