--- What a manifest says of a fixture, held against how it was read. Each finding is raised as text.
-- @module llm.conformance.expect
local core = require "llm.core"
local errors = require "llm.error"

local json = core.json

local function show(value)
  if value == nil then return "nothing" end
  local text = json.encode(value)
  return #text > 200 and text:sub(1, 197) .. "..." or text
end

--- Raises unless two values are the same, tables by what they hold.
-- @tparam string what named in the message
-- @param wanted
-- @param got
local function same(what, wanted, got)
  if wanted == got then return end
  if type(wanted) == "table" and type(got) == "table" and json.encode(wanted) == json.encode(got)
  then
    return
  end
  error(("%s: expected %s, got %s"):format(what, show(wanted), show(got)), 0)
end

-- the manifests' short words for kinds; a kind itself may stand there too
local kind_of = {
  bad_request = "invalid_request", auth = "authentication", not_found = "model_not_found",
  server = "provider_unavailable", overloaded = "provider_unavailable",
}

-- the providers' own words where a manifest has them
local stops = {
  blocked = "content_filter", refusal = "content_filter", SAFETY = "content_filter",
  end_turn = "stop", stop_sequence = "stop", STOP = "stop", max_tokens = "length",
  MAX_TOKENS = "length", tool_use = "tool_calls",
}

--- Tool calls with their arguments decoded; raises when they are no JSON.
-- @tparam table|nil calls
-- @treturn table
local function arguments_of(calls)
  local list = {}
  for i, call in ipairs(calls or {}) do
    local arguments, message = json.decode(call.arguments)
    if arguments == nil then
      error(("arguments of tool call %d: expected JSON, got %s (%s)"):format(
        i, show(call.arguments), message), 0)
    end
    list[i] = { name = call.name, arguments = arguments, id = call.id }
  end
  return list
end

-- Whether a value stands anywhere in what the provider wants back, byte for byte.
local function holds(tree, value)
  if type(tree) ~= "table" then return tree == value end
  for _, item in pairs(tree) do
    if holds(item, value) then return true end
  end
  return false
end

local function ignore() end
local function kept(played, wanted)
  if not holds(played.response.opaque, wanted) then
    same("opaque", wanted, played.response.opaque)
  end
end
local function content(played, wanted) same("text", wanted, played.response.content) end

-- A field of the usage, of the response or of the error.
local function count(field)
  return function(played, wanted) same(field, wanted, (played.response.usage or {})[field]) end
end

-- expectation -> function(played, wanted)
local expectations = {
  text = content, partial_text = content, signature = kept, encrypted_content = kept,
  thinking = function(played, wanted) same("thinking", wanted, played.response.reasoning or "") end,
  refusal = function(played, wanted) same("refusal", wanted, played.response.refusal) end,
  stop = function(played, wanted)
    same("stop", stops[wanted] or wanted, played.response.finish_reason)
  end,
  tool_calls = function(played, wanted)
    local list = {}
    for i, call in ipairs(wanted) do
      list[i] = { name = call.name, arguments = call.arguments,
        id = call.id == json.null and "call_" .. i or call.id }
    end
    same("tool_calls", list, arguments_of(played.response.tool_calls))
  end,
  input_tokens = count "input_tokens", output_tokens = count "output_tokens",
  cached_tokens = count "cached_tokens", reasoning_tokens = count "reasoning_tokens",
  embeddings = function(played, wanted) same("embeddings", wanted, played.response.items) end,
  models = function(played, wanted)
    local ids = {}
    for i, model in ipairs(played.response.items or {}) do ids[i] = model.id end
    same("models", wanted, ids)
  end,
  error = function(played, wanted)
    local kind = kind_of[wanted] or wanted
    if errors.kinds[kind] == nil then error("the manifest's error is no kind: " .. kind, 0) end
    same("error", kind, played.err and played.err.kind)
  end,
  retryable = function(played, wanted) same("retryable", wanted, played.err.retryable) end,
  retry_after_ms = function(played, wanted)
    same("retry_after_ms", wanted, (played.err.retry_after or 0) * 1000)
  end,
  note = ignore, bytes = ignore,
  cost = ignore, -- the price that a provider tells is not read: ours is by the table
}

local failing = {
  error = true, stream_error = true, stream_interrupted = true, stream_corrupt = true,
}
local kinds_of_cuts = { stream_interrupted = "truncated", stream_corrupt = "protocol" }

--- Raises unless a fixture was read as its row says.
-- @tparam table row of the manifest
-- @tparam table played of llm.conformance.play
local function row_holds(row, played)
  if failing[row.kind] then
    same("error", kinds_of_cuts[row.kind] or row.expect.error or "any",
      played.err and (kinds_of_cuts[row.kind] and played.err.kind or row.expect.error or "any"))
  else
    same("error", nil, played.err and tostring(played.err))
    if not played.response.finish_reason then error("no finish reason was given", 0) end
  end
  local id = row.headers["request-id"] or row.headers["x-request-id"]
  if id then same("request_id", id, (played.err or played.response).request_id) end
  for name, wanted in pairs(row.expect) do
    local expectation = expectations[name]
    if not expectation then error("the manifest expects what is not known: " .. name, 0) end
    expectation(played, wanted)
  end
end

--- Raises when the counts of a reply contradict each other.
-- @tparam table played
local function usage_is_sane(played)
  local usage = played.response.usage
  if not usage or usage.estimated then return end
  local input, output = usage.input_tokens or math.huge, usage.output_tokens or math.huge
  local cached = (usage.cached_tokens or 0) + (usage.cache_write_tokens or 0)
  if cached > input then same("cached tokens: at most", input, cached) end
  if (usage.reasoning_tokens or 0) > output then
    same("reasoning tokens: at most", output, usage.reasoning_tokens)
  end
end

return {
  same = same, row_holds = row_holds, usage_is_sane = usage_is_sane, arguments_of = arguments_of,
}
