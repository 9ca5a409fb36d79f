-- llmrun logs and llmrun usage: what a user sees of the calls that were kept.
if _VERSION ~= "Lua 5.4" then return end -- they are the command's

local command = require "spec.support.command"
local core = require "llm.core"
local llm = require "llm"
local process = require "spec.support.process"
local terminal = require "spec.support.terminal"

describe("calls that were kept:", function()
  local run, shell = command.run, command.shell
  local env

  setup(command.start)

  teardown(function()
    command.stop()
    assert.equal(0, llm.live())
  end)

  before_each(function()
    command.enter()
    env = { HOME = command.folder, LLM_LOG_CALLS = "1" }
  end)
  after_each(command.leave)

  local function ask(text, model)
    local done = run("-m", model or "mock/mock", "-p", text, { env = env })
    assert.equal("", done.stderr)
  end

  local function logs(...)
    local words = { ... }
    words[#words + 1] = { env = { HOME = command.folder } }
    return run("logs", (table.unpack or unpack)(words)) -- luacheck: ignore
  end

  it("none are, unless asked for", function()
    env.LLM_LOG_CALLS = nil
    ask "Hello"
    local done = logs()
    assert.equal(1, done.code)
    assert.matches("no calls are kept .*logs%.db.*set LLM_LOG_CALLS=1", done.stderr)
    assert.equal(1, run("usage", { env = env }).code)
    assert.equal(command.folder .. "/.local/share/llmrun/logs.db\n", logs("--path").stdout)
  end)

  it("are listed, the newest first, found and shown", function()
    ask "Where is the harbour?"
    ask "你好世界\nand more"
    local lines = logs().stdout
    assert.matches("^2\t%d+%-%d%d%-%d%dT[%d:]+Z\t你好世界 and more\tok\tmock\t\n1\t", lines)
    assert.matches("^2\t[^\n]*\n$", logs("-n", "1").stdout)
    assert.matches("^1\t[^\n]*\n$", logs("HARB", "where").stdout)
    assert.equal("你好世界 and more\n", logs("--response").stdout)
    assert.matches("^1  .*mock/mock.*\n\n%[user%]\nWhere is the harbour%?\n\n%[answer%]\nWhere",
      logs("--id", "1").stdout)
    local record = core.json.decode(logs("--json", "-m", "mock/mo", "世界").stdout)
    assert.equal("你好世界\nand more", record.request.messages[1].content)
    assert.equal("", logs("--since", "2020-01-01", "--before", "2020-01-02").stdout)
    assert.equal(1, logs("--id", "77").code)
    assert.matches("expected a date", logs("--since", "once").stderr)
  end)

  it("are told by their errors, without the key", function()
    env.OPENAI_BASE_URL, env.OPENAI_API_KEY = command.server.url "s401", "sk-CANARY-command"
    run("-m", "openai/gpt-5-mini", "-p", "Hi", { env = env })
    local done = logs("--errors")
    assert.matches("^1\t[^\t]+\tHi\tauthentication\tgpt%-5%-mini", done.stdout)
    local found = shell("cat .local/share/llmrun/*", env).stdout
    assert.is_nil((found .. done.stdout .. logs("--json").stdout):find("CANARY", 1, true))
  end)

  it("are kept by many processes at once", function()
    for _, file in ipairs { "many.db", "many.jsonl" } do
      env.LLM_LOG_CALLS = command.folder .. "/" .. file
      command.write("ask.lua", [[
        local llm = require "llm"
        local client = llm.client { model = "mock/mock" }
        for i = 1, 25 do assert(client:generate_text(("word "):rep(100) .. arg[1] .. " " .. i)) end
      ]])
      local done = shell("for i in 1 2 3 4; do $LLMRUN ask.lua $i & done; wait", env)
      assert.equal("", done.stderr)
      local list = logs("-n", "0", "--file", file).stdout
      local _, count = list:gsub("\n", "")
      assert.equal(100, count, file)
      assert.equal(384, core.system.mode(command.folder .. "/" .. file)) -- 0600
    end
  end)

  it("are deleted", function()
    ask "Hello"
    assert.equal(2, logs("--delete").code)
    assert.equal("0 calls deleted\n", logs("--delete", "--before", "1d").stdout)
    assert.equal("1 calls deleted\n", logs("--delete", "--before", "2100-01-01").stdout)
  end)

  local function spend()
    command.write("spend.lua", [[
      local llm = require "llm"
      local mock = llm.mock { function() return "fine" end }
      local client = llm.client { provider = mock.provider, model = "dear",
        costs = { dear = { input = 2, output = 2 }, ["模型"] = { input = 1, output = 1 } } }
      for _, model in ipairs { "dear", "模型", "free" } do
        assert(client:generate_text("hi", { model = model }))
      end
      client:close()
      mock:close()
    ]])
    local done = run("spend.lua", { env = env })
    assert.equal("", done.stderr)
  end

  it("are summed up", function()
    spend()
    local done = run("usage", { env = env })
    assert.matches("^mock/dear\t[%d.]+\t1\t%d+\t%d+\t0\t0\t0\nmock/模型\t[%d.]+\t1\t[^\n]*\n" ..
      "mock/free\tunknown\t1\t[^\n]*\t1\n$", done.stdout)
    local rows = core.json.decode(run("usage", "--by", "tag", "--json", { env = env }).stdout)
    assert.equal("-", rows[1].key)
    assert.equal(3, rows[1].calls)
    assert.equal(1, rows[1].unpriced)
    assert.matches("model, day, tag or provider",
      run("usage", "--by", "colour", { env = env }).stderr)
  end)

  if not terminal.is_there then return print("tmux is not there: terminals are not looked at") end

  local function look(words, columns)
    local screen = terminal.start(process.quote(process.llmrun) .. " " .. words,
      { columns = columns, env = { HOME = command.folder } })
    local lines = screen.wait("END 0")
    screen.stop()
    for _, line in ipairs(lines) do assert.is_true(core.system.width(line) <= columns, line) end
    return lines
  end

  it("look right on a terminal", function()
    spend()
    local lines = look("usage", 80)
    assert.matches("^model +cost +calls +input +output", lines[1])
    assert.matches("^mock/dear +%$[%d.]+ +1  ████████████████  +%d", lines[2])
    assert.matches("^mock/模型 +%$[%d.]+ +1  ████████  +%d", lines[3])
    assert.matches("^mock/free +unknown +1   +%d", lines[4])
    local begins = core.system.width(lines[2]:match("^.-█"))
    assert.equal(begins, core.system.width(lines[3]:match("^.-█")))
    lines = look("usage", 40)
    assert.matches("^model +cost +calls", lines[1])
    ask(("多语言 "):rep(40))
    lines = look("logs", 80)
    assert.matches("^id +time +prompt +outcome +model +cost", lines[1])
    assert.matches("^ ?4  %d+%-[%dT:-]+Z  多语言.*…%s+ok +mock", lines[2])
    lines = look("logs", 40)
    assert.matches("^id +time +prompt", lines[1])
    assert.matches("多.*…$", lines[2])
  end)
end)
