--- Failures: what an error reply means. Status and the provider's own codes decide; the text of a
-- message only where providers send nothing better.
-- @module llm.failure
local core = require "llm.core"
local headers_of = require "llm.headers"
local secret = require "llm.secret"
local url = require "llm.url"

local decode = core.json.decode

local by_status = {
  [400] = "invalid_request", [401] = "authentication", [402] = "quota", [403] = "permission",
  [404] = "model_not_found", [408] = "timeout", [409] = "provider_unavailable",
  [410] = "model_not_found", [413] = "invalid_request", [422] = "invalid_request",
  [424] = "provider_unavailable", [429] = "rate_limit", [498] = "provider_unavailable",
  [499] = "cancelled",
}

-- the providers' own words for what went wrong: error.code, error.type, error.status
local by_code = {
  context_length_exceeded = "context_length", exceed_context_size_error = "context_length",
  max_tokens_exceeded = "context_length", token_limit_exceeded = "context_length",
  insufficient_quota = "quota", billing_error = "quota", payment_required = "quota",
  billing_hard_limit_reached = "quota", billing_not_active = "quota",
  enforced_spend_limit_reached = "quota", contract_spend_limit_reached = "quota",
  invalid_api_key = "authentication", authentication_error = "authentication",
  authentication = "authentication", unauthenticated = "authentication",
  permission_error = "permission", permission_denied = "permission",
  model_not_found = "model_not_found", not_found_error = "model_not_found",
  invalid_model = "model_not_found", not_found = "model_not_found",
  rate_limit_exceeded = "rate_limit", rate_limit_error = "rate_limit",
  too_many_requests = "rate_limit", resource_exhausted = "rate_limit",
  content_filter = "content_filter", content_policy_violation = "content_filter",
  responsibleaipolicyviolation = "content_filter", refusal = "content_filter",
  overloaded_error = "provider_unavailable", server_error = "provider_unavailable",
  api_error = "provider_unavailable", internalservererror = "provider_unavailable",
  server_is_overloaded = "provider_unavailable", slow_down = "provider_unavailable",
  unavailable_error = "provider_unavailable", unavailable = "provider_unavailable",
  provider_overloaded = "provider_unavailable", provider_unavailable = "provider_unavailable",
  capacity_exceeded = "provider_unavailable", internal = "provider_unavailable",
  timeout_error = "timeout", deadline_exceeded = "timeout",
}

-- Lua patterns over the message in lower case, tried in order
local by_message = {
  { "maximum context length", "context_length" }, { "context window", "context_length" },
  { "context length", "context_length" }, { "context size", "context_length" },
  { "context limit", "context_length" },
  { "prompt is too long", "context_length" }, { "input is too long", "context_length" },
  { "input tokens exceed", "context_length" }, { "input token count.*exceeds", "context_length" },
  { "too many tokens", "context_length" }, { "reduce the length", "context_length" },
  { "tokens? limit.*exceeded", "context_length" }, { "exceeds? the.*token", "context_length" },
  { "content policy", "content_filter" }, { "content management policy", "content_filter" },
  { "safety system", "content_filter" },
  { "usage polic", "content_filter" }, { "responsible ai", "content_filter" },
  { "insufficient.*quota", "quota" }, { "insufficient.*balance", "quota" },
  { "exceeded your current quota", "quota" }, { "credit balance", "quota" },
  { "content.filter", "content_filter" }, { "throttled", "rate_limit" },
  { "rate.?limit", "rate_limit" }, { "too many requests", "rate_limit" },
  { "request limit", "rate_limit" }, { "quota exceeded", "rate_limit" },
  { "resource.*exhausted", "rate_limit" }, { "tokens per minute", "rate_limit" },
  { "api.?key", "authentication" },
}

--- What a message's text says about the kind, nil when nothing.
-- @tparam string message
-- @treturn string|nil
local function kind_of_message(message)
  message = message:lower()
  for i = 1, #by_message do
    if message:find(by_message[i][1]) then return by_message[i][2] end
  end
end

local function table_or_empty(value) return type(value) == "table" and value or {} end

local function text_of(value)
  if type(value) == "string" then return value end
  if type(value) == "table" then return core.json.encode(value) end
end

-- The providers' shapes: {error={message,type,code}}, {error=""}, {message=}, {detail=},
-- [{error=}]
local function read_shape(json)
  if type(json) ~= "table" then return {} end
  if type(json[1]) == "table" then json = json[1] end
  local inner = json.error
  if type(inner) == "string" then
    return { message = inner, code = json.code }
  elseif type(inner) == "table" then
    return {
      message = text_of(inner.message), type = inner.type,
      code = inner.code or table_or_empty(inner.details).error_code,
      status = inner.status or table_or_empty(inner.metadata).error_type,
    }
  end
  local message = text_of(json.message) or text_of(json.detail)
  return { message = message, code = json.code, type = json.type }
end

--- What a status says where nothing says more.
-- @tparam number status
-- @treturn string|nil kind
local function kind_of_status(status)
  return by_status[status] or status >= 500 and "provider_unavailable"
    or status >= 400 and "invalid_request" or nil
