-- The command, as a shell sees it: what it reads, runs, prints and returns.
if _VERSION ~= "Lua 5.4" then return end -- the command is the same for all three

local command = require "spec.support.command"
local llm = require "llm"
local process = require "spec.support.process"

describe("llmrun", function()
  local run, shell, openai, asked = command.run, command.shell, command.openai, command.asked
  local write = command.write
  local unpack = table.unpack -- luacheck: ignore

  setup(command.start)

  teardown(function()
    command.stop()
    assert.equal(0, llm.live())
  end)

  before_each(command.enter)
  after_each(command.leave)

  describe("tells about itself", function()
    it("with --help and --version, on standard output", function()
      for _, word in ipairs { "-h", "--help" } do
        local done = run(word)
        assert.equal(0, done.code)
        assert.matches("^usage: llmrun ", done.stdout)
        assert.matches("summarize", done.stdout)
        assert.matches("130 interrupted, 141 closed pipe", done.stdout)
        assert.equal("", done.stderr)
        for line in done.stdout:gmatch("[^\n]+") do assert.is_true(#line <= 100, line) end
      end
      for _, word in ipairs { "-V", "--version" } do
        local done = run(word)
        assert.equal(0, done.code)
        assert.matches("^llmrun %d+%.%d+%.%d+ %(Lua 5%.4, prices of %d%d%d%d%-%d%d%-%d%d%)\n$",
          done.stdout)
      end
    end)

    it("in one line when it is used wrongly", function()
      for _, case in ipairs {
        { {}, "nothing to run" }, { { "--nonsense" }, "unknown option %-%-nonsense" },
        { { "-x" }, "unknown option %-x" }, { { "-e" }, "%-e needs a value" },
        { { "--model" }, "%-%-model needs a value" }, { { "nosuch" }, 'no script "nosuch"' },
        { { "./nosuch.lua" }, "nosuch.lua: No such file" }, { { "." }, "Is a directory" },
        { { "--log", "loud", "-e", "" }, "%-%-log must be debug" },
        { { "-p", "what", "is", "this" }, '"is" is not a part of the prompt' },
        { { "--config", "/nowhere", "-e", "llm.client{}" }, "/nowhere: No such file" },
        { { "-e", "llm.client{base_url='x'}" }, "base_url: the URL must begin with" },
      } do
        local done = run(unpack(case[1]))
        assert.equal(2, done.code, case[2])
        assert.equal("", done.stdout)
        assert.matches("^llmrun: [^\n]*" .. case[2] .. "[^\n]*\n$", done.stderr)
      end
    end)
  end)

  describe("runs", function()
    it("a script with its arguments", function()
      write("show.lua", '#!/usr/bin/env llmrun\nprint(#arg, arg[0], arg[1], ...)')
      local done = run("show.lua", "-x", "--help", "")
      assert.same({ 0, "3\tshow.lua\t-x\t-x\t--help\t\n", "" },
        { done.code, done.stdout, done.stderr })
    end)

    it("a file without an ending, unless an installed script has its name", function()
      write("mine", 'print("mine")')
      assert.equal("mine\n", run("mine").stdout)
      write("summarize", 'print("mine")')
      assert.matches("^usage: llmrun summarize", run("summarize", "--help").stdout)
      assert.equal("mine\n", run("./summarize").stdout)
    end)

    it("code, with llm at hand", function()
      local done = run("-e", 'print(arg[0], llm.version == require("llm").version, ...)', "a", "-b")
      assert.equal("-e\ttrue\ta\t-b\n", done.stdout)
      assert.equal(0, run("-e", "").code)
      assert.equal(0, run("--execute=").code)
    end)

    it("a script from standard input", function()
      local done = run("-", "a", { stdin = "print('in', ...)" })
      assert.same({ 0, "in\ta\n" }, { done.code, done.stdout })
    end)

    it("scripts that require cjson, with the same null", function()
      local done = run("-e", [[
        local cjson = require "cjson"
        print(cjson.encode({ "a" }), cjson.null == llm.null, require "cjson.safe".decode("{"))]])
      assert.equal(0, done.code)
      assert.matches('^%["a"%]\ttrue\tnil\t', done.stdout)
    end)

    it("without a home, with an empty one, and with a folder that is none", function()
      for _, env in ipairs { {}, { HOME = "" }, { HOME = "/dev/null" },
        { XDG_CONFIG_HOME = "/nowhere" } } do
        local done = run("-e", "print(require('llm.config').get().defaults.timeout)",
          { env = env })
        assert.same({ 0, "30\n", "" }, { done.code, done.stdout, done.stderr })
      end
    end)

    it("no bytecode", function()
      write("binary.lua", string.dump(function() end))
      local done = run("binary.lua")
      assert.equal(1, done.code)
      assert.matches("binary chunk", done.stderr)
    end)
  end)

  describe("asks", function()
    it("a prompt and prints the answer as it comes, ended by a newline", function()
      local done = run("-p", "What is this?", { env = openai "ok" })
      assert.same({ 0, "Hello, world\n", "" }, { done.code, done.stdout, done.stderr })
      assert.equal("What is this?", asked("ok").messages[1].content)
      assert.is_true(asked("ok").stream)
    end)

    it("with standard input joined to the prompt", function()
      run("-p", "Summarize this", { env = openai "ok", stdin = "line 1\nline 2\n" })
      assert.equal("Summarize this\n\nline 1\nline 2\n", asked("ok").messages[1].content)
      run("-p", "Hi", { env = openai "ok", stdin = " \n" })
      assert.equal("Hi", asked("ok").messages[1].content)
      shell('"$LLMRUN" -p Hi <&-', openai "ok")
      assert.equal("Hi", asked("ok").messages[1].content)
    end)

    it("with the files of -a, each as what it holds", function()
      local png = "\137PNG\r\n\26\n\0\0"
      write("a photo", png)
      write("notes.md", "# Notes\n")
      run("-p", "What is this?", "-a", "a photo", "--attach=notes.md",
        { env = openai "ok", stdin = "More" })
      local content = asked("ok").messages[1].content
      assert.equal("data:image/png;base64," .. llm.base64.encode(png), content[1].image_url.url)
      assert.same({ type = "text", text = "notes.md:\n# Notes\n" }, content[2])
      assert.same({ type = "text", text = "What is this?\n\nMore" }, content[3])
      local done = run("-p", "Hi", "-a", "nowhere.png", { env = openai "ok" })
      assert.equal(2, done.code)
      assert.matches("nowhere.png: No such file", done.stderr, 1, true)
      assert.equal(2, run("-a", "notes.md", "-e", "print(1)").code)
    end)

    it("the model of -m, of the environment, or the provider's own", function()
      local env = openai "ok"
      run("-m", "gpt-4o", "-p", "Hi", { env = env })
      assert.equal("gpt-4o", asked("ok").model)
      run("--model=openai/gpt-4.1", "-p", "Hi", { env = env })
      assert.equal("gpt-4.1", asked("ok").model)
      env.LLM_DEFAULT_MODEL = "o3-mini"
      run("-p", "Hi", { env = env })
      assert.equal("o3-mini", asked("ok").model)
      run("-m", "gpt-4o", "-p", "Hi", { env = env })
      assert.equal("gpt-4o", asked("ok").model)
    end)

    it("a mock when nothing is configured, and says so once", function()
      local done = run("-e", [[
        local client = llm.client()
        print(assert(client:generate_text("one")).content, client:generate_text("two").content)]])
      assert.same({ 0, "one\ttwo\n" }, { done.code, done.stdout })
      assert.matches("^llmrun: no provider is configured, so a built%-in mock answers[^\n]*\n$",
        done.stderr)
    end)

    it("by a configuration file", function()
      write("config.lua", ([[return {
        providers = { openai = { base_url = %q, api_key = "env:MY_KEY" } },
        defaults = { model = "from-file", temperature = 0.25 },
      }]]):format(command.server.url("ok")))
      local done = run("--config", "config.lua", "-m", "openai/of-the-option", "-p", "Hi",
        { env = { MY_KEY = "sk-of-the-file" } })
      assert.equal("Hello, world\n", done.stdout)
      assert.equal("of-the-option", asked("ok").model)
      assert.equal(0.25, asked("ok").temperature)
      assert.matches("[Aa]uthorization: Bearer sk%-of%-the%-file\r\n", command.server.last("ok"))
    end)
  end)

  describe("--dry-run", function()
    it("prints a command that sends the very request, but for the key", function()
      local prompt = "It's \"quoted\" \\ $HOME `id`\n!\194\163"
      local env = openai "ok"
      local done = run("--dry-run", "-p", prompt, { env = env })
      assert.equal(0, done.code)
      assert.equal("", done.stderr)
      assert.equal(0, command.server.count("ok"))
      assert.is_nil(done.stdout:find("CANARY", 1, true))
      assert.matches("^curl 'http://127%.0%.0%.1:%d+/ok/v1/chat/completions'", done.stdout)
      assert.matches("%-H 'Authorization: Bearer %[redacted%]'", done.stdout)
      local curl = process.shell("exec " .. done.stdout:gsub("^curl", "curl -s"))
      assert.equal(0, curl.code)
      assert.matches("Hello", curl.stdout)
      assert.equal(prompt, asked("ok").messages[1].content)
      local by_curl = command.server.last("ok"):match("\r\n\r\n(.*)$")
      run("-p", prompt, { env = env })
      assert.equal(by_curl, command.server.last("ok"):match("\r\n\r\n(.*)$"))
    end)

    it("goes for scripts too", function()
      local done = run("--dry-run", "summarize", { env = openai "ok", stdin = "A text." })
      assert.equal(0, done.code)
      assert.matches("^curl ", done.stdout)
      assert.equal(0, command.server.count("ok"))
    end)
  end)

  describe("ends with a code for each kind of error", function()
    local codes = {
      invalid_request = 2, authentication = 3, permission = 3, rate_limit = 4, quota = 4,
      timeout = 5, model_not_found = 6, context_length = 6, provider_unavailable = 6,
      protocol = 6, network = 7, content_filter = 8, budget = 9, schema = 10, truncated = 11,
      cancelled = 130,
    }

    it("and one line of what to do", function()
      for kind in pairs(llm.error.kinds) do
        local done = run("-e", ("error(llm.error.new(%q, 'what\\nhappened'))"):format(kind))
        assert.equal(codes[kind], done.code, kind)
        assert.equal("", done.stdout)
        assert.matches("^llmrun: " .. kind .. ": what happened[^\n]*\n$", done.stderr)
      end
      assert.equal(13, run("-e", "llm.stop(13)").code)
    end)

    it("that a provider gave", function()
      for fault, code in pairs { s401 = 3, ["s429-quota"] = 4, ["s404-model"] = 6,
        ["s400-context"] = 6, ["html-200"] = 6, ["no-terminal"] = 11 } do
        local done = run("-p", "Hi", { env = openai(fault) })
        assert.equal(code, done.code, fault)
        assert.matches("^llmrun: [^\n]+\n$", done.stderr)
        assert.is_nil((done.stdout .. done.stderr):find("CANARY", 1, true), fault)
      end
    end)

    it("that happened before anything was sent", function()
      local done = run("-m", "openai/gpt-4o", "-p", "Hi")
      assert.equal(3, done.code)
      assert.equal("llmrun: authentication: openai has no API key; set OPENAI_API_KEY or give " ..
        "api_key (openai)\n", done.stderr)
    end)
  end)

  describe("shows a mistake of the script", function()
    it("with file and line, and the way there", function()
      write("wrong.lua", [[
local function inner() local x = nil; return x.y end
local function outer() inner() end
outer()
]])
      local done = run("wrong.lua")
      assert.equal(1, done.code)
      assert.equal("", done.stdout)
      local lines = {}
      for line in done.stderr:gmatch("[^\n]+") do lines[#lines + 1] = line end
      assert.matches("^llmrun: wrong%.lua:1: attempt to index a nil value", lines[1])
      assert.matches("wrong%.lua:1: in", lines[2])
      assert.matches("wrong%.lua:2: in", lines[3])
      assert.matches("wrong%.lua:3: in main chunk", lines[4])
      assert.equal(4, #lines)
    end)

    it("in at most six lines", function()
      write("deep.lua", [[
        local function f(n) if n == 0 then error("deep") end f(n - 1) return n end
        f(100)]])
      assert.equal(6, select(2, run("deep.lua").stderr:gsub("\n", "")))
    end)

    it("that does not compile", function()
      write("syntax.lua", "print(1)\nprint(2\n")
      local done = run("syntax.lua")
      assert.equal(1, done.code)
      assert.matches("^llmrun: syntax%.lua:3: '%)' expected", done.stderr)
      assert.equal(1, run("-e", "print(").code)
    end)

    it("whatever it raises", function()
      for code, text in pairs {
        ["error('plain', 0)"] = "plain", ["error()"] = "nil", ["error({})"] = "error object",
        ["error(setmetatable({}, {__tostring = function() return 'mine' end}))"] = "mine",
        ["llm.spawn(function() error('in a task', 0) end):join()"] = "in a task",
        ["error(42)"] = "42",
      } do
        local done = run("-e", code)
        assert.equal(1, done.code, code)
        assert.matches("^llmrun: " .. text, done.stderr)
      end
    end)

    it("with the keys masked", function()
      local done = run("-e", "llm.client{}; error(os.getenv('OPENAI_API_KEY'))",
        { env = openai "ok" })
      assert.is_nil(done.stderr:find("CANARY", 1, true))
      assert.matches("%[redacted%]", done.stderr)
    end)

    it("that nobody waited for", function()
      local done = run("-e", "llm.spawn(function() error('alone', 0) end); llm.sleep(0)")
      assert.equal(0, done.code)
      assert.matches("a task that nobody joined failed: alone", done.stderr)
    end)
  end)

  it("leaves nothing behind in the folder where it runs", function()
    run("-p", "Hi")
    assert.equal("", shell("ls -A").stdout)
  end)
end)
