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

  local names = { "batch", "chat", "classify", "code", "describe-task", "embed", "extract",
    "rewrite", "sentiment", "summarize", "translate" }

  it("explain themselves and refuse what they do not know", function()
    for _, name in ipairs(names) do
      local done = run(name, "--help")
      assert.equal(0, done.code)
      assert.matches("^usage: llmrun " .. name:gsub("%-", "%%-"), done.stdout)
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

  it("say in one line that the output cannot be written", function()
    for _, words in ipairs { "sentiment a", "classify -c a,b x", "embed a", "summarize", "code x",
      "translate -t de", "describe-task x", "extract name", "chat", "rewrite" } do
      local done = command.shell("echo text | $LLMRUN " .. words .. " >/dev/full")
      assert.equal(1, done.code, words)
      assert.matches("\nllmrun: cannot write the output: No space left on device\n$", done.stderr)
    end
  end)

  -- Their temperature is not taken by OpenAI's models that reason, one of which is the default.
  it("work with a key and nothing else", function()
    for _, name in ipairs { "sentiment", "summarize" } do
      local done = run(name, { env = openai "ok", stdin = "A text." })
      assert.equal(name == "sentiment" and 13 or 0, done.code, done.stderr) -- "Hello" is no rating
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
      write("a.txt", "\239\187\191" .. text .. "\r\nMore.\r\n")
      done = run("summarize", "a.txt", { env = openai "ok" })
      assert.equal("Hello, world\n", done.stdout)
      assert.matches("\n\nLua is .*programs%.\nMore%.\n$", asked("ok").messages[2].content)
    end)

    it("takes the length, in words or characters, and the language", function()
      local function system(stdin, ...)
        local words = { "summarize", ... }
        words[#words + 1] = { env = openai "ok", stdin = stdin }
        assert.equal(0, run(table.unpack(words)).code) -- luacheck: ignore
        return asked("ok").messages[1].content
      end
      assert.matches("at most 200 words", system(text))
      assert.matches("at most 7 words", system(text, "-l", "7"))
      assert.matches("at most 50 characters", system(text, "--length=50c"))
      assert.matches("at most 50 characters", system("语言很小。它嵌入在许多程序中。", "-l", "50"))
      assert.matches("at most 50 characters", system("小さな言語です。", "-l", "50"))
      assert.matches("at most 50 words", system("작은 언어입니다.", "-l", "50"))
      assert.matches("at most 50 words", system("语言很小。", "-l", "50w"))
      assert.matches("at most 50 words", system("语言很小。", "-l", "50", "--to", "English"))
      for _, language in ipairs { "中文", "Japanese", "zh-TW" } do
        assert.matches("at most 50 characters", system(text, "-l", "50", "--to", language))
      end
      assert.matches("in the language of the text", system(text))
      assert.matches("in 中文,", system(text, "--to", "中文"))
      system(text, "-m", "gpt-4o")
      assert.equal("gpt-4o", asked("ok").model)
      assert.equal(0.3, asked("ok").temperature)
    end)

    it("gives each file its summary, or all together one", function()
      write("a.txt", "First text.")
      write("b.txt", "Second text.")
      local done = run("summarize", "a.txt", "b.txt", { env = openai "ok" })
      assert.equal("== a.txt ==\nHello, world\n\n== b.txt ==\nHello, world\n", done.stdout)
      done = run("summarize", "--together", "a.txt", "b.txt", { env = openai "ok" })
      assert.equal("Hello, world\n", done.stdout)
      assert.matches("First text%.\nSecond text%.$", asked("ok").messages[2].content)
    end)

    it("splits what the model cannot read at once, and merges the summaries", function()
      local long = {}
      for i = 1, 300 do long[i] = ("Paragraph %d says a thing or two."):format(i) end
      local done = run("summarize", "--json", "--window", "800", "-m", "gpt-4o", "-l", "20",
        { env = openai "ok", stdin = table.concat(long, "\n\n") })
      assert.equal(0, done.code, done.stderr)
      local found = decode(done.stdout)
      assert.is_true(found.parts > 3 and found.parts < 10, found.parts)
      assert.equal((found.parts + 1) * 12, found.tokens_used)
      local last = asked("ok").messages
      assert.matches("Merge these summaries", last[1].content)
      assert.equal(("Hello, world\n\n"):rep(found.parts), last[2].content:match("\n\n(.*)$") ..
        "\n\n")
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
        { { "-" }, "a\0b", "standard input is no text: byte 2 is 0" },
        { { "-" }, "\255\254a\0", "iconv %-f UTF%-16" },
        { { "-l", "many" }, "x", "%-%-length must be like 200" },
        { { "-l", "0" }, "x", "%-%-length must be like 200" },
        { { "--window", "100" }, "x", "%-%-window must be at least" },
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
      assert.equal("authentication", rows[1].error.kind)
      assert.matches("^authentication: ", rows[1].error.message)
      assert.equal("Hello, world", rows[2].content)
      assert.is_true(rows[2].cost_estimate > 0)
      assert.matches("2 done, 1 failed, %$0%.0", done.stderr)
      assert.is_nil((done.stdout .. done.stderr):find("CANARY", 1, true))
      assert.equal("Echo", asked("s401-then-ok").messages[1].content:match(": (%a+)$"))
    end)

    it("refuses bad input with code 2 and one line", function()
      for _, case in ipairs {
        { { "batch" }, "say what to do with each row" },
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
