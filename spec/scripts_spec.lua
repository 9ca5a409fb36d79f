-- The installed scripts, as people run them: offline, from an empty folder, with bad input too.
if _VERSION ~= "Lua 5.4" then return end -- they are the command's

local command = require "spec.support.command"
local core = require "llm.core"
local llm = require "llm"

describe("scripts", function()
  local decode = core.json.decode
  local run, openai, asked, write = command.run, command.openai, command.asked, command.write
  local NOTICE = "^llmrun: no provider is configured, so a built%-in mock answers[^\n]*\n"

  setup(command.start)

  teardown(function()
    command.stop()
    assert.equal(0, llm.live())
  end)

  before_each(command.enter)
  after_each(command.leave)

  local names = { "batch", "chat", "sentiment", "summarize" }

  it("explain themselves and refuse what they do not know", function()
    for _, name in ipairs(names) do
      local done = run(name, "--help")
      assert.equal(0, done.code)
      assert.matches("^usage: llmrun " .. name, done.stdout)
      assert.equal("", done.stderr)
      for line in done.stdout:gmatch("[^\n]+") do assert.is_true(#line <= 100, line) end
      done = run(name, "--modle", "x")
      assert.equal(2, done.code)
      assert.equal("llmrun: unknown option --modle, did you mean --model?; try --help\n",
        done.stderr)
    end
  end)

  it("tell the error of a provider in one line and by the exit code", function()
    for _, name in ipairs { "sentiment", "summarize" } do
      local done = run(name, { env = openai "s401", stdin = "A text." })
      assert.equal(3, done.code, name)
      assert.matches("^llmrun: [^\n]*authentication: [^\n]+\n$",
        (done.stderr:gsub("llmrun: warn: [^\n]*\n", "")))
      assert.is_nil((done.stdout .. done.stderr):find("CANARY", 1, true))
    end
  end)

  -- Their temperature is not taken by OpenAI's models that reason, one of which is the default.
  it("work with a key and nothing else", function()
    for _, name in ipairs { "sentiment", "summarize" } do
      local done = run(name, { env = openai "ok", stdin = "A text." })
      assert.equal(0, done.code, done.stderr)
      assert.equal("gpt-5-mini", asked("ok").model)
    end
    assert.equal(0, run("batch", "Echo", { env = openai "ok", stdin = "a\nb\nc" }).code)
    assert.equal(0, run("chat", { env = openai "ok", stdin = "Hi\n" }).code)
  end)

  describe("summarize", function()
    local text = "Lua is a small language. It is embedded in many programs."

    it("prints a summary of standard input or of files", function()
      local done = run("summarize", { stdin = text })
      assert.equal(0, done.code)
      assert.matches("Lua is a small language", done.stdout)
      assert.matches("\n$", done.stdout)
      assert.matches(NOTICE .. "$", done.stderr)
      write("a.txt", text)
      write("b.txt", "And another text.")
      done = run("summarize", "a.txt", "b.txt", { env = openai "ok" })
      assert.equal("Hello, world\n", done.stdout)
      local messages = asked("ok").messages
      assert.matches("embedded in many programs%.\nAnd another text%.$", messages[2].content)
      assert.matches("at most 100 words", messages[1].content)
    end)

    it("takes the number of words and the model", function()
      run("summarize", "-w", "7", "-m", "gpt-4o", { env = openai "ok", stdin = text })
      assert.matches("at most 7 words", asked("ok").messages[1].content)
      assert.equal("gpt-4o", asked("ok").model)
      assert.equal(0.3, asked("ok").temperature)
      -- %d would not take these.
      for _, number in ipairs { "1e999", "2.5" } do
        assert.equal(0, run("summarize", "-w", number, { env = openai "ok", stdin = text }).code)
      end
    end)

    it("prints JSON", function()
      local done = run("summarize", "--json", "-m", "gpt-4o-mini",
        { env = openai "ok", stdin = text })
      local found = assert(decode(done.stdout))
      assert.equal("Hello, world", found.summary)
      assert.equal(12, found.tokens_used)
      assert.is_true(found.cost_estimate > 0)
    end)

    it("refuses bad input with code 2 and one line", function()
      for _, case in ipairs {
        { {}, "", "the input is empty" }, { {}, " \n", "the input is empty" },
        { { "missing.txt" }, "", "missing.txt: No such file" }, { { "." }, "", "Is a directory" },
        { { "-w", "many" }, "x", "%-%-words must be a number" },
      } do
        local argv = { "summarize", table.unpack(case[1]) } -- luacheck: ignore
        argv[#argv + 1] = { stdin = case[2] }
        local done = run(table.unpack(argv)) -- luacheck: ignore
        assert.equal(2, done.code, case[3])
        assert.equal("", done.stdout)
        assert.matches("^llmrun: [^\n]*" .. case[3] .. "[^\n]*\n$", done.stderr)
      end
    end)
  end)

  describe("sentiment", function()
    it("rates every line, in order", function()
      local done = run("sentiment", { stdin = "I love it.\n\nIt is bad.\nIt is there.\n" })
      assert.equal(0, done.code)
      local count = 0
      for line in done.stdout:gmatch("[^\n]+") do
        count = count + 1
        assert.matches("^positive\t0%.5\t.", line)
      end
      assert.equal(3, count)
      assert.matches(NOTICE .. "$", done.stderr)
    end)

    it("rates its arguments, as JSON", function()
      local done = run("sentiment", "--json", "-j", "2", "好", "bad")
      local texts = {}
      for line in done.stdout:gmatch("[^\n]+") do
        local rating = assert(decode(line))
        texts[#texts + 1] = rating.text
        assert.equal("positive", rating.sentiment)
        assert.equal(0.5, rating.confidence)
        assert.equal("string", type(rating.reason))
      end
      assert.same({ "好", "bad" }, texts)
    end)

    it("asks by a schema", function()
      run("sentiment", "-m", "gpt-4o", "good", { env = openai "ok" })
      local body = asked("ok")
      assert.equal("json_schema", body.response_format.type)
      assert.equal(0.1, body.temperature)
      assert.equal(1000, body.max_completion_tokens)
    end)

    it("says which answer cannot be read", function()
      local done = run("sentiment", "good", { env = openai "ok" })
      assert.equal("error\t-\tthe answer cannot be read\n", done.stdout)
    end)

    it("refuses an empty input and a concurrency that is none", function()
      local done = run("sentiment", { stdin = "\n \n" })
      assert.equal(2, done.code)
      assert.matches("^llmrun: nothing to rate", done.stderr)
      assert.equal(2, run("sentiment", "-j", "0", "x").code)
    end)
  end)

  describe("chat", function()
    it("answers until quit, exit, 退出 or the end", function()
      for _, farewell in ipairs { "quit\n", "exit\n", "退出\n", " QUIT \n", "" } do
        local done = run("chat", { stdin = "Hello there\n" .. farewell })
        assert.equal(0, done.code)
        assert.equal("Hello there\n", done.stdout)
        assert.matches("\n> ", done.stderr)
      end
      assert.equal("one\n", run("chat", { stdin = "one\nquit\ntwo\n" }).stdout)
    end)

    it("remembers what was said", function()
      run("chat", "-s", "Be brief.", { env = openai "ok", stdin = "one\n\n  two  \n" })
      local messages = asked("ok").messages
      local seen = {}
      for i, message in ipairs(messages) do seen[i] = message.content end
      assert.same({ "Be brief.", "one", "Hello, world", "two" }, seen)
      assert.equal("assistant", messages[3].role)
    end)

    it("goes on after an error, and forgets what was not answered", function()
      local done = run("chat", { env = openai "s401-then-ok", stdin = "one\ntwo\n" })
      assert.equal(0, done.code)
      assert.equal("Hello, world\n", done.stdout)
      assert.matches("authentication: ", done.stderr)
      assert.is_nil(done.stderr:find("CANARY", 1, true))
      local messages = asked("s401-then-ok").messages
      assert.equal(2, #messages)
      assert.equal("two", messages[2].content)
    end)
  end)

  describe("batch", function()
    it("answers every line as JSON, in order, with progress apart", function()
      write("lines.txt", "one\n\ntwo\r\nthree")
      local done = run("batch", "Echo", "lines.txt")
      assert.equal(0, done.code)
      local contents = {}
      for line in done.stdout:gmatch("[^\n]+") do
        local row = assert(decode(line))
        assert.equal(#contents + 1, row.index)
        assert.is_true(row.tokens_used > 0)
        assert.is_nil(row.error)
        contents[#contents + 1] = row.content
      end
      assert.same({ "one", "two", "three" }, contents)
      assert.matches("\r1 of 3\r2 of 3\r3 of 3\n", done.stderr)
      assert.matches("\n3 done, 0 failed, %$0%.000000\n$", done.stderr)
    end)

    it("reads standard input, and has nothing to do with nothing", function()
      assert.equal(2, select(2, run("batch", "Echo", { stdin = "a\nb\n" }).stdout:gsub("\n", "")))
      local done = run("batch", "Echo")
      assert.equal(0, done.code)
      assert.equal("", done.stdout)
      assert.matches("0 done, 0 failed", done.stderr)
    end)

    it("goes on after failures and ends with 13", function()
      local done = run("batch", "-j", "1", "Echo", { env = openai "s401-then-ok",
        stdin = "a\nb\nc\n" })
      assert.equal(13, done.code)
      local rows = {}
      for line in done.stdout:gmatch("[^\n]+") do rows[#rows + 1] = decode(line) end
      assert.equal(3, #rows)
      assert.matches("^authentication: ", rows[1].error)
      assert.equal("Hello, world", rows[2].content)
      assert.is_true(rows[2].cost_estimate > 0)
      assert.matches("2 done, 1 failed, %$0%.0", done.stderr)
      assert.is_nil((done.stdout .. done.stderr):find("CANARY", 1, true))
      assert.equal("Echo", asked("s401-then-ok").messages[1].content:match(": (%a+)$"))
    end)

    it("refuses bad input with code 2 and one line", function()
      for _, case in ipairs {
        { { "batch" }, "say what to do" },
        { { "batch", "Echo", "missing.txt" }, "missing.txt: No such file" },
        { { "batch", "Echo", "." }, "Is a directory" },
        { { "batch", "-j", "x", "Echo" }, "must be a number" },
        { { "batch", "-j", "0", "Echo", { stdin = "a" } }, "concurrency must be at least 1" },
      } do
        local done = run(table.unpack(case[1])) -- luacheck: ignore
        assert.equal(2, done.code, case[2])
        assert.equal("", done.stdout)
        assert.matches("llmrun: [^\n]*" .. case[2] .. "[^\n]*\n$", done.stderr)
      end
    end)
  end)
end)
