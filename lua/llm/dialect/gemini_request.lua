--- Google's generateContent: the request. Rows of models, see llm.parameters: thinking = "budget"
-- (in tokens, else it is a level), least (the lowest level), signed (calls without a signature are
-- refused), own_temperature (a default of ours does harm), no_system.
-- @module llm.dialect.gemini_request
local encode_contents = require "llm.dialect.gemini_content"
local parameters = require "llm.parameters"
local url = require "llm.url"

local budgets = { none = 0, minimal = 512, low = 1024, medium = 8192, high = 24576, xhigh = 24576,
  max = 24576 }

local function encode_thinking(effort, row)
  if not effort then return nil end
  if row.thinking == "budget" then
    local budget = math.max(budgets[effort] or budgets.medium, row.least or 0)
    return { thinkingBudget = budget, includeThoughts = budget > 0 }
  end
  if effort == "minimal" then effort = row.least or effort end
  return { thinkingLevel = effort, includeThoughts = true }
end

local function encode_tools(tools)
  if not tools then return nil end
  local list = {}
  for i, tool in ipairs(tools) do
    local schema = tool.parameters
    if schema and not next(schema.properties or {}) then schema = nil end
    list[i] = { name = tool.name, description = tool.description, parametersJsonSchema = schema }
  end
  return { { functionDeclarations = list } }
end

local modes = { auto = "AUTO", none = "NONE", required = "ANY" }

local function encode_tool_choice(choice)
  if not choice then return nil end
  if type(choice) == "table" then
    return { functionCallingConfig = { mode = "ANY", allowedFunctionNames = { choice.name } } }
  end
  return { functionCallingConfig = { mode = modes[choice] or choice } }
end

local function encode_config(request, row)
  local is_ours = row.own_temperature and request.defaulted.temperature
  local stop, schema = request.stop, request.response_schema
  return {
    maxOutputTokens = request.max_tokens, topP = request.top_p, seed = request.seed,
    temperature = not is_ours and request.temperature or nil,
    stopSequences = type(stop) == "string" and { stop } or stop,
    presencePenalty = request.presence_penalty, frequencyPenalty = request.frequency_penalty,
    responseLogprobs = request.logprobs, logprobs = request.top_logprobs,
    responseMimeType = schema and "application/json", responseJsonSchema = schema,
    thinkingConfig = encode_thinking(request.reasoning_effort, row),
  }
end

local unknown = { "logit_bias", "parallel_tool_calls", "user", "metadata", "prompt_cache_key" }
local unknown_effort = { "reasoning_effort" } -- where thinking cannot be switched off

local function encode_request(request, provider)
  local row = parameters.row_of(provider, request.model)
  local cannot_stop = row.thinking ~= "budget" and request.reasoning_effort == "none"
  local problem
  request, problem = parameters.settle(request, provider, unknown,
    cannot_stop and unknown_effort)
  if not request then return nil, problem end
  local contents, system = encode_contents(request, row)
  if not contents then return nil, system end
  local config = encode_config(request, row)
  local model, fault = url.segment((request.model:gsub("^models/", "")))
  if not model then return nil, fault end
  local body = {
    contents = contents, systemInstruction = system, tools = encode_tools(request.tools),
    toolConfig = encode_tool_choice(request.tool_choice), serviceTier = request.service_tier,
    generationConfig = next(config) and config or nil,
  }
  for name, value in pairs(request.extra or {}) do body[name] = value end
  local method = request.stream and "streamGenerateContent?alt=sse" or "generateContent"
  return { path = "/models/" .. model .. ":" .. method, body = body }
end

return encode_request
