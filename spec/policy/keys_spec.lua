-- Keys: which of several a call takes, and which are passed over.
local environment = require "spec.support.environment"
local llm = require "llm"
local settled = require "spec.support.settled"
local time = require "llm.time"

describe("llm.policy.keys", function()
  local mock, client, used, bad, now, clock

  before_each(function()
    llm.log.configure("off")
    used, bad, now, clock = {}, {}, 1000, time.clock
    time.clock = function() return now end
    mock = llm.mock { function(_, header)
      local key = header("authorization"):match("Bearer (.*)")
      used[#used + 1] = key
      return bad[key] or "fine"
    end }
    environment.set { OPENAI_BASE_URL = mock.base_url, OPENAI_API_KEY = "sk-key-zero",
      OPENAI_API_KEY_1 = "sk-key-one", OPENAI_API_KEY_2 = "sk-key-two" }
    client = llm.client { provider = "openai", model = "m", retry = false }
  end)

  after_each(function()
    time.clock = clock
    environment.restore()
    client:close()
    mock:close()
    llm.log.configure("warn")
    assert.equal(0, settled())
  end)

  local function conversation(i, length)
    local messages = { { role = "system", content = "Be brief." },
      { role = "user", content = "Question " .. i } }
    for turn = 2, length or 1 do
      messages[#messages + 1] = { role = "assistant", content = "Answer " .. turn }
      messages[#messages + 1] = { role = "user", content = "More " .. turn }
    end
    return messages
  end

  it("uses all keys, and one for a conversation from its beginning to its end", function()
    local seen = {}
    for i = 1, 40 do
      for length = 1, 3 do assert(client:generate_text(conversation(i, length))) end
      assert.equal(used[#used], used[#used - 1])
      assert.equal(used[#used], used[#used - 2])
      seen[used[#used]] = true
    end
    assert.same({ ["sk-key-zero"] = true, ["sk-key-one"] = true, ["sk-key-two"] = true }, seen)
  end)

  it("takes the next one in the same call when a key is refused, and leaves it from then on",
    function()
      for _, status in ipairs { 401, 402, 403 } do
        bad = { ["sk-key-zero"] = { status = status }, ["sk-key-one"] = { status = status } }
        client:close()
        client = llm.client { provider = "openai", model = "m", retry = false }
        used = {}
        for i = 1, 20 do
          assert.equal("fine", assert(client:generate_text(conversation(i))).content)
        end
        local count = {}
        for _, key in ipairs(used) do count[key] = (count[key] or 0) + 1 end
        assert.same({ 1, 1, 20 },
          { count["sk-key-zero"], count["sk-key-one"], count["sk-key-two"] })
      end
    end)

  it("lets a key rest as long as the provider asks, for streams as well", function()
    for _, key in ipairs { "sk-key-zero", "sk-key-one" } do
      bad[key] = { status = 429, headers = { ["retry-after"] = "20" } }
    end
    for i = 1, 9 do
      local text = ""
      for piece in client:stream_text(conversation(i)) do text = text .. piece end
      assert.equal("fine", text)
    end
    assert.equal(11, #used)
    bad, used, now = {}, {}, now + 21
    for i = 1, 30 do assert(client:generate_text(conversation(i))) end
    local seen = {}
    for _, key in ipairs(used) do seen[key] = true end
    assert.is_true(seen["sk-key-zero"] and seen["sk-key-one"])
  end)

  it("fails when none is left, and says so", function()
    for _, key in ipairs { "zero", "one", "two" } do bad["sk-key-" .. key] = { status = 401 } end
    local _, err = client:generate_text("Hi")
    assert.equal("authentication", err.kind)
    assert.matches("none of 3 keys can be used", err.message)
    assert.is_false(err.retryable)
    _, err = client:generate_text("Hi")
    assert.equal("authentication", err.kind)
    assert.equal(3, #used)
    bad["sk-key-two"] = { status = 429, headers = { ["retry-after"] = "7" } }
    client:close()
    client = llm.client { provider = "openai", model = "m", retry = false }
    _, err = client:generate_text("Hi")
    assert.equal("rate_limit", err.kind)
    assert.is_true(err.retryable)
    assert.near(7, err.retry_after, 0.1)
  end)

  it("shows no key, whatever an error quotes", function()
    bad = { ["sk-key-two"] = { status = 400, message = "what is sk-key-two, sk-key-one?" } }
    for i = 1, 20 do
      local _, err = client:generate_text(conversation(i))
      if err then assert.is_nil(tostring(err):find("sk-key", 1, true), tostring(err)) end
    end
    local policy
    for _, one in ipairs(client.policies) do
      policy = type(one) == "table" and one.status and one or policy
    end
    assert.equal("zero", policy:status()[1].ends_with)
  end)

  it("come from api_keys too, and from one variable only when there is one", function()
    client:close()
    environment.set { OPENAI_BASE_URL = mock.base_url, WORK_KEY = "sk-key-work" }
    client = llm.client { provider = "openai", model = "m",
      api_keys = { "env:WORK_KEY", "sk-key-literal" } }
    for i = 1, 20 do assert(client:generate_text(conversation(i))) end
    local ok, err = pcall(llm.client, { provider = "openai", api_keys = { "env:NOT_SET" } })
    assert.is_false(ok)
    assert.equal("authentication", err.kind)
    assert.matches("NOT_SET is not set", err.message)
    client:close()
    client = llm.client { provider = "openai", model = "m", api_key = "sk-key-literal" }
    assert.equal(2, #client.policies)
  end)
end)

describe("llm.check_environment", function()
  after_each(function() environment.restore() end)

  it("tells which providers have a key and which variable is missing", function()
    environment.set { OPENAI_API_KEY_1 = "sk-key-one", GOOGLE_AI_API_KEY = "google-key" }
    local ok, report = llm.check_environment()
    assert.is_true(ok)
    assert.matches("openai +ready: OPENAI_API_KEY_1\n", tostring(report))
    assert.matches("google +ready: GOOGLE_AI_API_KEY\n", tostring(report))
    assert.matches("anthropic +set ANTHROPIC_API_KEY\n", tostring(report))
    assert.is_nil(tostring(report):find("sk-key", 1, true))
    ok, report = llm.check_environment { "openai", "anthropic" }
    assert.is_false(ok)
    assert.same({ "anthropic", false, { "ANTHROPIC_API_KEY" } },
      { report[2].provider, report[2].ready, report[2].variables })
    assert.is_true((llm.check_environment "openai"))
    environment.set {}
    assert.is_false((llm.check_environment()))
    assert.has_error(function() llm.check_environment { "nobody" } end)
  end)
end)
