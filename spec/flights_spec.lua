-- One asks for all who ask the same at the same time: whoever leaves, fails or is slow, the others
-- get their answer, and what was spent is counted once and in full.
local environment = require "spec.support.environment"
local llm = require "llm"
local settled = require "spec.support.settled"

local TEXT = "one two three four five six seven eight nine ten"

describe("requests for the same at the same time", function()
  local mock, answer, client, others, policy

  before_each(function()
    environment.set {}
    answer = function() return { text = TEXT, pace = 0.003 } end
    mock = llm.mock { function(...) return answer(...) end }
    policy = llm.policy.cache.new()
    others = {}
    client = llm.client { provider = mock.provider, retry = false, cache = policy,
      costs = { mock = { input = 1, output = 1 } }, budget = { usd = 1000 } }
  end)

  after_each(function()
    environment.restore()
    llm.log.configure("warn")
    client:close()
    for _, other in ipairs(others) do other:close() end
    mock:close()
    assert.equal(0, settled())
  end)

  local function read(opts)
    local text = ""
    for piece in client:stream_text("hi", opts) do text = text .. piece end
    return text
  end

  local function read_one()
    local next_text, stream = client:stream_text("hi")
    local text = next_text(stream)
    llm.sleep(0.02)
    stream:close()
    return text
  end

  -- Until the answer has begun to come.
  local function begun(count)
    while mock.count < (count or 1) do llm.sleep(0.001) end
    llm.sleep(0.008)
  end

  local function collect()
    collectgarbage()
    collectgarbage()
  end

  it("are one, plain and streamed", function()
    local cached, cost = 0, 0
    local list = {}
    for i = 1, 30 do list[i] = i end
    local _, failures = llm.map(list, function(i)
      if i % 3 == 0 then return assert.equal(TEXT, read()) end
      local response = assert(client:generate_text("hi"))
      assert.equal(TEXT, response.content)
      cached = cached + (response.cached and 1 or 0)
      cost = cost + response.cost_estimate
    end, { concurrency = 30 })
    assert.is_nil(failures)
    assert.same({ 1, 19 }, { mock.count, cached })
    assert.is_true(math.abs(cost - client:budget_status().spent) < 1e-9)
  end)

  it("are read while they come, also by who comes late", function()
    local leader = llm.spawn(read)
    begun()
    local seen, at = "", nil
    for piece in client:stream_text("hi") do
      at = at or #seen
      seen = seen .. piece
      if not leader.done then at = #seen end
    end
    assert.equal(TEXT, seen)
    assert.is_true(at > 0)
    assert.same({ TEXT, 1 }, { leader:join(), mock.count })
  end)

  it("go on when the one who asked leaves, and are paid for in full", function()
    local left = llm.spawn(read_one)
    begun()
    local follower = llm.spawn(read)
    assert.equal("one", left:join():match("%a+"))
    collect()
    assert.same({ TEXT, 1 }, { follower:join(), mock.count })
    local response = assert(client:generate_text("hi"))
    assert.is_true(response.cached)
    assert.is_true(math.abs(client:budget_status().spent - response.tokens_used / 1000) < 1e-9)
    assert.equal(0, client:budget_status().reserved)
  end)

  it("do not wait for a reader who is slow", function()
    local next_text, stream = client:stream_text("hi")
    assert.matches("^one", next_text(stream))
    local response = assert(client:generate_text("hi"))
    assert.same({ TEXT, true, 1 }, { response.content, response.cached, mock.count })
    local rest = 0
    for piece in next_text, stream do rest = rest + #piece end
    assert.equal(#TEXT, rest + #"one")
    assert.is_nil(stream:response().cached)
  end)

  it("are asked by the next when the one who asks is cancelled before the answer", function()
    answer = function() return { text = TEXT, delay = 0.03 } end
    local leader = llm.spawn(function() return client:generate_text("hi") end)
    local followers = {}
    for i = 1, 5 do followers[i] = llm.spawn(function() return client:generate_text("hi") end) end
    begun()
    leader:cancel()
    llm.sleep(0)
    leader = nil -- luacheck: ignore
    collect()
    for i = 1, 5 do assert.equal(TEXT, assert(followers[i]:join()).content) end
    assert.equal(2, mock.count)
  end)

  it("are each asked for when the answer is an error", function()
    llm.log.configure("off")
    answer = function() return mock.count == 1 and { status = 500, delay = 0.005 } or TEXT end
    local good, bad = 0, 0
    llm.map({ 1, 2, 3, 4 }, function()
      local response = client:generate_text("hi")
      good, bad = good + (response and 1 or 0), bad + (response and 0 or 1)
    end)
    assert.same({ 3, 1 }, { good, bad })
    assert.is_true(mock.count <= 4)
  end)

  it("share an error that comes after the first content, and keep nothing", function()
    answer = function() return { text = TEXT, pace = 0.003, cut_after = 5 } end
    local kinds = {}
    llm.map({ 1, 2, 3 }, function()
      local _, err = client:generate_text("hi")
      kinds[#kinds + 1] = err.kind .. " " .. tostring(err.partial.content ~= "")
    end)
    assert.same({ 1, 3 }, { mock.count, #kinds })
    for _, kind in ipairs(kinds) do assert.matches("^%a+ true$", kind) end
    answer = function() return TEXT end
    assert.is_nil(client:generate_text("hi").cached)
  end)

  it("are not the same when they may take another time", function()
    local first = llm.spawn(read)
    begun()
    assert.equal(TEXT, read { deadline = 5 })
    first:join()
    assert.equal(2, mock.count)
  end)

  it("are ended when all have left", function()
    answer = function() return { text = TEXT, pace = 0.02 } end
    local readers = {}
    for i = 1, 3 do readers[i] = llm.spawn(read_one) end
    for i = 1, 3 do readers[i]:join() end
    collect()
    mock:close()
    assert.equal(0, settled())
    assert.equal(0, client:budget_status().reserved)
  end)

  it("end with an error when the client that asks for them is closed", function()
    others[1] = llm.client { provider = mock.provider, retry = false, cache = policy }
    local leader = llm.spawn(pcall, read)
    begun()
    local follower = llm.spawn(function() return others[1]:generate_text("hi") end)
    llm.sleep(0.004)
    client:close()
    local response, err = follower:join()
    assert.is_nil(response)
    assert.equal("cancelled", err.kind)
    local ok, problem = leader:join()
    assert.same({ false, "cancelled" }, { ok, problem.kind })
    assert.equal(1, mock.count)
    assert.equal(TEXT, others[1]:generate_text("hi").content)
  end)

  it("wait in queues and between attempts together", function()
    answer = function()
      return mock.count == 1 and { status = 503, headers = { ["retry-after-ms"] = 5 } } or TEXT
    end
    local limit = llm.policy.limit.new { concurrency = 1 }
    others[1] = llm.client { provider = mock.provider, cache = true, limit = limit }
    local attempts = {}
    local _, failures = llm.map({ 1, 2, 3 }, function()
      local response = assert(others[1]:generate_text("hi"))
      attempts[#attempts + 1] = response.attempts
    end)
    assert.is_nil(failures)
    table.sort(attempts)
    assert.same({ 0, 0, 2 }, attempts)
    assert.equal(2, mock.count)
    assert.equal(0, limit:status().running)
  end)
end)
