-- A batch that is killed at any moment and gone on with: nothing lost, nothing twice, whole lines.
-- hardening: R08, R09.
if _VERSION ~= "Lua 5.4" then return end -- the command is the same for all three

local llm = require "llm"
local process = require "spec.support.process"
local settled = require "spec.support.settled"

local KILLS, ROWS = 200, 1000

local decode = llm.json.decode

describe("llmrun batch", function()
  local mock, folder, remove, asked

  before_each(function()
    asked = {} -- row -> how often the server saw it
    mock = llm.mock { function(request)
      local text = request.messages[#request.messages].content
      asked[text] = (asked[text] or 0) + 1
      return "answer to " .. text
    end }
    folder, remove = process.folder()
    local file = assert(io.open(folder .. "/in.txt", "w"))
    for i = 1, ROWS do file:write("row ", i, "\n") end
    file:close()
  end)

  after_each(function()
    mock:close()
    remove()
    assert.equal(0, settled())
  end)

  local function start(...)
    return process.start({ process.llmrun, "batch", "-m", "openai/mock", "-j", "16", ... },
      { cwd = folder, env = { OPENAI_API_KEY = "sk-test-1234", OPENAI_BASE_URL = mock.base_url } })
  end

  -- The mock runs in this process: it is served until the other one has ended.
  local function finish(one)
    while one.running() do llm.sleep(0.002) end
    return one.wait()
  end

  local function output()
    local file = io.open(folder .. "/out.jsonl", "rb")
    local text = file and file:read("a") or ""
    if file then file:close() end
    return text
  end

  local function check_whole(text)
    assert.equal("\n", text:sub(-1))
    local index = 0
    for line in text:gmatch("[^\n]+") do
      local row = assert(decode(line))
      index = index + 1
      assert.equal(index, row.index)
      assert.equal("answer to row " .. index, row.content)
    end
    assert.equal(ROWS, index)
  end

  it("is killed " .. KILLS .. " times and loses nothing", function()
    math.randomseed(11)
    local told = {} -- rows that a later run said were on their way
    local function hear(done)
      for list in done.stderr:gmatch("they are asked again: ([%d, ]+)") do
        for index in list:gmatch("%d+") do
          local name = "row " .. index
          told[name] = (told[name] or 0) + 1
        end
      end
    end
    local kills = 0
    while kills < KILLS do
      local one = start("-o", "out.jsonl", "--resume", "Echo", "in.txt")
      local until_then = llm.clock() + math.random() * 0.06
      while one.running() and llm.clock() < until_then do llm.sleep(0.001) end
      if not one.running() then -- all was done: begin anew with what was asked so far
        hear(one.wait())
        check_whole(output())
        os.remove(folder .. "/out.jsonl")
        for name in pairs(asked) do asked[name], told[name] = nil, nil end
      else
        one.kill "KILL"
        kills = kills + 1
        hear(one.wait())
      end
    end
    local done = finish(start("-o", "out.jsonl", "--resume", "Echo", "in.txt"))
    hear(done)
    assert.equal(0, done.code, done.stderr)
    check_whole(output())
    assert.is_nil(io.open(folder .. "/out.jsonl.job"))
    for i = 1, ROWS do
      local name = "row " .. i
      assert.is_true(asked[name] >= 1)
      assert.is_true(asked[name] - 1 <= (told[name] or 0), name .. " was asked again untold")
    end
  end)

  it("ends quickly at a signal, says how to go on, and goes on", function()
    for signal, code in pairs { TERM = 143, INT = 130 } do
      os.remove(folder .. "/out.jsonl")
      local one = start("-o", "out.jsonl", "--resume", "Echo", "in.txt")
      while #output() < 2000 do llm.sleep(0.001) end
      local began = llm.clock()
      one.kill(signal)
      local done = finish(one)
      assert.is_true(llm.clock() - began < 1)
      assert.equal(code, done.code, done.stderr)
      assert.matches("%d+ rows are done; %-%-resume goes on", done.stderr)
      assert.equal(0, finish(start("-o", "out.jsonl", "--resume", "Echo", "in.txt")).code)
      check_whole(output())
    end
  end)

  it("is not done by two at once", function()
    local one = start("-o", "out.jsonl", "Echo", "in.txt")
    while #output() < 500 do llm.sleep(0.001) end
    local two = finish(start("-o", "out.jsonl", "--resume", "Echo", "in.txt"))
    assert.equal(2, two.code)
    assert.matches("out.jsonl.job is locked by process " .. one.pid, two.stderr, 1, true)
    assert.equal(0, finish(one).code)
    check_whole(output())
    for _, times in pairs(asked) do assert.equal(1, times) end
  end)

  it("says when the disk is full or its reader has gone", function()
    local one = process.start({ process.llmrun, "batch", "-m", "openai/mock", "Echo", "in.txt" },
      { cwd = folder, env = { OPENAI_API_KEY = "sk-test-1234", OPENAI_BASE_URL = mock.base_url },
        redirect = ">/dev/full" })
    local done = finish(one)
    assert.equal(1, done.code)
    assert.matches("No space left on device", done.stderr)
    one = process.start({ "bash", "-c", "$0 batch -m openai/mock Echo in.txt | head -1; " ..
      "exit ${PIPESTATUS[0]}", process.llmrun }, { cwd = folder,
      env = { OPENAI_API_KEY = "sk-test-1234", OPENAI_BASE_URL = mock.base_url } })
    done = finish(one)
    assert.equal(141, done.code)
    assert.matches('^{"index":1,', done.stdout)
  end)
end)
