--- Errors: one table with a closed set of kinds and a one-line text.
-- Code looks at `err.kind`; people read `tostring(err)`.
-- Fields: kind, message, status (HTTP), provider, model, request_id, retry_after (seconds),
-- retryable, maybe_billed, phase, partial (the Response as far as it came).
-- @module llm.error
local core = require "llm.core"
local secret = require "llm.secret"

local Error = {}
Error.__index = Error

-- kind -> whether waiting and asking again may help
local kinds = {
  invalid_request = false, authentication = false, permission = false, model_not_found = false,
  rate_limit = true, quota = false, context_length = false, content_filter = false,
  timeout = true, network = true, provider_unavailable = true, truncated = false,
  protocol = false, budget = false, cancelled = false, schema = false,
}

-- the specification's exception names -> the kinds they cover
local names = {
  LLMClientError = kinds,
  ProviderNotAvailableError = { provider_unavailable = true, network = true, timeout = true },
  RateLimitError = { rate_limit = true },
  AuthenticationError = { authentication = true },
  ModelNotFoundError = { model_not_found = true },
}

-- Masked before it is cut: half a key is a secret, too.
local function one_line(text)
  text = core.system.neutralise((secret.scrub(tostring(text)):gsub("%s+", " ")))
  if #text > 400 then
    text = text:sub(1, 397):gsub("[\128-\191]*$", ""):gsub("[\192-\255]$", "") .. "..."
  end
  return text
end

--- Makes an error; every credential in the message is masked.
-- @tparam string kind one of the closed set
-- @tparam string message what happened and, where it helps, what to do
-- @tparam[opt] table fields further fields, see above
-- @treturn table the error
local function new(kind, message, fields)
  if kinds[kind] == nil then error("unknown error kind " .. tostring(kind), 2) end
  local err = setmetatable({}, Error)
  for key, value in pairs(fields or {}) do err[key] = value end
  err.kind = kind
  err.message = one_line(message)
  if err.retryable == nil then err.retryable = kinds[kind] end
  return err
end

--- Whether this error is of a kind, or falls under one of the specification's names.
-- @tparam string name `"rate_limit"`, `"RateLimitError"`, `"LLMClientError"` …
-- @treturn boolean
-- @usage if err:is("ProviderNotAvailableError") then … end
function Error:is(name)
  local covered = names[name]
  if covered then return covered[self.kind] ~= nil end
  return self.kind == name
end

function Error:__tostring()
  local where = self.provider and (" (" .. self.provider ..
    (self.status and self.status ~= 200 and ", HTTP " .. self.status or "") ..
    (self.request_id and ", request " .. self.request_id or "") .. ")") or ""
  return self.kind .. ": " .. self.message .. where
end

local function is_error(value) return getmetatable(value) == Error end

return { new = new, is_error = is_error, kinds = kinds }
