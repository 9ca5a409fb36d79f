--- Dialect of Ollama's own API, /api/chat. A request's `extra` is merged into the body, so that
-- `extra = { options = { num_ctx = 32768 }, keep_alive = "10m" }` sets what only Ollama has.
-- @module llm.dialect.ollama
local core = require "llm.core"
local failure = require "llm.failure"
local merge = require "llm.merge"
local parameters = require "llm.parameters"
local queries = require "llm.dialect.ollama_queries"

local json = core.json

local function table_or_empty(value) return type(value) == "table" and value or {} end

-- --- request -------------------------------------------------------------------------------------

-- Content is one text; images stand beside it.
local function encode_content(content)
  if type(content) ~= "table" then return content or "" end
  local texts, images = {}, nil
  for _, part in ipairs(content) do
    local text = part.text or part.type == "file" and require("llm.mime").text_of(part)
    if text then
      texts[#texts + 1] = text
    elseif part.type == "image" and part.data then
      images = images or {}
      images[#images + 1] = core.base64.encode(part.data)
    else
      return nil, ("Ollama does not take a message part of type %s%s"):format(
        part.type, part.url and " by url" or "")
    end
  end
  return table.concat(texts, "\n"), images
end

local function encode_calls(calls, names)
  local list = {}
  for i, call in ipairs(calls) do
    local arguments = json.decode(call.arguments ~= "" and call.arguments or "{}")
    if type(arguments) ~= "table" then
      return nil, ("the arguments of the tool call %s are no JSON object"):format(call.id)
    end
    names[call.id] = call.name
    list[i] = { id = call.id, ["function"] = { name = call.name, arguments = arguments } }
  end
  return list
end

local function encode_messages(messages)
  local list, names = {}, {}
  for i, source in ipairs(messages) do
    local content, images = encode_content(source.content)
    if not content then return nil, images end
    local calls, problem
    if source.tool_calls then calls, problem = encode_calls(source.tool_calls, names) end
    if problem then return nil, problem end
    local thoughts = calls and source.opaque and source.opaque.ollama
    list[i] = {
      role = source.role, content = content, images = images, tool_calls = calls,
      thinking = thoughts and table.concat(thoughts),
      tool_call_id = source.tool_call_id, tool_name = names[source.tool_call_id],
    }
  end
  return list
end

local function encode_tools(request)
  if not request.tools or request.tool_choice == "none" then return nil end
  local list = {}
  for i, tool in ipairs(request.tools) do
    list[i] = { type = "function", ["function"] = { name = tool.name,
      description = tool.description, parameters = tool.parameters } }
  end
  return list
end

local think = { none = false, minimal = "low", xhigh = "max" }

local function encode_think(effort)
  if think[effort] ~= nil then return think[effort] end
  return effort
end

local unknown = { "logit_bias", "parallel_tool_calls", "user", "metadata", "prompt_cache_key",
  "service_tier" }
local unknown_choice = { "tool_choice" } -- a call cannot be forced

local function encode_request(request, provider)
  local is_forced = request.tool_choice == "required" or type(request.tool_choice) == "table"
  local problem, messages
  request, problem = parameters.settle(request, provider, unknown, is_forced and unknown_choice)
  if not request then return nil, problem end
  messages, problem = encode_messages(request.messages)
  if not messages then return nil, problem end
  local stop = request.stop
  local body = {
    model = request.model, messages = messages, stream = request.stream == true,
    tools = encode_tools(request), format = request.response_schema,
    think = encode_think(request.reasoning_effort),
    logprobs = request.logprobs, top_logprobs = request.top_logprobs,
    options = {
      num_predict = request.max_tokens, temperature = request.temperature, top_p = request.top_p,
      seed = request.seed, stop = type(stop) == "string" and { stop } or stop,
      presence_penalty = request.presence_penalty, frequency_penalty = request.frequency_penalty,
    },
  }
  return { path = "/api/chat", body = merge(body, request.extra or {}) }
end

-- --- reply ---------------------------------------------------------------------------------------

local function decode_calls(calls, reply)
  for _, call in ipairs(table_or_empty(calls)) do
    local state, called = reply.state, table_or_empty(call["function"])
    state.calls = (state.calls or 0) + 1
    reply:tool_call(state.calls, type(call.id) == "string" and call.id or nil, called.name)
    reply:tool_arguments(state.calls, json.encode(table_or_empty(called.arguments)))
  end
end

local finish_reasons = { stop = "stop", length = "length" }

local function decode_event(event, reply)
  local data = event.json
  if type(data) ~= "table" then return end
  if data.error and data.error ~= json.null then
    return reply:fail(failure.classify(200, data))
  end
  if type(data.model) == "string" then reply:model(data.model) end
  local message = table_or_empty(data.message)
  if type(message.thinking) == "string" then
    reply:reasoning(message.thinking)
    reply:opaque("ollama", message.thinking) -- a model that acts goes on with what it thought
  end
  if type(message.content) == "string" then reply:text(message.content) end
  decode_calls(message.tool_calls, reply)
  if data.done == true then
    reply:usage { input_tokens = data.prompt_eval_count, output_tokens = data.eval_count }
    local raw = type(data.done_reason) == "string" and data.done_reason or "stop"
    reply:finish(finish_reasons[raw] or "other", raw)
    reply:complete()
  elseif event.type == "body" then
    reply:fail("protocol", "the reply is no answer of Ollama's")
  end
end

-- A line of exactly this shape is nothing but text.
local skim = {
  model = "$skip", created_at = "$skip", done = false,
  message = { role = "assistant", content = "$text" },
}

return {
  frame = "ndjson", encode_request = encode_request, decode_event = decode_event, skim = skim,
  encode_embed = queries.encode_embed, decode_embed = queries.decode_embed,
  encode_models = queries.encode_models, decode_models = queries.decode_models,
}
