-- The command, as a shell sees it: what it reads, prints and returns, and how it ends.
if _VERSION ~= "Lua 5.4" then return end -- the command is the same for all three

local core = require "llm.core"
local faults = require "spec.support.faults"
local llm = require "llm"
local process = require "spec.support.process"

describe("llmrun", function()
  local clock, unpack = core.loop.clock, table.unpack -- luacheck: ignore
  local server, folder, remove

  setup(function() server = faults.start() end)

  teardown(function()
    server.stop()
    assert.equal(0, llm.live())
  end)

  before_each(function()
    server.reset()
    folder, remove = process.folder()
  end)

  after_each(function() remove() end)

  local function write(name, text)
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
    file:close()
  end

  local function read(name)
    local file = assert(io.open(folder .. "/" .. name, "rb"))
    local text = file:read("a")
    file:close()
    return text
  end

  local function merged(opts)
    opts = opts or {}
    opts.cwd = opts.cwd or folder
    return opts
  end

  -- llmrun with these arguments; the last may be options of process.run.
  local function run(...)
    local argv = { process.llmrun, ... }
    local opts = type(argv[#argv]) == "table" and table.remove(argv) or nil
    return process.run(argv, merged(opts))
  end

  -- A line of bash in which $LLMRUN is the command.
  local function shell(line, opts)
    opts = merged(opts)
    opts.env = opts.env or {}
    opts.env.LLMRUN = process.llmrun
    return process.shell(line, opts)
  end

  -- An environment whose OpenAI is a fault.
  local function openai(fault, key)
    return { OPENAI_BASE_URL = server.url(fault), OPENAI_API_KEY = key or "sk-CANARY-cli" }
  end

  local function asked(fault)
    return core.json.decode(server.last(fault):match("\r\n\r\n(.*)$"))
  end

  local function ends(fault)
    local deadline = clock() + 1
    while server.open(fault) > 0 and clock() < deadline do llm.sleep(0.01) end
    return server.open(fault) == 0
  end

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
      shell('"$LLMRUN" -p Hi <&-', { env = openai "ok" })
      assert.equal("Hi", asked("ok").messages[1].content)
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
        defaults = { model = "from-file", temperature = 0.25 } }]]):format(server.url("ok")))
      local done = run("--config", "config.lua", "-m", "openai/of-the-option", "-p", "Hi",
        { env = { MY_KEY = "sk-of-the-file" } })
      assert.equal("Hello, world\n", done.stdout)
      assert.equal("of-the-option", asked("ok").model)
      assert.equal(0.25, asked("ok").temperature)
      assert.matches("[Aa]uthorization: Bearer sk%-of%-the%-file\r\n", server.last("ok"))
    end)
  end)

  describe("--dry-run", function()
    it("prints a command that sends the very request, but for the key", function()
      local prompt = "It's \"quoted\" \\ $HOME `id`\n!\194\163"
      local env = openai "ok"
      local done = run("--dry-run", "-p", prompt, { env = env })
      assert.equal(0, done.code)
      assert.equal("", done.stderr)
      assert.equal(0, server.count("ok"))
      assert.is_nil(done.stdout:find("CANARY", 1, true))
      assert.matches("^curl 'http://127%.0%.0%.1:%d+/ok/v1/chat/completions'", done.stdout)
      assert.matches("%-H 'Authorization: Bearer %[redacted%]'", done.stdout)
      local curl = process.shell("exec " .. done.stdout:gsub("^curl", "curl -s"))
      assert.equal(0, curl.code)
      assert.matches("Hello", curl.stdout)
      assert.equal(prompt, asked("ok").messages[1].content)
      local by_curl = server.last("ok"):match("\r\n\r\n(.*)$")
      run("-p", prompt, { env = env })
      assert.equal(by_curl, server.last("ok"):match("\r\n\r\n(.*)$"))
    end)

    it("goes for scripts too", function()
      local done = run("--dry-run", "summarize", { env = openai "ok", stdin = "A text." })
      assert.equal(0, done.code)
      assert.matches("^curl ", done.stdout)
      assert.equal(0, server.count("ok"))
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

  describe("ends at once", function()
    local loop = 'for text in llm.client():stream_text("Hi") do llm.write(text, "\\n") end'
    local nested = "coroutine.wrap(function() " .. loop .. " end)()"

    -- Starts it, waits until it has printed, sends the signal. Returns the result and the time.
    local function signalled(signal, fault, ...)
      local child = process.start({ process.llmrun, ... }, { env = openai(fault) })
      local deadline = clock() + 5
      while child.stdout() == "" and clock() < deadline do llm.sleep(0.005) end
      local started = clock()
      child.kill(signal)
      local done = child.wait()
      return done, clock() - started
    end

    -- A coroutine that drives the loop was deaf: the script went on until its timeout.
    it("when a signal comes, and cancels upstream", function()
      for _, case in ipairs {
        { "INT", 130, "endless-text", "-e", loop }, { "TERM", 143, "endless-text", "-e", loop },
        { "HUP", 129, "endless-text", "-e", loop },
        { "INT", 130, "stall-after-first-event", "-e", loop },
        { "INT", 130, "stall-after-first-event", "-p", "Hi" },
        { "INT", 130, "endless-text", "-e", nested },
        { "TERM", 143, "stall-after-first-event", "-e", nested },
        { "INT", 130, "stall-after-first-event", "-e", "llm.spawn(function() " .. loop ..
          " end):join()" },
        { "INT", 130, "stall-after-first-event", "-e",
          "llm.map({1, 2, 3}, function() " .. loop .. " end)" },
      } do
        local done, seconds = signalled(case[1], case[3], unpack(case, 4))
        assert.equal(case[2], done.code, case[5])
        assert.matches("^Hello", done.stdout)
        assert.equal("", done.stderr)
        assert.is_true(seconds < 1, case[5] .. " took " .. seconds)
        assert.is_true(ends(case[3]))
      end
    end)

    it("also when it waits for input", function()
      local child = process.start({ "bash", "-c", "exec " .. process.llmrun ..
        " -e 'print(1) io.flush() io.read()' < <(sleep 5)" })
      while child.stdout() == "" do llm.sleep(0.005) end
      local started = clock()
      child.kill("INT")
      assert.equal(130, child.wait().code)
      assert.is_true(clock() - started < 1)
    end)

    it("but not for a signal that its parent ignored", function()
      local child = process.start({ "bash", "-c", "trap '' INT; exec " .. process.llmrun ..
        " -e 'print(1) io.flush() llm.sleep(0.05) print(2)'" })
      while child.stdout() == "" do llm.sleep(0.005) end
      child.kill("INT")
      local done = child.wait()
      assert.same({ 0, "1\n2\n" }, { done.code, done.stdout })
    end)

    it("when its reader goes", function()
      for _, code in ipairs { loop, "while true do print('line') end" } do
        local started = clock()
        local done = shell('"$LLMRUN" -e "$CODE" | head -1; exit ${PIPESTATUS[0]}', { env = {
          CODE = code, OPENAI_BASE_URL = server.url("endless-text"), OPENAI_API_KEY = "sk-x" } })
        assert.equal(141, done.code)
        assert.equal(1, select(2, done.stdout:gsub("\n", "")))
        assert.equal("", done.stderr)
        assert.is_true(clock() - started < 1)
      end
      assert.is_true(ends("endless-text"))
    end)
  end)

  describe("says that its output is lost", function()
    local codes = { 'print("x")', 'llm.write("x")', 'io.write("x")' }

    it("on a full disk", function()
      for _, code in ipairs(codes) do
        local done = shell('"$LLMRUN" -e "$CODE" >/dev/full', { env = { CODE = code } })
        assert.equal(1, done.code, code)
        assert.matches("cannot write the output: No space left on device", done.stderr)
      end
    end)

    -- The first socket became descriptor 1, and the answer was written to the model.
    it("when its standard output is closed", function()
      for _, code in ipairs(codes) do
        local done = shell('"$LLMRUN" -e "$CODE" >&-', { env = { CODE = code } })
        assert.equal(1, done.code, code)
        assert.matches("cannot write the output: Bad file descriptor", done.stderr)
      end
      local done = shell('"$LLMRUN" -p Hi <&- >&-', { env = openai "ok" })
      assert.equal(1, done.code)
      assert.equal(1, server.count("ok"))
      assert.is_nil(server.last("ok"):find("world", 1, true))
      assert.equal(0, shell('"$LLMRUN" -e "llm.sleep(0)" <&- >&- 2>&-').code)
    end)

    it("when the file may not grow", function()
      local done = shell('ulimit -f 8; "$LLMRUN" -e "print((\'x\'):rep(100000))" >file')
      assert.equal(1, done.code)
      assert.matches("cannot write the output: File too large", done.stderr)
    end)
  end)

  describe("lets a model's control characters", function()
    local bytes = "a\27]52;c;aGk=\7b\27[2Jc\rd\194\155e\226\128\174f\tg"
    local code = ("local mock = llm.mock { text = %q } llm.write(llm.client " ..
      "{ provider = mock.provider }:generate_text('Hi'), '\\n')"):format(bytes)

    it("pass in a pipe, unchanged", function()
      assert.equal(bytes .. "\n", run("-e", code).stdout)
    end)

    it("not reach a terminal", function()
      write("code.lua", code)
      local done = process.run({ "script", "-qec", process.llmrun .. " code.lua", "typescript" },
        { cwd = folder })
      assert.equal(0, done.code)
      local shown = done.stdout:gsub("\r\n", "\n")
      assert.is_nil(shown:find("[%z\1-\8\11-\31\127]"), ("%q"):format(shown))
      assert.is_nil(shown:find("\194\155", 1, true))
      assert.is_nil(shown:find("\226\128\174", 1, true))
      assert.matches("^a.+b.+c.+d.+e.+f\tg\n$", shown)
    end)

    it("not reach one in an error either", function()
      write("code.lua", "error(llm.error.new('protocol', 'x\\27[2Jy'))")
      local done = process.run({ "script", "-qec", process.llmrun .. " code.lua", "typescript" },
        { cwd = folder })
      assert.equal(6, done.code)
      assert.is_nil(done.stdout:find("\27", 1, true))
    end)
  end)

  describe("under odd circumstances", function()
    -- A locale that is not installed is made for the occasion.
    local function make_locale(name)
      process.shell(("localedef -c -i %s -f UTF-8 --no-archive ./%s.UTF-8"):format(name, name),
        { cwd = folder })
      return process.shell("test -e " .. name .. ".UTF-8/LC_NUMERIC", { cwd = folder }).code == 0
    end

    it("writes numbers with a dot and reads headers in any locale", function()
      for _, name in ipairs { "de_DE", "tr_TR" } do
        if make_locale(name) then
          local env = openai "ok"
          env.LOCPATH, env.LC_ALL = folder, name .. ".UTF-8"
          local done = run("-e", [[
            assert(os.setlocale(""))
            assert(("%.1f"):format(0.5) == "0,5")
            print(llm.json.encode({ 0.5, 1e300 }), llm.json.decode("[0.25]")[1] == 0.25)
            local response = assert(llm.client { model = "gpt-4o", temperature = 0.125 }
              :generate_text("TITLE"))
            print(response.content, response.headers["content-type"])
            print(llm.policy.retry.delay(1, { ["retry-after"] = "1.5" }) == 1.5)
          ]], { env = env })
          assert.equal("", done.stderr)
          assert.equal("[0.5,1e+300]\ttrue\nHello, world\ttext/event-stream\ntrue\n", done.stdout)
          assert.equal(0.125, asked("ok").temperature)
        else
          print("the locale " .. name .. " cannot be made here: it is not tested")
        end
      end
    end)

    it("keeps the reset times of rate limits in summer time", function()
      local done = run("-e", [[
        local now = 1719835200 -- 2024-07-01 12:00 UTC
        local limits = require("llm.headers").rate_limit(
          { ["x-ratelimit-reset"] = "2024-07-01T12:01:30Z" }, now)
        print(limits.requests_reset == 90)
      ]], { env = { TZ = "CET-1CEST,M3.5.0,M10.5.0" } })
      assert.equal("true\n", done.stdout)
    end)

    it("goes on with few descriptors, or says that there are none", function()
      local code = [[
        local client = llm.client { retry = false }
        local _, failures = llm.map({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
          function() return assert(client:generate_text("Hi")) end, { concurrency = 16 })
        for _, err in pairs(failures or {}) do assert(err.kind == "network", tostring(err)) end
        print(llm.live())
      ]]
      local env = openai "ok"
      env.CODE = code
      local done = shell('ulimit -n 20; exec "$LLMRUN" -e "$CODE"', { env = env })
      assert.same({ 0, "0\n", "" }, { done.code, done.stdout, done.stderr })
    end)

    if not process.is_sanitized then
      it("runs in 64 MB, and says when that is not enough", function()
        local env = openai "ok"
        local done = shell('ulimit -v 65536; exec "$LLMRUN" -p Hi', { env = env })
        assert.same({ 0, "Hello, world\n", "" }, { done.code, done.stdout, done.stderr })
        done = shell('ulimit -v 65536; exec "$LLMRUN" -e "local t = {} ' ..
          'for i = 1, 1e9 do t[i] = (\'x\'):rep(1000) .. i end"')
        assert.equal(1, done.code)
        assert.matches("not enough memory", done.stderr)
      end)
    end
  end)

  it("leaves nothing behind in the folder where it runs", function()
    run("-p", "Hi")
    assert.equal("", process.shell("ls -A", { cwd = folder }).stdout)
    write("keep", "x")
    assert.equal("x", read("keep"))
  end)
end)
