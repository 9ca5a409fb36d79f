--- Auth: what a provider's `auth` adds to its requests. The forms: `{bearer = true}`,
-- `{header = NAME}` and `{query = NAME}` carry the key; `{sigv4 = SERVICE}` signs for AWS where no
-- key is given; `function(context) -> headers, expires_at` makes what it likes.
-- @module llm.auth
local core = require "llm.core"
local errors = require "llm.error"
local secret = require "llm.secret"

local EARLY = 60 -- seconds before its end in which a token is no longer used

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

--- Whether this provider cannot be asked without a key.
-- @tparam table provider
-- @treturn boolean
local function needs_key(provider)
  local auth = provider.auth
  if type(auth) ~= "table" or provider.base_url:find("^http://") then return false end
  return not (auth.sigv4 and environment "AWS_ACCESS_KEY_ID")
end

--- The headers that carry the key.
-- @tparam table provider
-- @tparam string|nil key
-- @treturn table
local function of_key(provider, key)
  local auth = provider.auth
  if type(auth) ~= "table" or not key then return {} end
  if auth.bearer then return { Authorization = "Bearer " .. key } end
  if auth.header then return { [auth.header] = key } end
  return {}
end

--- Whether each request has headers of its own.
-- @tparam table call
-- @treturn boolean
local function is_made_anew(call)
  local auth = call.provider.auth
  return type(auth) == "function" or type(auth) == "table" and auth.sigv4 ~= nil and not call.key
end

--- Whose account a call is of, as far as is known here.
-- @tparam table call
-- @treturn string|nil the key
local function account(call)
  local auth = call.provider.auth
  return call.key or type(auth) == "table" and auth.sigv4 and environment "AWS_ACCESS_KEY_ID" or nil
end

local function refuse(call, text)
  return nil, errors.new("authentication", text, { provider = call.provider.name })
end

local NOTHING_TO_SIGN_WITH = "to sign requests, set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
  .. "AWS_REGION"

local function region_of(call)
  return environment "AWS_REGION" or environment "AWS_DEFAULT_REGION"
    or call.provider.base_url:match("%.([%w-]+)%.amazonaws%.com")
end

local function sign(call, setup, body)
  local region = region_of(call)
  local access_key = environment "AWS_ACCESS_KEY_ID"
  local secret_key = environment "AWS_SECRET_ACCESS_KEY"
  if not (access_key and secret_key and region) then return refuse(call, NOTHING_TO_SIGN_WITH) end
  local token = environment "AWS_SESSION_TOKEN"
  secret.remember(secret_key)
  if token then secret.remember(token) end
  local date = os.date("!%Y%m%dT%H%M%SZ")
  local authorization, message = core.sigv4.sign {
    access_key = access_key, secret_key = secret_key, session_token = token, region = region,
    service = call.provider.auth.sigv4, date = date, method = setup.method, url = setup.url,
    content_type = "application/json", body = body,
  }
  if not authorization then return refuse(call, message) end
  return { Authorization = authorization, ["X-Amz-Date"] = date, ["X-Amz-Security-Token"] = token }
end

-- What the provider's function gives is used until it expires, by all calls of the client.
local function ask(call, setup, body)
  local client = call.client
  local kept = client.granted
  if kept and os.time() < kept.expires_at - EARLY then return kept.headers end
  local headers, expires_at = call.provider.auth {
    key = call.key, method = setup.method, url = setup.url, body = body,
    base_url = call.provider.base_url,
  }
  if type(headers) ~= "table" then
    return refuse(call, tostring(expires_at or "the provider's auth function gives no headers"))
  end
  for _, value in pairs(headers) do
    value = tostring(value)
    secret.remember(value:match("^%a+ (%S+)$") or value)
  end
  client.granted = expires_at and { headers = headers, expires_at = expires_at }
  return headers
end

--- The headers of one request, where is_made_anew.
-- @tparam table call
-- @tparam table setup `method`, `url`
-- @tparam string|nil body
-- @treturn table headers
-- @treturn nil, err
local function make(call, setup, body)
  if type(call.provider.auth) == "function" then return ask(call, setup, body) end
  return sign(call, setup, body)
end

return {
  account = account, is_made_anew = is_made_anew, make = make, needs_key = needs_key,
  of_key = of_key,
}
