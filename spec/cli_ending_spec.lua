-- How the command ends: signals, outputs that are lost, terminals, and what else may be odd.
if _VERSION ~= "Lua 5.4" then return end -- the command is the same for all three

local command = require "spec.support.command"
local core = require "llm.core"
local llm = require "llm"
local process = require "spec.support.process"

describe("llmrun at its end", function()
  local clock, unpack = core.loop.clock, table.unpack -- luacheck: ignore
  local run, shell, openai, asked = command.run, command.shell, command.openai, command.asked
  local write = command.write

  setup(command.start)

  teardown(function()
    command.stop()
    assert.equal(0, llm.live())
  end)

  before_each(command.enter)
  after_each(command.leave)

  describe("stops at once", function()
    local loop = 'for text in llm.client():stream_text("Hi") do llm.write(text, "\\n") end'
    local nested = "coroutine.wrap(function() " .. loop .. " end)()"

    -- Starts a program, waits until it has printed, sends the signal. Returns the result and how
    -- long it took from the signal on.
    local function interrupted(signal, argv, env)
      local child = process.start(argv, { env = env })
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
        local done, seconds = interrupted(case[1], { process.llmrun, unpack(case, 4) },
          openai(case[3]))
        assert.equal(case[2], done.code, case[5])
        assert.matches("^Hello", done.stdout)
        assert.equal("", done.stderr)
        assert.is_true(seconds < 1, case[5] .. " took " .. seconds)
        assert.is_true(command.is_abandoned(case[3]))
      end
    end)

    it("also when it waits for input", function()
      local done, seconds = interrupted("INT", { "bash", "-c", "exec " .. process.llmrun ..
        " -e 'print(1) io.flush() io.read()' < <(sleep 5)" })
      assert.equal(130, done.code)
      assert.is_true(seconds < 1)
    end)

    it("but not for a signal that its parent ignored", function()
      local done = interrupted("INT", { "bash", "-c", "trap '' INT; exec " .. process.llmrun ..
        " -e 'print(1) io.flush() llm.sleep(0.05) print(2)'" })
      assert.same({ 0, "1\n2\n" }, { done.code, done.stdout })
    end)

    it("when its reader goes", function()
      for _, code in ipairs { loop, "while true do print('line') end" } do
        local started = clock()
        local done = shell('"$LLMRUN" -e "$CODE" | head -1; exit ${PIPESTATUS[0]}', {
          CODE = code, OPENAI_BASE_URL = command.server.url("endless-text") })
        assert.equal(141, done.code)
        assert.equal(1, select(2, done.stdout:gsub("\n", "")))
        assert.equal("", done.stderr)
        assert.is_true(clock() - started < 1)
      end
      assert.is_true(command.is_abandoned("endless-text"))
    end)
  end)

  describe("says that its output is lost", function()
    local codes = { 'print("x")', 'llm.write("x")', 'io.write("x")' }

    it("on a full disk", function()
      for _, code in ipairs(codes) do
        local done = shell('"$LLMRUN" -e "$CODE" >/dev/full', { CODE = code })
        assert.equal(1, done.code, code)
        assert.matches("cannot write the output: No space left on device", done.stderr)
      end
    end)

    -- The first socket became descriptor 1, and the answer was written to the model.
    it("when its standard output is closed", function()
      for _, code in ipairs(codes) do
        local done = shell('"$LLMRUN" -e "$CODE" >&-', { CODE = code })
        assert.equal(1, done.code, code)
        assert.matches("cannot write the output: Bad file descriptor", done.stderr)
      end
      local done = shell('"$LLMRUN" -p Hi <&- >&-', openai "ok")
      assert.equal(1, done.code)
      assert.equal(1, command.server.count("ok"))
      assert.is_nil(command.server.last("ok"):find("world", 1, true))
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
        { cwd = command.folder })
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
        { cwd = command.folder })
      assert.equal(6, done.code)
      assert.is_nil(done.stdout:find("\27", 1, true))
    end)
  end)

  describe("under odd circumstances", function()
    -- A locale that is not installed is made for the occasion.
    local function make_locale(name)
      shell(("localedef -c -i %s -f UTF-8 --no-archive ./%s.UTF-8"):format(name, name))
      return shell("test -e " .. name .. ".UTF-8/LC_NUMERIC").code == 0
    end

    it("writes numbers with a dot and reads headers in any locale", function()
      for _, name in ipairs { "de_DE", "tr_TR" } do
        if make_locale(name) then
          local env = openai "ok"
          env.LOCPATH, env.LC_ALL = command.folder, name .. ".UTF-8"
          env.ASAN_OPTIONS = "detect_leaks=0" -- glibc keeps what setlocale read
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
      local done = shell('ulimit -n 20; exec "$LLMRUN" -e "$CODE"', env)
      assert.same({ 0, "0\n", "" }, { done.code, done.stdout, done.stderr })
    end)

    if not process.is_sanitized then
      it("runs in 64 MB, and says when that is not enough", function()
        local env = openai "ok"
        local done = shell('ulimit -v 65536; exec "$LLMRUN" -p Hi', env)
        assert.same({ 0, "Hello, world\n", "" }, { done.code, done.stdout, done.stderr })
        done = shell('ulimit -v 65536; exec "$LLMRUN" -e "local t = {} ' ..
          'for i = 1, 1e9 do t[i] = (\'x\'):rep(1000) .. i end"')
        assert.equal(1, done.code)
        assert.matches("not enough memory", done.stderr)
      end)
    end
  end)
end)
