-- Errors: a closed set of kinds, one line of text, no credentials.
local core = require "llm.core"
local llm = require "llm"
local errors = require "llm.error"
local secret = require "llm.secret"

describe("llm.error", function()
  teardown(function() assert.equal(0, llm.live()) end)

  local kinds = {
    "invalid_request", "authentication", "permission", "model_not_found", "rate_limit", "quota",
    "context_length", "content_filter", "timeout", "network", "provider_unavailable", "truncated",
    "protocol", "budget", "cancelled", "schema",
  }

  it("knows the sixteen kinds and refuses others", function()
    local count = 0
    for _ in pairs(errors.kinds) do count = count + 1 end
    assert.equal(#kinds, count)
    for _, kind in ipairs(kinds) do
      local err = errors.new(kind, "why")
      assert.equal(kind, err.kind)
      assert.is_true(err:is(kind))
      assert.is_true(err:is("LLMClientError"))
      assert.is_true(errors.is_error(err))
    end
    assert.has_error(function() errors.new("oops", "why") end, "unknown error kind oops")
    assert.is_false(errors.is_error("network"))
    assert.is_false(errors.is_error({ kind = "network" }))
  end)

  it("answers to the specification's names", function()
    local covered = {
      ProviderNotAvailableError = { provider_unavailable = true, network = true, timeout = true },
      RateLimitError = { rate_limit = true },
      AuthenticationError = { authentication = true },
      ModelNotFoundError = { model_not_found = true },
    }
    for name, expected in pairs(covered) do
      for _, kind in ipairs(kinds) do
        assert.equal(expected[kind] or false, errors.new(kind, "why"):is(name), name .. " " .. kind)
      end
    end
    assert.is_false(errors.new("network", "why"):is("NoSuchError"))
  end)

  it("says which kinds may pass, unless it is told", function()
    local passing = { rate_limit = true, timeout = true, network = true,
      provider_unavailable = true }
    for _, kind in ipairs(kinds) do
      assert.equal(passing[kind] or false, errors.new(kind, "why").retryable, kind)
    end
    assert.is_false(errors.new("network", "why", { retryable = false }).retryable)
    assert.is_true(errors.new("protocol", "why", { retryable = true }).retryable)
  end)

  it("is one line with all that helps", function()
    local err = errors.new("rate_limit", "slow\r\n  down\tplease", {
      provider = "openai", status = 429, request_id = "req_1",
    })
    assert.equal("rate_limit: slow down please (openai, HTTP 429, request req_1)", tostring(err))
    assert.equal("timeout: no answer (openai)",
      tostring(errors.new("timeout", "no answer", { provider = "openai" })))
    assert.equal("protocol: odd (openai)",
      tostring(errors.new("protocol", "odd", { provider = "openai", status = 200 })))
    assert.equal("budget: spent", tostring(errors.new("budget", "spent")))
  end)

  it("cuts a long message between characters", function()
    for length = 380, 410 do
      local message = errors.new("protocol", ("x"):rep(length) .. ("界"):rep(200)).message
      assert.is_true(#message <= 400)
      assert.matches("%.%.%.$", message)
      local rest = message:sub(1, -4):gsub("^x+", ""):gsub("界", "")
      assert.equal("", rest)
    end
    assert.equal(("x"):rep(400), errors.new("protocol", ("x"):rep(400)).message)
  end)

  -- A provider's text was printed as it came, so that an error could paint on the terminal.
  it("shows control characters and does not pass them on", function()
    local message = errors.new("protocol", "a\27]52;c;aGk=\7b\0c\194\155d\226\128\174e").message
    assert.is_nil(message:find("[%c]"))
    assert.is_nil(message:find("\194\155", 1, true))
    assert.is_nil(message:find("\226\128\174", 1, true))
    assert.matches("^a.+b.+c.+d.+e$", message)
  end)

  it("masks credentials in every form", function()
    local key = "sk-CANARY/+plus=and%more"
    secret.remember(key)
    local forms = { key, secret.percent(key), core.base64.encode(key) }
    for _, form in ipairs(forms) do
      local err = errors.new("authentication", "the key <" .. form .. "> is wrong")
      assert.equal("the key <[redacted]> is wrong", (err.message:gsub("=*>", ">")))
      assert.is_nil(tostring(err):find("CANARY", 1, true))
    end
  end)

  -- The text was cut first and masked then: a key across the cut was no longer the key.
  it("masks a credential that lies across the cut", function()
    local key = "sk-" .. ("CANARY"):rep(8)
    secret.remember(key)
    for before = 340, 400 do
      local message = errors.new("protocol", ("x"):rep(before) .. key .. ("y"):rep(100)).message
      assert.is_nil(message:find("CANARY", 1, true))
    end
  end)

  it("takes any value for a message", function()
    assert.equal("nil", errors.new("protocol", nil).message)
    assert.equal("42", errors.new("protocol", 42).message)
  end)
end)
