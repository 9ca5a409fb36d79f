-- Budget: what is let through, what is counted, and what survives the end of a process.
local budget = require "llm.policy.budget"
local ledger = require "llm.ledger"
local llm = require "llm"
local process = require "spec.support.process"
local settled = require "spec.support.settled"
local time = require "llm.time"

local PRICE = { mock = { input = 1, output = 1 } } -- a tenth of a cent a token

local mock, folder, remove

local function client_of(opts)
  opts.provider, opts.costs = mock.provider, opts.costs or PRICE
  if opts.retry == nil then opts.retry = false end
  return llm.client(opts)
end

-- A reply of a hundred tokens in all: ten cents.
local function hundred()
  return { text = "ok", usage = { input_tokens = 60, output_tokens = 40 } }
end

describe("llm.policy.budget", function()
  before_each(function()
    mock = llm.mock { hundred }
    folder, remove = process.folder()
  end)

  after_each(function()
    mock:close()
    remove()
    assert.equal(0, settled())
  end)

  it("counts what calls cost and refuses the one that has no room", function()
    local client = client_of { budget = { usd = 0.25, answer = 40 } }
    assert(client:generate_text("hi"))
    for _ in client:stream_text("hi") do end -- luacheck: ignore
    local status = client:budget_status()
    assert.near(0.2, status.spent, 1e-9)
    assert.near(0.05, status.left, 1e-9)
    assert.equal("usd", status.unit)
    local none, err = client:generate_text("hi", { max_tokens = 100 })
    assert.is_nil(none)
    assert.equal("budget", err.kind)
    assert.matches("the limit of $0.2500 (day) leaves no room: $0.2000 spent, $0.0000 reserved, " ..
      "this call may take $0.1", err.message, 1, true)
    assert.matches("it begins anew at %d%d%d%d%-%d%d%-%d%dT00:00:00Z", err.message)
    assert.equal(2, #mock.requests)
    assert.is_true(client:can_make_request(0.05))
    assert.is_false(client:can_make_request(0.06))
  end)

  it("lets sixty-four clients at once through ten times, no more", function()
    local shared = budget.new { usd = 1, answer = 92 } -- hi: 8 tokens of prompt
    local tasks = {}
    for i = 1, 64 do
      tasks[i] = llm.spawn(function()
        return client_of({ budget = shared, model = "mock/mock" }):generate_text("hi")
      end)
    end
    local admitted, refused = 0, 0
    for _, one in ipairs(tasks) do
      local response, err = one:join()
      if response then admitted = admitted + 1 end
      if err then
        assert.equal("budget", err.kind)
        refused = refused + 1
      end
    end
    assert.equal(10, admitted)
    assert.equal(54, refused)
    assert.equal(10, #mock.requests)
    assert.near(1, shared:status().spent, 1e-9)
  end)

  it("has nothing reserved after a thousand calls left, dropped or cancelled", function()
    local client = client_of { budget = { usd = 1e6 } }
    local function leave()
      for _ in client:stream_text("hi") do break end -- luacheck: ignore
    end
    local function cancel()
      local one = llm.spawn(function() return client:generate_text("hi") end)
      llm.sleep(0)
      one:cancel()
    end
    local function drop()
      local next_text, stream = client:stream_text("hi")
      next_text(stream)
    end
    local list = {}
    for i = 1, 1000 do list[i] = i % 3 == 0 and leave or i % 3 == 1 and cancel or drop end
    llm.map(list, function(one) one() end, { concurrency = 50 })
    llm.sleep(0)
    settled()
    local status = client:budget_status()
    assert.equal(0, status.reserved)
    assert.is_true(status.spent > 0)
  end)

  it("charges what came of a reply that was cut, and nothing where nothing was sent", function()
    mock:close()
    local answers = { { pieces = { "one ", "two ", "three" }, cut_after = 3 }, { status = 401 } }
    mock = llm.mock { function() return table.remove(answers, 1) end }
    local client = client_of { budget = { usd = 5 } }
    local _, err = client:generate_text("hi")
    assert.equal("truncated", err.kind)
    local after = client:budget_status()
    assert.near(err.partial.cost_estimate, after.spent, 1e-9)
    assert.is_true(after.spent > 0)
    _, err = client:generate_text("hi")
    assert.equal("authentication", err.kind)
    assert.same(after.spent, client:budget_status().spent)
    assert.equal(0, client:budget_status().reserved)
  end)

  it("never goes down, whatever usage a provider tells", function()
    for _, count in ipairs { "-5", "1e308", '"many"', "null", "9e15", "[]" } do
      mock:close()
      local body = ('{"choices":[{"message":{"content":"fine"},"finish_reason":"stop"}],' ..
        '"usage":{"prompt_tokens":%s,"completion_tokens":%s}}'):format(count, count)
      mock = llm.mock { function() return { garbage = body } end }
      local client = client_of { budget = { usd = 5 } }
      assert(client:generate_text("hi", { stream = false }))
      local status = client:budget_status()
      assert.is_true(status.spent > 0, count)
      assert.is_true(status.spent < 1 or count == "9e15", count)
      assert.equal(0, status.reserved)
    end
  end)

  it("refuses a model without a price, or lets it through when it is told to", function()
    local client = client_of { budget = { usd = 1 }, costs = {} }
    local _, err = client:generate_text("hi")
    assert.equal("budget", err.kind)
    assert.matches("no price is known for", err.message)
    assert.equal(0, #mock.requests)
    client = client_of { budget = { usd = 1, unknown_price = "allow" }, costs = {} }
    assert.is_truthy(client:generate_text("hi"))
    client = client_of { budget = { tokens = 150, answer = 40 }, costs = {} }
    assert.is_truthy(client:generate_text("hi"))
    assert.same({ 100, 50, "tokens" }, { client:budget_status().spent, client:budget_status().left,
      client:budget_status().unit })
    _, err = client:generate_text("hi", { max_tokens = 60 })
    assert.matches("the limit of 150 tokens %(day%)", err.message)
  end)

  it("may be one for each tag, and begins anew with its window", function()
    local now = 1000000000
    local real = time.now
    time.now = function() return now end
    local client = client_of { budget = { usd = 0.14, answer = 40, by = "tag", window = 3600 } }
    assert(client:generate_text("hi", { tag = "a" }))
    local _, err = client:generate_text("hi", { tag = "a" })
    assert.equal("budget", err and err.kind)
    assert.matches("tag:a", err.message)
    assert(client:generate_text("hi", { tag = "b" }))
    assert.near(0.04, client:budget_status("tag:a").left, 1e-9)
    now = client:budget_status("tag:a").resets_at
    assert(client:generate_text("hi", { tag = "a" }))
    time.now = real
  end)

  it("takes what was spent elsewhere", function()
    local shared = budget.new { usd = 1 }
    assert(shared:record_cost(0.7))
    assert.is_true((shared:can_make_request(0.3)))
    assert.is_false((shared:can_make_request(0.31)))
    assert.has_error(function() shared:record_cost(-1) end)
  end)

  it("fails closed when its file cannot be used, unless it is told to go on", function()
    local path = folder .. "/budget.db"
    local file = assert(io.open(path, "wb"))
    file:write(("x"):rep(8192))
    file:close()
    local client = client_of { budget = { usd = 1, file = path } }
    local _, err = client:generate_text("hi")
    assert.equal("budget", err.kind)
    assert.matches("cannot be looked at: .*not a database.*move it away", err.message)
    assert.equal(0, #mock.requests)
    llm.log.configure("off")
    client = client_of { budget = { usd = 2, file = path, unavailable = "allow" } }
    assert.is_truthy(client:generate_text("hi"))
    llm.log.configure("warn")
    assert.is_false((client:can_make_request()))
  end)

  it("keeps its file for the owner, in a folder that is made", function()
    local path = folder .. "/new/budget.db"
    local client = client_of { budget = { usd = 2, file = path } }
    assert(client:generate_text("hi"))
    local mode = require("llm.core").system.mode
    assert.equal(tonumber("600", 8), mode(path))
    assert.equal(tonumber("700", 8), mode(folder .. "/new"))
  end)

  it("names what makes no sense", function()
    for message, opts in pairs {
      ["give a limit"] = {}, ["usd must be at least 0"] = { usd = -1 },
      ["window must be hour, day, week"] = { usd = 1, window = "fortnight" },
      ["by must be tag, key"] = { usd = 1, by = "user" },
      ["unknown_price must be"] = { usd = 1, unknown_price = "free" },
      ["did you mean \"window\""] = { usd = 1, windov = 1 },
    } do
      local ok, err = pcall(budget.new, opts)
      assert.is_false(ok)
      assert.matches(message, tostring(err), 1, true)
    end
    assert.has_error(function() client_of({}):can_make_request(1) end)
  end)
end)

describe("llm.ledger", function()
  local path

  before_each(function()
    folder, remove = process.folder()
    path = folder .. "/ledger.db"
  end)
  after_each(function() remove() end)

  local function amount(n) return { nanodollars = n, tokens = 0 } end

  it("reserves, settles and adds in whole nano-dollars", function()
    local book = assert(ledger.open(path))
    local limit = amount(10)
    local first = assert(book:reserve("all", 0, limit, amount(6)))
    local second = assert(book:reserve("all", 0, limit, amount(4)))
    local none, sum = book:reserve("all", 0, limit, amount(1))
    assert.is_nil(none)
    assert.same({ spent = amount(0), reserved = amount(10) }, sum)
    assert(book:settle(first, amount(2)))
    assert(book:settle(second, amount(3)))
    assert(book:settle(second, amount(3))) -- once is enough
    assert.same({ spent = amount(5), reserved = amount(0) }, book:sums("all", 0))
    assert(book:add("all", 0, amount(5)))
    assert.is_nil((book:reserve("all", 0, limit, amount(1))))
    assert.is_number((book:reserve("all", 3600, limit, amount(1))))
  end)

  it("tells when somebody else holds the file", function()
    local book = assert(ledger.open(path))
    local none, err = book:settle("x", { nanodollars = {}, tokens = 0 })
    assert.is_true(none) -- no such reservation
    assert.is_nil(err)
    book.db:close()
    assert.has_error(function() book:sums("all", 0) end)
  end)
end)

if _VERSION ~= "Lua 5.4" then return end -- the command is the same for all three

describe("a budget that processes share", function()
  before_each(function()
    mock = llm.mock { hundred }
    folder, remove = process.folder()
  end)

  after_each(function()
    mock:close()
    remove()
    assert.equal(0, settled())
  end)

  -- A script that asks so many times with a budget of a dollar, ten cents a call.
  local function script(count, more)
    local path = folder .. "/script.lua"
    local file = assert(io.open(path, "w"))
    file:write(([[
      local llm = require "llm"
      local client = llm.client { provider = "openai", model = "mock", base_url = %q, api_key = "k",
        retry = false, costs = { mock = { input = 1, output = 1 } },
        budget = { usd = 1, answer = 92, file = %q } }
      local list, admitted = {}, 0
      for i = 1, %d do list[i] = i end
      llm.map(list, function()
        local response, err = client:generate_text("hi", { stream = false })
        if response then admitted = admitted + 1 else assert(err.kind == "budget", err) end
      end, { concurrency = 4 })
      print(admitted)
      %s
    ]]):format(mock.base_url, folder .. "/budget.db", count, more or ""))
    file:close()
    return path
  end

  -- The mock runs in this process, so it must be served while the others run.
  local function wait_all(started)
    local function is_running()
      for _, one in ipairs(started) do if one.running() then return true end end
    end
    while is_running() do llm.sleep(0.005) end
    local results = {}
    for i, one in ipairs(started) do results[i] = one.wait() end
    return results
  end

  it("cannot be overspent together", function()
    local path = script(8)
    local results = wait_all { process.start { process.llmrun, path },
      process.start { process.llmrun, path } }
    local admitted = 0
    for _, done in ipairs(results) do
      assert.equal(0, done.code, done.stderr)
      admitted = admitted + tonumber(done.stdout)
    end
    assert.equal(10, admitted)
    assert.equal(10, #mock.requests)
  end)

  it("takes what a killed process had reserved as spent", function()
    mock:close()
    mock = llm.mock { function() return { text = "late", delay = 60 } end }
    local one = process.start { process.llmrun, script(4) }
    while #mock.requests < 4 do llm.sleep(0.005) end
    local book = assert(ledger.open(folder .. "/budget.db"))
    local since = math.floor(time.now() / 86400) * 86400
    assert.equal(4e8, book:sums("all", since).reserved.nanodollars)
    one.kill "KILL"
    one.wait()
    book = assert(ledger.open(folder .. "/budget.db"))
    assert.same({ spent = { nanodollars = 4e8, tokens = 400 },
      reserved = { nanodollars = 0, tokens = 0 } }, book:sums("all", since))
  end)

  it("ends a script with exit code 9", function()
    local done = wait_all { process.start { process.llmrun, script(0,
      "assert(client:generate_text(('long '):rep(2000)))") } }[1]
    assert.equal(9, done.code)
    assert.matches("llmrun: budget: the limit of $1.0000 (day) leaves no room", done.stderr, 1,
      true)
  end)

  it("is closed while another process holds the file for too long", function()
    local holder = process.start { process.llmrun, "-e", ([[
      local db = require("llm.core").sqlite.open(%q)
      assert(db:run "BEGIN EXCLUSIVE")
      print "held" io.stdout:flush()
      llm.sleep(20)
    ]]):format(folder .. "/budget.db") }
    while holder.stdout() == "" do llm.sleep(0.005) end
    local client = client_of { budget = { usd = 1, file = folder .. "/budget.db" } }
    local began = llm.clock()
    local _, err = client:generate_text("hi")
    assert.equal("budget", err.kind)
    assert.matches("locked", err.message)
    assert.is_true(llm.clock() - began < 12)
    holder.kill "KILL"
    holder.wait()
  end)
end)