end

local function known_code(shape)
  for _, field in ipairs { "code", "type", "status" } do
    local word = shape[field]
    local kind = type(word) == "string" and by_code[word:lower()]
    if kind then return kind end
  end
end

-- What an error tells beside its kind: Anthropic's request_id, Google's RetryInfo and QuotaFailure
-- (a quota of the day is not worth waiting for).
local function fields_of(json)
  json = table_or_empty(json)
  if type(json[1]) == "table" then json = json[1] end
  local fields = { request_id = type(json.request_id) == "string" and json.request_id or nil }
  for _, detail in ipairs(table_or_empty(table_or_empty(json.error).details)) do
    local delay = tostring(table_or_empty(detail).retryDelay):match("^([%d.]+)s$")
    fields.retry_after = delay and tonumber(delay) or fields.retry_after
    for _, violation in ipairs(table_or_empty(table_or_empty(detail).violations)) do
      local quota = tostring(table_or_empty(violation).quotaId)
      if quota:find("PerDay", 1, true) then fields.retryable = false end
    end
  end
  return fields
end

--- The kind and message of an error object, as it comes in a body or in the midst of a stream.
-- @tparam number status HTTP status; 200 where the error came inside a good reply
-- @tparam table json the decoded body or event
-- @treturn string kind
-- @treturn string message
-- @treturn table|nil further fields of the error
local function classify(status, json)
  local shape = read_shape(json)
  local numeric = tonumber(shape.code)
  if status < 400 and numeric and numeric >= 400 and numeric <= 599 then status = numeric end
  local message = shape.message or text_of(shape.type) or "the provider gives no reason"
  local kind = known_code(shape)
  local of_status = kind_of_status(status)
  -- A request that is refused for its size or content is told from others by its text alone.
  local vague = kind == nil and (of_status == nil or of_status == "invalid_request" or
    of_status == "permission" or of_status == "rate_limit")
  if vague then
    local by_text = kind_of_message(message)
    if by_text and not (of_status == "rate_limit" and by_text ~= "quota") then kind = by_text end
  end
  return kind or of_status or "provider_unavailable", message, fields_of(json)
end

local function excerpt(text)
  text = secret.scrub(text):gsub("<[sS][tT][yY][lL][eE].-</[^>]*>", " ")
  text = text:gsub("<[^>]*>", " "):gsub("%s+", " ")
  text = text:gsub("^ ", ""):gsub(" $", "")
  return #text > 120 and text:sub(1, 117) .. "..." or text
end

--- Says that a reply is not the JSON or the stream that was asked for.
-- @tparam Reply reply
-- @tparam string body
-- @treturn string message
local function not_json(reply, body)
  local content_type = reply.transfer:header("content-type") or "no content-type"
  if not body:find("%S") then return "the reply is empty (" .. content_type .. ")" end
  return ("the reply is %s, %d bytes, not what an API answers: %s"):format(
    content_type, #body, excerpt(body))
end

-- Another origin never gets the request: not the key, not the prompt.
local function redirected(reply, status)
  local call = reply.request.call
  local base = url.parse(call.provider.base_url)
  local location = reply.transfer:header("location") or ""
  local target = location ~= "" and url.resolve(base, location)
  local is_same = target and target.origin == base.origin and status ~= 303
  return reply:error("protocol", ("redirect (HTTP %d) to %s was not followed; %s"):format(
    status, target and target.origin or excerpt(location:gsub("//[^/]*@", "//")),
    is_same and "set follow_redirects or base_url" or "set base_url to where the API is"),
    { redirect_url = is_same and target.origin .. target.path or nil })
end

--- The error of a reply whose status is not 2xx.
-- @tparam Reply reply
-- @tparam number status
-- @tparam string body
-- @treturn table err
local function of_status(reply, status, body)
  if status >= 300 and status < 400 then return redirected(reply, status) end
  local json = decode(body)
  local custom = reply.dialect.failure
  if custom then
    local kind, message = custom(status, headers_of.parse(reply.transfer:headers()), json or body)
    if kind then return reply:error(kind, message) end
  end
  if type(json) == "table" then return reply:error(classify(status, json)) end
  local kind = status == 404 and "invalid_request" or kind_of_status(status) or "protocol"
  return reply:error(kind, ("HTTP %d: %s"):format(status, not_json(reply, body)))
end

--- Adds what the reply's headers tell to an error: request id, how long to wait, whether to retry.
-- @tparam table err
-- @tparam Reply reply
-- @treturn table err
local function complete(err, reply)
  local block = reply.transfer:headers()
  if block == "" then return err end
  local headers = headers_of.parse(block)
  err.headers = headers
  err.request_id = headers_of.request_id(headers) or err.request_id
  if headers["x-should-retry"] == "true" then err.retryable = true end
  if headers["x-should-retry"] == "false" then err.retryable = false end
  err.retry_after = headers_of.retry_after(headers) or err.retry_after
  return err
end

return {
  classify = classify, kind_of_message = kind_of_message, kind_of_status = kind_of_status,
  not_json = not_json,
  of_status = of_status, complete = complete,
}
