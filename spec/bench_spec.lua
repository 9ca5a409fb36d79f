-- The load generator: what it tells of a model whose delays are known.
if _VERSION ~= "Lua 5.4" then return end -- it is the command's

local core = require "llm.core"
local llm = require "llm"
local process = require "spec.support.process"

describe("bench", function()
  local mock, clock = nil, core.loop.clock

  after_each(function()
    if mock then mock:close() end
    mock = nil
    assert.equal(0, llm.live())
  end)

  -- Runs it against a mock in this process, which must serve meanwhile.
  local function bench(answer, ...)
    local asked = {}
    mock = llm.mock { function(request)
      asked[#asked + 1] = request.messages[1].content
      return answer
    end }
    local started = process.start({ process.llmrun, "bench", "-m", "mock/mock", "-u",
      mock.provider.base_url, "--json", ... })
    local deadline = clock() + 10
    while started.running() and clock() < deadline do llm.sleep(0.02) end
    local done = started.wait()
    return done, core.json.decode(done.stdout ~= "" and done.stdout or "null"), asked
  end

  local answer = { text = "one two three four", delay = 0.03, pace = 0.01 }

  -- A machine that has other work lengthens delays, and shortens the gap after a long one: so the
  -- median of the gaps counts, and the best of a few runs.
  it("tells known delays to the millisecond, in a closed loop", function()
    local found
    for _ = 1, 8 do
      local done, asked
      done, found, asked = bench(answer, "-n", "8", "-c", "2", "--warmup", "1", "Hello")
      assert.equal(0, done.code, done.stderr)
      assert.equal(8, found.requests)
      assert.equal(9, #asked)
      assert.equal("Hello", asked[9])
      assert.equal(8, found.first_token.count)
      mock:close()
      if found.first_token.min < 0.041 and found.gap.p50 < 0.011 then break end
    end
    -- a delay, a pace before the first word and before each of the others
    assert.is_true(found.gap.count > 16 and found.gap.count <= 24)
    assert.near(0.04, found.first_token.min, 0.001)
    assert.near(0.01, found.gap.p50, 0.001)
    assert.is_true(found.latency.min >= 0.09)
  end)

  it("keeps to a rate whatever the answers take, in an open loop", function()
    local done, found, asked = bench(answer, "-n", "20", "-r", "100", "--unique", "Hello")
    assert.equal(0, done.code, done.stderr)
    assert.equal(20, found.requests)
    assert.near(0.19 + found.latency.min, found.seconds, 0.15)
    assert.equal("[20] Hello", asked[21])
  end)

  it("counts failures by kind and goes on", function()
    local done, found = bench({ status = 503 }, "-n", "5", "--warmup", "0")
    assert.equal(13, done.code)
    assert.same({ provider_unavailable = 5 }, found.errors)
    assert.matches("the first failure: provider_unavailable", done.stderr)
  end)

  it("refuses what makes no sense", function()
    for _, words in ipairs { { "-c", "0" }, { "-r", "0" }, { "-d", "0" }, { "-n", "x" } } do
      local done = process.run { process.llmrun, "bench", words[1], words[2] }
      assert.equal(2, done.code)
    end
  end)
end)
