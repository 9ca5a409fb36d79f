-- llm.process: other programs from Lua. What the descriptors do is tests/process_test.c's.
local core = require "llm.core"
local llm = require "llm"
local secret = require "llm.secret"
local settled = require "spec.support.settled"

local run = llm.process.run

local function shell(line, opts) return run({ "sh", "-c", line }, opts) end

describe("llm.process", function()
  after_each(function() assert.equal(0, settled()) end)

  it("runs a program: what goes in, what comes out, how it ended", function()
    local done = assert(shell("cat; echo oops >&2; exit 3", { input = "one\0two" }))
    assert.same({ code = 3, stdout = "one\0two", stderr = "oops\n" }, done)
    assert.equal("exit code 3: oops", llm.process.describe(done))
    assert.equal(15, assert(shell("kill -15 $$")).signal)
    assert.equal("signal 15", llm.process.describe { signal = 15, stderr = "" })
  end)

  it("takes words, not a line of shell", function()
    local done = assert(run { "printf", "%s\n", "a b", "$HOME; `id` *", "" })
    assert.equal("a b\n$HOME; `id` *\n\n", done.stdout)
  end)

  it("moves megabytes both ways at once", function()
    local text = ("0123456789abcde\n"):rep(200000)
    assert.is_true(assert(run({ "cat" }, { input = text })).stdout == text)
  end)

  it("says what could not be run", function()
    local done, err = run { "no-such-program" }
    assert.is_nil(done)
    assert.equal("invalid_request", err.kind)
    assert.equal("cannot run no-such-program: No such file or directory", err.message)
    done, err = run({ "ls" }, { cwd = "/no-such-folder" })
    assert.is_nil(done)
    assert.match("in /no%-such%-folder", err.message)
    for _, words in ipairs { {}, { "a\0b" }, { {} } } do
      assert.is_false((pcall(run, words)))
    end
    local ok, misuse = pcall(run, { "ls" }, { timout = 1 })
    assert.is_false(ok)
    assert.match('did you mean "timeout"', misuse.message)
  end)

  it("ends one that takes too long, with what it had written", function()
    local started = core.loop.clock()
    local done, err = shell("echo begun; sleep 60; echo ended", { timeout = 0.2 })
    assert.is_nil(done)
    assert.equal("timeout", err.kind)
    assert.equal("begun\n", err.partial.stdout)
    assert.is_true(core.loop.clock() - started < 5)
  end)

  it("stops one that writes too much", function()
    local done = assert(run({ "yes" }, { max_output = 100001 }))
    assert.equal(100001, #done.stdout)
    assert.is_true(done.truncated)
    assert.is_nil(done.code)
    assert.is_nil(assert(run({ "printf", "12345" }, { max_output = 5 })).truncated)
  end)

  it("does not wait for what a program left in the background", function()
    local started = core.loop.clock()
    local done = assert(shell("sleep 60 & echo $!"))
    assert.equal(0, done.code)
    assert.is_true(core.loop.clock() - started < 5)
    assert.is_true(tonumber(done.stdout) > 0)
  end)

  it("lets a program ignore its input", function()
    local done = assert(run({ "true" }, { input = ("x"):rep(1000000) }))
    assert.equal(0, done.code)
  end)

  it("runs many at once", function()
    local started = core.loop.clock()
    local codes = llm.map({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, function(i)
      return assert(shell("sleep 0.2; exit " .. i)).code
    end)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, n = 12 }, codes)
    assert.is_true(core.loop.clock() - started < 2)
  end)

  it("ends the program when its task is cancelled", function()
    local fifo = os.tmpname()
    local task = llm.spawn(function() return shell("echo $$ > " .. fifo .. "; sleep 60") end)
    local pid
    while not pid do
      llm.sleep(0.005)
      for line in io.lines(fifo) do pid = line end
    end
    os.remove(fifo)
    task:cancel()
    pcall(task.join, task)
    if not coroutine.close then -- luacheck: ignore
      collectgarbage()
      collectgarbage()
    end
    assert.is_nil(io.open("/proc/" .. pid .. "/stat"))
  end)

  it("ends with the script, whatever ends that", function()
    if _VERSION ~= "Lua 5.4" then return end -- as all specs of the command
    local process = require "spec.support.process"
    local line = "llm.process.run({'sh', '-c', 'echo $$ > %s; sleep 60'})"
    for _, signal in ipairs { "TERM", "KILL" } do
      local path, pid = os.tmpname(), nil
      local script = process.start { process.llmrun, "-e", line:format(path) }
      while not pid do
        llm.sleep(0.005)
        for text in io.lines(path) do pid = text end
      end
      script.kill(signal)
      script.wait()
      os.remove(path)
      local stat
      for _ = 1, 200 do
        local file = io.open("/proc/" .. pid .. "/stat")
        stat = file and file:read("*a"):match("%) (%a)")
        if file then file:close() end
        if not stat or stat == "Z" then break end
        llm.sleep(0.005)
      end
      assert.is_true(not stat or stat == "Z", signal)
    end
  end)

  describe("the environment", function()
    local real = core.process.environment

    before_each(function()
      secret.remember("canary-of-process-spec")
      core.process.environment = function()
        return { PATH = "/usr/bin:/bin", HOME = "/home/x", OPENAI_API_KEY = "sk-1234567",
          AWS_SECRET_ACCESS_KEY = "aws", AWS_SESSION_TOKEN = "aws", VERTEX_ACCESS_TOKEN = "ya29",
          ODD_NAME = "x-canary-of-process-spec", KEYBOARD = "de" }
      end
    end)

    after_each(function() core.process.environment = real end)

    local function env_of(given)
      local lines = {}
      for line in assert(run({ "env" }, { env = given })).stdout:gmatch("[^\n]+") do
        lines[#lines + 1] = line
      end
      table.sort(lines)
      return lines
    end

    it("is ours without the keys", function()
      assert.same({ "HOME=/home/x", "KEYBOARD=de", "PATH=/usr/bin:/bin" }, env_of())
    end)

    it("has what is given by name, a key of ours too", function()
      assert.same({ "HOME=/tmp", "NEW=1=2", "OPENAI_API_KEY=sk-1234567", "PATH=/usr/bin:/bin" },
        env_of { HOME = "/tmp", KEYBOARD = false, NEW = "1=2", OPENAI_API_KEY = true, NONE = true })
    end)
  end)

  it("works inside a host that owns the loop", function()
    local has_luv, uv = pcall(require, "luv")
    if not has_luv or not llm.loop.pollfd() then return print "not tested in a host" end
    llm.host.luv.attach()
    local done
    coroutine.wrap(function() done = shell("sleep 0.02; cat; exit 4", { input = "hosted" }) end)()
    assert.is_nil(done)
    uv.run()
    llm.host.luv.detach()
    uv.run("nowait")
    assert.same({ code = 4, stdout = "hosted", stderr = "" }, done)
  end)
end)
