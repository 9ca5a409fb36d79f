-- Requests: the canonical table that dialects read.
local core = require "llm.core"
local llm = require "llm"
local requests = require "llm.request"

describe("llm.request", function()
  teardown(function() assert.equal(0, llm.live()) end)

  local function refused(opts, base)
    local ok, err = pcall(function()
      return requests.new("Hi", opts, requests.template(base or {}, {}))
    end)
    assert.is_false(ok)
    assert.equal("invalid_request", err.kind)
    return err.message
  end

  it("puts options of the call over those of the client over defaults", function()
    local common = requests.template({ temperature = 0.5, stop = "x" },
      { temperature = 0.7, max_tokens = 100 })
    local request = requests.new("Hi", nil, common)
    assert.equal(0.5, request.temperature)
    assert.equal(100, request.max_tokens)
    assert.equal("x", request.stop)
    assert.is_true(request.stream)
    request = requests.new("Hi", { temperature = 0, max_tokens = 7, stream = false }, common)
    assert.equal(0, request.temperature)
    assert.equal(7, request.max_tokens)
    assert.is_false(request.stream)
  end)

  it("leaves the client's template as it was", function()
    local common = requests.template({}, { temperature = 0.7, max_tokens = 100 })
    requests.new("Hi", { temperature = 0.1, stop = "x" }, common)
    local request = requests.new("Hi", nil, common)
    assert.equal(0.7, request.temperature)
    assert.is_nil(request.stop)
    assert.is_true(request.defaulted.temperature)
  end)

  it("keeps in mind which values nobody asked for", function()
    local common = requests.template({ max_tokens = 5 }, { temperature = 0.7, max_tokens = 100 })
    local request = requests.new("Hi", nil, common)
    assert.is_true(request.defaulted.temperature)
    assert.is_falsy(request.defaulted.max_tokens)
    request = requests.new("Hi", { temperature = 0.7 }, common)
    assert.is_falsy(request.defaulted.temperature)
  end)

  it("gives the call's own transport options apart", function()
    local common = requests.template({}, {})
    local request, own = requests.new("Hi",
      { timeout = 5, headers = { a = "b" }, seed = 1 }, common)
    assert.same({ timeout = 5, headers = { a = "b" } }, own)
    assert.is_nil(request.timeout)
    assert.equal(1, request.seed)
    request, own = requests.new("Hi", { seed = 1 }, common)
    assert.equal(1, request.seed)
    assert.is_nil(own)
  end)

  it("refuses values out of range, from the call and from the client", function()
    for _, case in ipairs {
      { { temperature = -0.1 }, "temperature must be 0 to 2, not %-0.1" },
      { { temperature = 2.1 }, "temperature" }, { { temperature = 0 / 0 }, "temperature" },
      { { top_p = 1.5 }, "top_p" }, { { max_tokens = 0 }, "max_tokens" },
      { { max_tokens = -5 }, "max_tokens" }, { { max_tokens = math.huge }, "max_tokens" },
    } do
      assert.matches(case[2], refused(case[1]))
      assert.matches(case[2], refused(nil, case[1]))
    end
    assert.is_truthy(requests.new("Hi", { temperature = 0, top_p = 1, max_tokens = 1 },
      requests.template({}, {})))
  end)

  it("refuses unknown options and wrong types by name", function()
    assert.matches('did you mean "temperature"', refused { temprature = 1 })
    assert.matches("stream must be a boolean", refused { stream = "yes" })
    assert.matches("tools must be a table", refused { tools = "f" })
  end)

  it("sends whole numbers as such", function()
    local request = requests.new("Hi", { max_tokens = 4096.0, seed = 7.0 },
      requests.template({}, {}))
    assert.equal("4096", core.json.encode(request.max_tokens))
    assert.equal("7", core.json.encode(request.seed))
  end)
end)
