--- Errors: what a reply that is one means, whoever sent it. The fixtures of each provider are read
-- by the dialects' specs; here are the statuses, the shapes and the cases of other clients.
local conformance = require "spec.support.conformance"
local core = require "llm.core"
local failure = require "llm.failure"
local providers = require "llm.provider"

local json = core.json

local CLASSES = "../shared/cases/error_class.jsonl"
local RETRIES = "../shared/cases/retry_status.jsonl"

local function error_of(status, body, headers)
  headers = headers or {}
  headers["content-type"] = headers["content-type"] or "application/json"
  if type(body) == "table" then body = json.encode(body) end
  local recording = { status = status, headers = headers }
  return conformance.play(assert(providers.find "openai"), recording, { body }).err
end

describe("the status of a reply", function()
  local kinds = {
    [400] = "invalid_request", [401] = "authentication", [402] = "quota", [403] = "permission",
    [404] = "model_not_found", [408] = "timeout", [409] = "provider_unavailable",
    [413] = "invalid_request", [418] = "invalid_request", [422] = "invalid_request",
    [429] = "rate_limit", [498] = "provider_unavailable", [500] = "provider_unavailable",
    [502] = "provider_unavailable", [503] = "provider_unavailable", [504] = "provider_unavailable",
    [524] = "provider_unavailable", [529] = "provider_unavailable",
  }

  it("decides where the body says nothing", function()
    for status, kind in pairs(kinds) do
      assert.equal(kind, error_of(status, { error = { message = "No." } }).kind, status)
    end
  end)

  it("of a page that is not the API's is told with the page", function()
    local page = "<html><style>b{}</style><b>Gateway</b> down</html>"
    local err = error_of(502, page, { ["content-type"] = "text/html" })
    assert.equal("provider_unavailable", err.kind)
    assert.matches("Gateway down", err.message)
    assert.not_matches("b{}", err.message, 1, true)
    assert.equal("provider_unavailable", error_of(503, "").kind)
    assert.equal("protocol", error_of(200, page, { ["content-type"] = "text/html" }).kind)
    assert.equal("protocol", error_of(200, "").kind)
  end)
end)

describe("the shape of an error", function()
  local shapes = {
    { error = { message = "Why." } }, { error = "Why." }, { message = "Why." }, { detail = "Why." },
    { { error = { message = "Why." } } }, { object = "error", message = "Why.", code = json.null },
  }

  it("may be any that providers send", function()
    for _, shape in ipairs(shapes) do
      local err = error_of(400, shape)
      assert.equal("Why.", err.message)
      assert.equal("invalid_request", err.kind)
    end
    local err = error_of(422, { message = { detail = { { msg = "field required" } } } })
    assert.matches("field required", err.message)
  end)

  it("does not stop us, whatever stands in it", function()
    for _, value in ipairs { json.null, 1, true, "", {}, json.empty_array, { json.null } } do
      for _, shape in ipairs { value, { error = value }, { message = value, code = value },
        { error = { message = value, code = value, type = value, details = value,
          metadata = value } }, { error = { details = { { retryDelay = value,
          violations = value } } } } } do
        local err = error_of(400, json.encode(shape))
        assert.equal("invalid_request", err.kind)
        assert.is_string(err.message)
      end
    end
  end)
end)

-- One JSON document a line; nil when the file is not there.
local function read_cases(path)
  local file = io.open(path)
  if not file then
    print(path .. " is not there: the cases of other clients were left out")
    return {}
  end
  local cases = {}
  for line in file:lines() do cases[#cases + 1] = assert(json.decode(line)) end
  file:close()
  return cases
end

describe("the cases of other clients", function()
  local asked = { rate_limit = "rate_limit", context_window_exceeded = "context_length",
    content_policy = "content_filter" }
  local classes = { bad_gateway = "provider_unavailable" }

  it("classify messages and statuses", function()
    for _, case in ipairs(read_cases(CLASSES)) do
      if case.kind == "message" then
        local kind = failure.kind_of_message(case.message)
        assert.equal(case.expect, kind == asked[case.question], case.message)
      else
        assert.equal(classes[case.expect_class], error_of(case.status, "{}").kind)
      end
    end
  end)

  it("say which statuses are asked again", function()
    for _, case in ipairs(read_cases(RETRIES)) do
      if case.expect_retry ~= nil then
        local err = error_of(case.status, "{}", case.headers)
        assert.equal(case.expect_retry, err.retryable, case.name)
      end
    end
  end)
end)
