-- A conversation, in a pipe and on a real terminal: what is remembered, kept, shown.
if _VERSION ~= "Lua 5.4" then return end -- it is the command's

local core = require "llm.core"
local file = require "spec.support.file"
local llm = require "llm"
local process = require "spec.support.process"
local settled = require "spec.support.settled"
local terminal = require "spec.support.terminal"

describe("chat", function()
  local mock, folder, remove, env, answer, asked

  setup(function()
    mock = llm.mock { function(request)
      asked[#asked + 1] = request
      return answer(request, #asked)
    end }
  end)

  teardown(function()
    mock:close()
    assert.equal(0, settled())
  end)

  before_each(function()
    folder, remove = process.folder()
    asked = {}
    answer = function(request) return "re: " .. request.messages[#request.messages].content end
    env = { OPENAI_BASE_URL = mock.base_url, OPENAI_API_KEY = "sk-1", XDG_DATA_HOME = folder,
      LLM_DEFAULT_MODEL = "openai/gpt-4o" }
  end)

  after_each(function() remove() end)

  local function run(...)
    local argv = { process.llmrun, "chat", ... }
    local opts = type(argv[#argv]) == "table" and table.remove(argv) or {}
    opts.env = env
    local started = process.start(argv, opts)
    while started.running() do llm.sleep(0.005) end
    return started.wait()
  end

  local function contents(request)
    local list = {}
    for i, message in ipairs(request.messages) do list[i] = message.content end
    return list
  end

  describe("in a pipe", function()
    it("answers until quit, exit, 退出 or the end", function()
      for _, ending in ipairs { "quit\n", "exit\r\n", "退出\n", " QUIT \n", "/quit\n", "" } do
        local done = run { stdin = "Hello there\n" .. ending }
        assert.equal(0, done.code)
        assert.equal("re: Hello there\n", done.stdout)
      end
      assert.equal("re: one\n", run({ stdin = "one\nquit\ntwo\n" }).stdout)
      assert.equal("re: one\n", run({ stdin = "one" }).stdout)
      assert.equal("", run({ stdin = "" }).stdout)
    end)

    it("remembers what was said, and tells what it took", function()
      local done = run("-S", "Be brief.", { stdin = "one\n\n  two  \n" })
      assert.same({ "Be brief.", "one", "re: one", "two" }, contents(asked[2]))
      assert.equal("assistant", asked[2].messages[3].role)
      local line = "%d+ %+ %d+ tokens, %$0%.%d%d%d%d%d%d, %d+%.%d s\n"
      assert.matches("^" .. line .. line .. "$", done.stderr)
    end)

    it("takes texts of several lines, and commands inside them as text", function()
      run { stdin = '"""one\n/undo\n\nquit"""\ntwo\\\nthree\n"""\nfour\n"""\n"""open' }
      assert.equal("one\n/undo\n\nquit", asked[1].messages[2].content)
      assert.equal("two\nthree", asked[2].messages[4].content)
      assert.equal("four\n", asked[3].messages[6].content)
      assert.equal("open", asked[4].messages[8].content)
    end)

    it("undoes, retries, clears, and changes model and system prompt", function()
      local done = run { stdin = "one\n/undo\ntwo\n/retry\n/system Be odd.\n" ..
        "/model openai/gpt-4.1\nthree\n/clear\n" ..
        "four\n/tokens\n/undo\n/undo\n/nonsense\n/model nobody/x\n/retry\n/help\n" }
      assert.same({ "You are helpful.", "two" }, contents(asked[2]))
      assert.same({ "You are helpful.", "two" }, contents(asked[3]))
      assert.same({ "Be odd.", "two", "re: two", "three" }, contents(asked[4]))
      assert.equal("gpt-4.1", asked[4].model)
      assert.same({ "Be odd.", "four" }, contents(asked[5]))
      assert.equal(5, #asked)
      for _, text in ipairs { "5 answers, ", "there is nothing to undo", "there is no /nonsense",
        "there is nothing to ask again", "/fork NAME" } do
        assert.is_truthy(done.stderr:find(text, 1, true), text)
      end
      assert.equal(0, done.code)
    end)

    it("goes on after an error without what was not answered; the last is its end", function()
      answer = function(_, n) return n == 1 and { status = 401 } or "fine" end
      local done = run { stdin = "one\ntwo\n" }
      assert.equal(0, done.code)
      assert.equal("fine\n", done.stdout)
      assert.matches("authentication: ", done.stderr)
      assert.same({ "You are helpful.", "two" }, contents(asked[2]))
      answer = function() return { status = 401 } end
      assert.equal(3, run({ stdin = "one\n" }).code)
    end)

    it("prints JSON, and reads files that it talks about", function()
      local path = folder .. "/notes.txt"
      file.write(path, "The code is 7.")
      local done = run("--json", path, { stdin = "What is it?\n" })
      local found = core.json.decode(done.stdout)
      assert.equal("re: What is it?", found.content)
      assert.is_true(found.tokens_used > 0)
      assert.equal("You are helpful.\n\nThe user's files:\n\nThe code is 7.",
        asked[1].messages[1].content)
    end)
  end)

  describe("kept", function()
    it("goes on where it ended, with its model, for its owner alone", function()
      run("-s", "trip", "-m", "openai/gpt-4.1", { stdin = "one\n" })
      local path = folder .. "/llmrun/chats/trip.jsonl"
      assert.equal(384, core.system.mode(path)) -- 0600
      assert.equal(448, core.system.mode(folder .. "/llmrun/chats")) -- 0700
      run("-s", "other", { stdin = "x\n" })
      run("-s", "trip", { stdin = "two\n" })
      assert.same({ "You are helpful.", "one", "re: one", "two" }, contents(asked[3]))
      assert.equal("gpt-4.1", asked[3].model)
      run("--continue", { stdin = "three\n" })
      assert.equal("three", asked[4].messages[6].content)
      local lines = {}
      for line in file.read(path):gmatch("[^\n]+") do lines[#lines + 1] = core.json.decode(line) end
      assert.equal("openai/gpt-4.1", lines[1].model)
      assert.same({ "re: three", "assistant" }, { lines[8].content, lines[8].role })
    end)

    it("is saved, listed, loaded and forked by commands", function()
      local done = run { stdin = "one\n/save a\ntwo\n/fork 中文 b\nthree\n/load\n/load a\nfour\n" ..
        "/load none\n/save\n" }
      assert.equal(0, done.code)
      assert.matches("\n中文 b\na\n", done.stderr)
      assert.matches('there is no chat "none"', done.stderr)
      assert.same({ "You are helpful.", "one", "re: one", "two", "re: two", "four" },
        contents(asked[4]))
      run("-s", "中文 b", { stdin = "five\n" })
      assert.same({ "You are helpful.", "one", "re: one", "two", "re: two", "three", "re: three",
        "five" }, contents(asked[5]))
    end)

    it("stays in its folder", function()
      for _, name in ipairs { "../x", "/etc/x", "a/b", ".hidden", "", ("x"):rep(300), "a\nb",
        "a\\b" } do
        local done = run("-s", name, { stdin = "one\n" })
        assert.equal(2, done.code, name)
        assert.matches("a chat cannot be called", done.stderr)
      end
      assert.equal(0, #asked)
      os.execute(("cd %s && mkdir -p llmrun/chats && ln -s /etc/passwd llmrun/chats/link.jsonl")
        :format(folder))
      local done = run("-s", "link", { stdin = "one\n" })
      assert.equal(2, done.code)
      assert.matches("is a link, which is not followed", done.stderr)
    end)

    it("names the line that cannot be read, and continues nothing but chats", function()
      assert.equal(2, run("-c", { stdin = "one\n" }).code)
      run("-s", "a", { stdin = "one\n" })
      local path = folder .. "/llmrun/chats/a.jsonl"
      for _, bad in ipairs { '{"model":"x"}\n{"role":"user"}\n', '{"model":"x"}\nnonsense\n',
        '{"model":"x"}\n["user"]\n' } do
        file.write(path, bad)
        local done = run("-s", "a", { stdin = "two\n" })
        assert.equal(2, done.code)
        assert.matches("a%.jsonl:2: ", done.stderr)
      end
    end)
  end)

  if not terminal.is_there then
    print("tmux is not there: chat is not tested on terminals")
    return
  end

  describe("on a terminal", function()
    local function start(width, words)
      return terminal.start("trap : INT; " .. process.quote(process.llmrun) .. " chat " ..
        (words or ""), { columns = width, env = env })
    end

    it("shows what a person should see, 80 and 40 columns wide", function()
      answer = function() return { text = "海は広いな大きいな ok\27[31mred", pace = 0.001 } end
      for _, width in ipairs { 80, 40 } do
        local screen = start(width, "-s trip" .. width)
        screen.wait("\n>$")
        screen.type("Hello\n")
        local lines = screen.wait("tokens, .*\n>$")
        assert.matches("^openai/gpt%-4o, kept as trip%d+, 0 mess", lines[1])
        local text = table.concat(lines, "\n")
        assert.matches("\n> Hello\n海は広いな大きいな ok␛%[31mred\n%d+ %+ %d+ tokens, %$0%.%d+, ",
          text)
        for _, line in ipairs(lines) do assert.is_true(core.system.width(line) <= width, line) end
        screen.type("退出\n")
        screen.wait("END 0")
        screen.stop()
      end
    end)

    it("stops an answer with Ctrl-C and goes on, with what was shown", function()
      answer = function(_, n)
        return n == 1 and { text = ("word "):rep(1000), pace = 0.02 } or "second"
      end
      local screen = start(80)
      screen.wait("\n>$")
      screen.type("Hello\n")
      screen.wait("word word")
      screen.type("^C")
      screen.wait("[%d.]+ s\n>$")
      screen.type("again\n")
      screen.wait("second\n")
      assert.equal(4, #asked[2].messages)
      assert.matches("^word word", asked[2].messages[3].content)
      screen.type("^C")
      screen.wait("quit or Ctrl%-D ends the chat")
      screen.type("^D")
      screen.wait("END 0")
      screen.stop()
    end)

    it("shows an error and asks again", function()
      answer = function(_, n) return n == 1 and { status = 404 } or "fine" end
      local screen = start(80)
      screen.wait("\n>$")
      screen.type("Hello\n")
      screen.wait("model_not_found: .*\n>$")
      screen.type("Hello\n")
      screen.wait("fine\n")
      screen.type("/exit\n")
      screen.wait("END 0")
      screen.stop()
    end)
  end)
end)
