-- Batches: what a row's line says, what is gone on with, and what is refused.
local journal = require "llm.journal"
local llm = require "llm"
local process = require "spec.support.process"
local settled = require "spec.support.settled"

local decode = llm.json.decode

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function lines_of(text)
  local list = {}
  for line in text:gmatch("[^\n]+") do list[#list + 1] = assert(decode(line)) end
  return list
end

-- Rows that count from 1.
local function rows_of(count)
  local i = 0
  return function()
    i = i + 1
    return i <= count and { index = i, text = "row " .. i } or nil
  end
end

describe("llm.batch", function()
  local folder, remove, path, stderr, said

  before_each(function()
    folder, remove = process.folder()
    path = folder .. "/out.jsonl"
    stderr, said = io.stderr, {}
    io.stderr = { write = function(_, ...) -- luacheck: ignore
      said[#said + 1] = table.concat { ... }
    end }
  end)

  after_each(function()
    io.stderr = stderr -- luacheck: ignore
    remove()
    assert.equal(0, settled())
  end)

  local function batch(opts)
    opts.rows, opts.output = opts.rows or rows_of(20), opts.output or path
    opts.run = opts.run or function(row)
      llm.sleep(0.0001 * (row.index % 3))
      return row.text
    end
    return llm.batch(opts)
  end

  it("writes a line a row, in order at the end, and leaves nothing beside it", function()
    local result = batch { concurrency = 7 }
    assert.same({ 20, 0 }, { result.done, result.failed })
    local lines = lines_of(read(path))
    for i, line in ipairs(lines) do
      assert.same({ index = i, content = "row " .. i }, line)
    end
    assert.equal(20, #lines)
    assert.is_nil(io.open(path .. ".job"))
    assert.same({}, said)
  end)

  it("may leave the lines in the order in which rows were finished", function()
    batch { concurrency = 20, unordered = true, run = function(row)
      llm.sleep(row.index == 1 and 0.02 or 0)
      return row.text
    end }
    local lines = lines_of(read(path))
    assert.equal(1, lines[20].index)
  end)

  it("keeps what failed as a line of its kind, and goes on", function()
    local result = batch { run = function(row)
      if row.index % 5 == 0 then
        return nil, llm.error.new("rate_limit", "slow down", { provider = "p", status = 429 })
      end
      return { mood = "good", index = 99, content = "ok" }
    end }
    assert.same({ 20, 4 }, { result.done, result.failed })
    local lines = lines_of(read(path))
    assert.same({ kind = "rate_limit", message = "rate_limit: slow down (p, HTTP 429)" },
      lines[5].error)
    assert.equal("good", lines[6].mood)
    local again = batch { retry_failed = true, run = function(row) return "now " .. row.index end }
    assert.equal(4, again.done)
    lines = lines_of(read(path))
    assert.equal(20, #lines)
    assert.equal("now 5", lines[5].content)
    assert.equal("ok", lines[6].content)
  end)

  it("refuses an output that is there, or is another job's, or is somebody's", function()
    batch {}
    local ok, err = pcall(batch, {})
    assert.is_false(ok)
    assert.matches("is there already; --resume goes on with it", err.message, 1, true)
    journal.open(folder .. "/two", { task = "a", model = "m" }, {}):close()
    ok, err = pcall(batch, { output = folder .. "/two", resume = true,
      job = { task = "b", model = "m" } })
    assert.is_false(ok)
    assert.matches("belongs to another job: task was a, now it is b", err.message)
    local held = journal.open(folder .. "/three", {}, {})
    ok, err = pcall(batch, { output = folder .. "/three", resume = true })
    assert.is_false(ok)
    local pid = require("llm.core").system.pid()
    assert.matches("three.job is locked by process " .. pid, err.message, 1, true)
    held:close()
    ok, err = pcall(batch, { output = "/nowhere/out" })
    assert.is_false(ok)
    assert.matches("/nowhere/out.job: No such file", err.message)
  end)

  it("goes on where it was left: torn lines are cut, rows on their way are told", function()
    local kept = journal.open(path, {}, {})
    for index = 1, 12 do
      local slot = kept:begin(index)
      if index % 4 ~= 3 then assert(kept:write(slot, index, '"content":"old"}')) end
    end
    kept:close()
    kept.file:close()
    local whole = read(path)
    write(path, whole .. '{"index":13,"content":"half a l')
    local asked = {}
    local result = batch { resume = true, run = function(row)
      asked[#asked + 1] = row.index
      return row.text
    end }
    table.sort(asked)
    assert.same({ 3, 7, 11, 13, 14, 15, 16, 17, 18, 19, 20 }, asked)
    assert.equal(11, result.done)
    assert.matches("3 rows were on their way when the last run ended; they are asked again: " ..
      "3, 7, 11\n", said[1], 1, true)
    for i, line in ipairs(lines_of(read(path))) do
      assert.equal(i, line.index)
      local is_old = i <= 12 and i % 4 ~= 3
      assert.equal(is_old and "old" or "row " .. i, line.content)
    end
  end)

  -- Before Lua 5.4 it is noticed when the run is collected.
  it("says how to go on when an error ends it", _VERSION == "Lua 5.4" and function()
    local ok, err = pcall(batch, { run = function() error("a mistake") end })
    assert.is_false(ok)
    assert.matches("a mistake", err)
    assert.matches("0 rows are done; --resume goes on", said[#said], 1, true)
    assert.equal(20, batch({ resume = true }).done)
  end or function() end)

  it("ends at once for what no row can mend, and the first twenty show it", function()
    local calls = 0
    local ok, err = pcall(batch, { rows = rows_of(1000), run = function()
      calls = calls + 1
      return nil, llm.error.new("authentication", "no such key", { status = 401 })
    end })
    assert.is_false(ok)
    assert.equal("authentication", err.kind)
    assert.matches("gave up after 20 rows that all failed so", err.message)
    assert.is_true(calls < 200)
    ok, err = pcall(batch, { output = folder .. "/b", run = function(row)
      if row.index > 3 then return nil, llm.error.new("budget", "used up") end
      return "fine"
    end })
    assert.is_false(ok)
    assert.equal("budget", err.kind)
    assert.equal(3, #lines_of(read(folder .. "/b")))
  end)

  it("keeps the identity of a row, and rows that cannot be read", function()
    local list = { { index = 1, text = "a", fields = { id = "x-1" } },
      { index = 2, error = "in.csv:2: is broken" },
      { index = 3, text = "c", fields = { custom_id = "y-2" } } }
    local i = 0
    local result = batch { rows = function()
      i = i + 1
      return list[i]
    end }
    assert.equal(1, result.failed)
    local lines = lines_of(read(path))
    assert.equal("x-1", lines[1].id)
    assert.equal("in.csv:2: is broken", lines[2].error.message)
    assert.equal("y-2", lines[3].id)
  end)

  it("tells how far it is", function()
    local progress = require "llm.batch_progress"
    local time = require "llm.time"
    local clock = time.clock
    local now = 100
    time.clock = function() return now end
    local state = progress.new(200, 50)
    now = 110
    for _ = 1, 50 do
      progress.count(state, { cost_estimate = 0.001, tokens_used = 10 })
    end
    progress.count(state, { error = {} })
    assert.same({ "101/200", "1 failed", "ETA 0:19", "5.1/s", "$0.0500", "500 tokens" },
      progress.parts_of(state))
    state.is_terminal = false
    state.next_look = 0
    progress.show(state)
    assert.equal("llmrun: 101/200, 1 failed, ETA 0:19, 5.1/s, $0.0500, 500 tokens\n", said[1])
    time.clock = clock
  end)
end)

if _VERSION ~= "Lua 5.4" then return end -- the command is the same for all three

describe("llmrun batch", function()
  local folder, remove

  before_each(function() folder, remove = process.folder() end)
  after_each(function() remove() end)

  local function put(name, text) write(folder .. "/" .. name, text) end

  -- Offline: the built-in mock answers with the prompt.
  local function run(...)
    local argv = { process.llmrun, "batch", ... }
    local opts = type(argv[#argv]) == "table" and table.remove(argv) or {}
    opts.cwd = folder
    return process.run(argv, opts)
  end

  it("fills a template from CSV, whatever stands in it", function()
    put("t.txt", "system:\nBe brief.\nuser:\nSay {greeting} to {name}!")
    put("in.csv", 'greeting,name\r\nhi,"Ann, of\nNowhere"\r\n"{name}",Bob\r\n')
    local done = run("-t", "t.txt", "in.csv")
    assert.equal(0, done.code, done.stderr)
    local lines = lines_of(done.stdout)
    assert.equal("Say hi to Ann, of Nowhere!", (lines[1].content:gsub("%s+", " ")))
    assert.equal("Say {name} to Bob!", lines[2].content)
    put("in.csv", "word\nx\n")
    done = run("-t", "t.txt", "in.csv")
    assert.equal(2, done.code)
    assert.matches('there is no field "greeting"; the fields are: word', done.stderr, 1, true)
  end)

  it("calls a function of one's own", function()
    put("f.lua", "return function(row, client)\n" ..
      "  if row.index == 2 then return nil, 'no twos' end\n" ..
      "  return { twice = client:generate_text(row.text).content .. row.text }\nend")
    local done = run("-x", "f.lua", { stdin = "a\nb\n" })
    assert.equal(1, done.code)
    assert.matches("no twos", done.stderr)
    put("f.lua", "return function(row) return { n = row.index * 2 } end")
    done = run("-x", "f.lua", { stdin = "a\nb\n" })
    assert.equal('{"index":1,"n":2}\n{"index":2,"n":4}\n', done.stdout)
    put("f.lua", "return 1")
    assert.matches("f.lua must return a function", run("-x", "f.lua").stderr)
  end)

  it("takes OpenAI's format, and rows that have no text", function()
    put("in.jsonl", '{"custom_id":"one","method":"POST","url":"/v1/chat/completions","body":' ..
      '{"model":"mock","messages":[{"role":"user","content":"Hello"}],"max_tokens":9}}\n' ..
      '{"a":"x","b":"y"}\n{"text":"fine"}\n{broken\n')
    local done = run("", "in.jsonl")
    assert.equal(13, done.code, done.stderr)
    local lines = lines_of(done.stdout)
    assert.same({ "Hello", "one" }, { lines[1].content, lines[1].id })
    assert.matches("the row has no text; try --field", lines[2].error.message, 1, true)
    assert.equal("fine", lines[3].content)
    assert.matches("in.jsonl:4: is no JSON object", lines[4].error.message, 1, true)
    assert.matches("2 done, 2 failed", done.stderr)
  end)

  it("wants one thing to do, and an output to go on with", function()
    for message, words in pairs {
      ["say what to do with each row"] = {}, ["not both"] = { "-t", "a", "-x", "b" },
      ["one file too many"] = { "Echo", "a", "b" }, ["need the --output"] = { "--resume", "Echo" },
      ["f.lua: No such file"] = { "-x", "f.lua" }, ["t.txt: No such file"] = { "-t", "t.txt" },
    } do
      local done = run(table.unpack(words)) -- luacheck: ignore
      assert.is_true(done.code == 2 or done.code == 1, message)
      assert.matches(message, done.stderr, 1, true)
    end
  end)

  it("stops when its budget is spent", function()
    local mock = llm.mock { function()
      return { text = "x", usage = { input_tokens = 1000, output_tokens = 100000 } }
    end }
    put("in.txt", ("row\n"):rep(50))
    local started = process.start({ process.llmrun, "batch", "-m", "openai/gpt-4o-mini", "-j", "1",
      "--budget", "0.2", "-o", "out.jsonl", "Echo", "in.txt" }, { cwd = folder,
      env = { OPENAI_API_KEY = "sk-test-1234", OPENAI_BASE_URL = mock.base_url } })
    while started.running() do llm.sleep(0.005) end
    local done = started.wait()
    mock:close()
    assert.equal(9, done.code, done.stderr)
    assert.matches("%d rows are done; %-%-resume goes on", done.stderr)
    assert.equal(4, #lines_of(read(folder .. "/out.jsonl")))
  end)
end)
