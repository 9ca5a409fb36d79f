--- Anthropic's Messages: the request that a client sends.
-- Quirks: max_tokens (when the caller gives none), body (members of every request), path and
-- stream_path with {model}, which then is not in the body. Rows of models, see llm.parameters:
-- thinking = "effort" (it thinks by itself), "adaptive" (when asked) or "budget" (in tokens),
-- cannot_stop (it always thinks), free_tools (a tool call cannot be forced).
-- @module llm.dialect.anthropic_request
local content = require "llm.dialect.anthropic_content"
local parameters = require "llm.parameters"
local url = require "llm.url"

local function encode_tools(tools)
  if not tools then return nil end
  local list = {}
  for i, tool in ipairs(tools) do
    list[i] = { name = tool.name, description = tool.description, strict = tool.strict,
      input_schema = tool.parameters or { type = "object", properties = {} },
      cache_control = tool.cache_control }
  end
  return list
end

local choices = { auto = "auto", none = "none", required = "any" }

local function encode_tool_choice(request)
  local choice, one_by_one = request.tool_choice, request.parallel_tool_calls == false
  if not choice and not (one_by_one and request.tools) then return nil end
  local encoded = type(choice) == "table" and { type = "tool", name = choice.name }
    or { type = choices[choice or "auto"] or choice }
  if one_by_one and choice ~= "none" then encoded.disable_parallel_tool_use = true end
  return encoded
end

local budgets = { minimal = 1024, low = 1024, medium = 4096, high = 16384, xhigh = 32768,
  max = 65536 }

-- How much the model thinks. The budget is a part of max_tokens and leaves room for the answer.
local function encode_effort(body, request, row)
  local effort = request.reasoning_effort
  if not effort then return true end
  if effort == "none" then
    if row.thinking ~= "budget" then body.thinking = { type = "disabled" } end
  elseif row.thinking == "budget" then
    local budget = math.min(budgets[effort] or budgets.medium, body.max_tokens - 1)
    if budget < 1024 then return nil, "needs max_tokens above 1024 for reasoning_effort" end
    body.thinking = { type = "enabled", budget_tokens = budget }
  else
    if row.thinking == "adaptive" then body.thinking = { type = "adaptive" } end
    body.output_config = { effort = effort == "minimal" and "low" or effort }
  end
  return true
end

local unknown = { "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs",
  "logit_bias", "prompt_cache_key" }

-- Which parameters this model, or this way of thinking, rules out.
local function refused(request, row)
  local names, effort, choice = {}, request.reasoning_effort, request.tool_choice
  local has_budget = row.thinking == "budget" and effort and effort ~= "none"
  if has_budget then names[1] = "temperature" end
  if row.cannot_stop and effort == "none" then names[1] = "reasoning_effort" end
  if (row.free_tools or has_budget) and (choice == "required" or type(choice) == "table") then
    names[#names + 1] = "tool_choice"
  end
  return names
end

local function path_of(request, quirks)
  local template = request.stream and quirks.stream_path or quirks.path
  if not template then return "/v1/messages", request.model end
  local segment, problem = url.segment(request.model)
  if not segment then return nil, problem end
  return (template:gsub("{model}", function() return segment end))
end

local function encode_body(request, quirks, row, model)
  local messages, system = content.encode_messages(request.messages, request.model)
  if not messages then return nil, system end
  local stop = request.stop
  local body = {
    model = model, messages = messages, system = content.encode_system(system),
    max_tokens = request.max_tokens or quirks.max_tokens or 4096, stream = request.stream,
    stop_sequences = type(stop) == "string" and { stop } or stop,
    temperature = request.temperature, top_p = request.top_p,
    tools = encode_tools(request.tools), tool_choice = encode_tool_choice(request),
    metadata = request.user and { user_id = request.user } or request.metadata,
    service_tier = request.service_tier,
  }
  local ok, problem = encode_effort(body, request, row)
  if not ok then return nil, request.model .. " " .. problem end
  if request.response_schema then
    body.output_config = body.output_config or {}
    body.output_config.format = { type = "json_schema", schema = request.response_schema }
  end
  for name, value in pairs(quirks.body or {}) do body[name] = value end
  for name, value in pairs(request.extra or {}) do body[name] = value end
  return body
end

local function encode_request(request, provider)
  local quirks = provider.quirks or {}
  local row = parameters.row_of(provider, request.model)
  local problem
  request, problem = parameters.settle(request, provider, unknown, refused(request, row))
  if not request then return nil, problem end
  local path, model = path_of(request, quirks)
  if not path then return nil, model end
  local body
  body, problem = encode_body(request, quirks, row, model)
  if not body then return nil, problem end
  return { path = path, body = body }
end

return encode_request
