-- The scripts that turn one text into another: translate, rewrite, code, describe-task.
if _VERSION ~= "Lua 5.4" then return end -- they are the command's

local core = require "llm.core"
local llm = require "llm"
local process = require "spec.support.process"
local settled = require "spec.support.settled"

describe("texts:", function()
  local mock, env, answer, asked

  setup(function()
    mock = llm.mock { function(request)
      asked[#asked + 1] = request
      return answer(request)
    end }
    env = { OPENAI_BASE_URL = mock.base_url, OPENAI_API_KEY = "sk-1" }
  end)

  teardown(function()
    mock:close()
    assert.equal(0, settled())
  end)

  -- Answers every piece with itself in capitals.
  before_each(function()
    answer = function(request) return request.messages[2].content:upper() end
    asked = {}
  end)

  local function run(...)
    local argv = { process.llmrun, "-m", "openai/gpt-4o", ... }
    local opts = type(argv[#argv]) == "table" and table.remove(argv) or {}
    opts.env = env
    local started = process.start(argv, opts)
    while started.running() do llm.sleep(0.005) end
    return started.wait()
  end

  local function system() return asked[#asked].messages[1].content end

  describe("translate", function()
    it("says into which language, and keeps the blank space around", function()
      local done = run("translate", "-t", "中文", "--from", "English", { stdin = "\n  one\n\n" })
      assert.equal("\n  ONE\n\n", done.stdout)
      assert.matches("text from English into 中文%.", system())
      assert.equal("two\n", run("translate", "-t", "de", { stdin = "two" }).stdout:lower())
    end)

    it("sends a long text in pieces and joins them as they were", function()
      local text = {}
      for i = 1, 40 do text[i] = ("# Part %d\n\n  indented line %d\n"):format(i, i) end
      text = table.concat(text, "\n\n\n")
      answer = function(request)
        return { text = request.messages[2].content:upper(), delay = #asked % 3 / 100 }
      end
      local done = run("translate", "-t", "de", "--piece", "50", { stdin = text })
      assert.equal(0, done.code, done.stderr)
      assert.equal(text:upper(), done.stdout)
      assert.is_true(#asked > 8, #asked)
      for _, request in ipairs(asked) do
        assert.is_true(llm.count_tokens(request.messages[2].content, "gpt-4o") <= 50)
      end
    end)

    it("prints JSON with what it took", function()
      local found = core.json.decode(run("translate", "-t", "de", "--json", { stdin = "a" }).stdout)
      assert.same({ "A", "-" }, { found.text, found.file })
      assert.is_true(found.tokens_used > 0 and found.cost_estimate > 0)
    end)

    it("wants a language, and a text", function()
      assert.matches("say into which language", run("translate", { stdin = "a" }).stderr)
      local done = run("translate", "-t", "de", "missing.md")
      assert.equal(2, done.code)
      assert.equal("llmrun: missing.md: No such file or directory\n", done.stderr)
    end)

    it("ends with the error of a piece, after what was before it", function()
      answer = function(request)
        if request.messages[2].content:find("bad") then return { status = 401 } end
        return request.messages[2].content:upper()
      end
      local done = run("translate", "-t", "de", "--piece", "2", { stdin = "one\n\nbad\n\ntwo\n" })
      assert.equal(3, done.code)
      assert.equal("ONE", done.stdout)
      assert.matches("^llmrun: authentication: ", done.stderr)
    end)
  end)

  describe("summarize", function()
    local text = ("Hello there. "):rep(300)

    it("merges summaries of summaries until one request can read them", function()
      answer = function(request)
        local is_part = request.messages[1].content:find("part of a longer text", 1, true)
        return is_part and ("Part. "):rep(20) or "whole"
      end
      local found = core.json.decode(run("summarize", "--window", "300", "--json",
        { stdin = text }).stdout)
      assert.equal("whole", found.summary)
      assert.is_true(#asked > found.parts + 2, #asked .. " for " .. found.parts)
      for _, request in ipairs(asked) do
        assert.is_true(llm.count_tokens(request.messages[2].content, "gpt-4o") <= 240)
      end
    end)

    it("ends where summaries are no shorter than what they are of", function()
      answer = function() return ("Hello there. "):rep(80) end
      local done = run("summarize", "--window", "300", { stdin = text })
      assert.equal(6, done.code, done.stdout)
      assert.matches("as long as the text; give a shorter %-%-length", done.stderr)
    end)

    it("tells which of several files failed, and summarizes the others", function()
      answer = function(request)
        return request.messages[2].content:find("Permission") and { status = 400 } or "fine"
      end
      local done = run("summarize", ".luacheckrc", "LICENSE", ".luacheckrc")
      assert.equal(13, done.code)
      assert.equal("== .luacheckrc ==\nfine\n\n== .luacheckrc ==\nfine\n", done.stdout)
      assert.matches("^llmrun: LICENSE: invalid_request: ", done.stderr)
    end)
  end)

  it("rewrite takes business language, or the style that is named", function()
    assert.equal("HI\n", run("rewrite", { stdin = "hi\n" }).stdout)
    assert.matches("in this style: formal business language%.", system())
    run("rewrite", "-s", "a pirate's", { stdin = "hi" })
    assert.matches("in this style: a pirate's%.", system())
  end)

  describe("code", function()
    local block = "print('`')\n\nprint(2)"

    it("prints the answer as it is, or the code alone", function()
      local text = "Here:\n\n```lua\n" .. block .. "\n```\n\nAnd:\n```\nmore\n```\n"
      answer = function() return text end
      assert.equal(text .. "\n", run("code", "-l", "Lua", "a", "sort").stdout)
      assert.matches("professional Lua programmer", system())
      assert.equal("Write Lua code for these requirements:\na sort",
        asked[1].messages[2].content)
      assert.equal(0.2, asked[1].temperature)
      assert.equal(block .. "\n", run("code", "-x", "a sort").stdout)
    end)

    it("finds the code in whatever the model made of it", function()
      for _, text in ipairs { block, "```\n" .. block .. "\n```", "````md\n" .. block .. "\n````",
        "x\n  ```lua title=a\n" .. block .. "\n  ```\ny", "```lua\n" .. block,
        "```lua\n" .. block .. "\n```" } do
        answer = function() return text end
        assert.equal(block .. "\n", run("code", "-x", "a sort").stdout, text)
      end
      answer = function() return "```\na\n``` b\n```\n" end
      assert.equal("a\n``` b\n", run("code", "-x", "a sort").stdout)
    end)

    it("works on the code that comes in, or reads what to write", function()
      run("code", "make it faster", { stdin = "x = 1\n" })
      assert.matches("make it faster\n\nThe code to work on:\n\nx = 1\n$",
        asked[1].messages[2].content)
      run("code", { stdin = "a queue" })
      assert.matches("requirements:\na queue$", asked[2].messages[2].content)
      assert.equal(2, run("code").code)
    end)
  end)

  describe("describe-task", function()
    local task = { title = "Sales", goal = "A report is there.", steps = { "Read", "Write" },
      inputs = { "data" }, outputs = {}, constraints = {}, questions = {} }

    before_each(function()
      local empty = core.json.array_mt
      for _, name in ipairs { "outputs", "constraints", "questions" } do
        setmetatable(task[name], empty)
      end
      answer = function() return core.json.encode(task) end
    end)

    it("prints the task for people, and leaves out what is empty", function()
      assert.equal("Sales\n\nA report is there.\n\nsteps:\n  1. Read\n  2. Write\n\n" ..
        "inputs:\n  - data\n", run("describe-task", "analyse", "sales").stdout)
      assert.matches("task:\n\nanalyse sales$", asked[1].messages[2].content)
      assert.equal(0.3, asked[1].temperature)
    end)

    it("prints JSON, and what cannot be read ends with code 10", function()
      assert.equal("Sales", core.json.decode(run("describe-task", "--json",
        { stdin = "analyse" }).stdout).title)
      answer = function() return "No." end
      local done = run("describe-task", "analyse")
      assert.equal(10, done.code)
      assert.matches("^llmrun: schema: the reply does not fit", done.stderr)
      assert.equal(2, run("describe-task").code)
    end)
  end)
end)
