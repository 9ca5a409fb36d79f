-- Redirects: never to another origin, in whatever form it is written; to one's own only when asked.
-- hardening: C01-C05. The server counts what arrives on its other port, which is another origin.
local faults = require "spec.support.faults"
local json = require("llm.core").json
local llm = require "llm"

local CASES = "../shared/cases/redirect_creds.jsonl"

describe("a redirect", function()
  local server

  setup(function() server = faults.start() end)
  teardown(function() server.stop() end)

  before_each(function() server.reset() end)

  after_each(function()
    assert.equal(0, server.count("other"))
    assert.equal(0, llm.live())
  end)

  local function ask(fault, follow)
    local client = llm.client { provider = "openai", base_url = server.url(fault),
      api_key = "sk-redirected", follow_redirects = follow, model = "m", timeout = 2 }
    return client:generate_text("Say hello")
  end

  local function refuse(fault, follow, target)
    local response, err = ask(fault, follow)
    assert.is_nil(response)
    assert.equal("protocol", err.kind)
    assert.is_truthy(err.message:find(target, 1, true), err.message)
    assert.is_nil(tostring(err):find("openai.com@", 1, true))
    assert.equal(1, server.count(fault))
  end

  for _, status in ipairs { 301, 302, 303, 307, 308 } do
    for _, form in ipairs { "port", "host", "https", "slashes", "user", "chain" } do
      for _, follow in ipairs { 0, 3 } do
        it(("%d to another origin (%s) is not followed, follow_redirects = %d"):format(
          status, form, follow), function()
          refuse(("redirect-%d-%s"):format(status, form), follow, ":" .. server.other_port)
        end)
      end
    end
  end

  for _, form in ipairs { "file", "gopher", "dict", "ftp" } do
    it("to " .. form .. ": is not followed", function()
      refuse("redirect-302-" .. form, 3, form .. "://")
    end)
  end

  for _, status in ipairs { 300, 302, 304 } do
    it(status .. " to a link-local address is not followed", function()
      local _, err = ask("redirect-" .. status .. "-meta", 3)
      assert.equal("protocol", err.kind)
      assert.equal(1, server.count("redirect-" .. status .. "-meta"))
    end)
  end

  for _, form in ipairs { "same", "back" } do
    it("to the same origin (" .. form .. ") is followed when asked", function()
      local fault = "redirect-307-" .. form
      refuse(fault, 0, "follow_redirects")
      assert.equal("Hello, world", assert(ask(fault, 1)).content)
      assert.equal(1, server.count("ok"))
      assert.matches("Authorization: Bearer sk%-redirected", server.last("ok"))
      assert.matches('"Say hello"', server.last("ok"))
    end)
  end

  it("303 would turn the request into another one and is not followed", function()
    refuse("redirect-303-same", 3, "not followed")
    assert.equal(0, server.count("ok"))
  end)

  it("to itself ends at the limit, whatever the policy of retries", function()
    for _, follow in ipairs { 0, 3 } do
      server.reset()
      local _, err = ask("redirect-307-self", follow)
      assert.equal("protocol", err.kind)
      assert.equal(1 + follow, server.count("redirect-307-self"))
    end
  end)
end)

-- Cases of openai-python: where its credentials go. Ours go where the origin is the same, and, as a
-- 303 is not followed at all, nowhere after that.
describe("the origin decides", function()
  local file = io.open(CASES, "rb")
  if not file then
    print(CASES .. " is not there: the redirects of openai-python were left out")
    return
  end
  for line in file:lines() do
    local case = assert(json.decode(line))
    it(case.name, function()
      local origin = assert(llm.url.parse(case.origin))
      local target = assert(llm.url.resolve(origin, case.location))
      assert.equal(case.expect_credentials_sent, target.origin == origin.origin)
    end)
  end
  file:close()
end)
