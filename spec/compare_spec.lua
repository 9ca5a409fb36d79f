-- Several models side by side, in a pipe and on a real terminal.
if _VERSION ~= "Lua 5.4" then return end -- it is the command's

local core = require "llm.core"
local llm = require "llm"
local process = require "spec.support.process"
local terminal = require "spec.support.terminal"

describe("compare", function()
  local width = core.system.width
  local mock, folder, remove, env

  setup(function()
    mock = llm.mock { function(request)
      if request.model == "broken" then return { status = 500 } end
      return { pace = 0.002, text = request.model == "a" and ("The sea is wide. "):rep(8)
        or ("海は広いな大きいな"):rep(8) }
    end }
    folder, remove = process.folder()
    local file = assert(io.open(folder .. "/config.lua", "w"))
    file:write(("return { providers = { mock = { base_url = %q } } }"):format(
      mock.provider.base_url))
    file:close()
    env = { LLM_CONFIG = folder .. "/config.lua" }
  end)

  teardown(function()
    mock:close()
    remove()
    assert.equal(0, llm.live())
  end)

  local function run(...)
    local started = process.start({ process.llmrun, "compare", ... }, { env = env })
    local deadline = core.loop.clock() + 10
    while started.running() do
      assert(core.loop.clock() < deadline)
      llm.sleep(0.02)
    end
    return started.wait()
  end

  it("writes the answers one after the other where there is no terminal", function()
    local done = run("-m", "mock/a,mock/b", "hi")
    assert.equal(0, done.code, done.stderr)
    assert.matches("^== mock/a ==\n" .. ("The sea is wide. "):rep(8) ..
      "\n\n%d+ tokens, [%d.]+ s" ..
      "\n\n== mock/b ==\n" .. ("海は広いな大きいな"):rep(8) .. "\n\n", done.stdout)
  end)

  it("tells a failure beside the answers of the others", function()
    local done = run("-m", "mock/a,mock/broken", "--json", "hi")
    assert.equal(13, done.code)
    local good, bad = done.stdout:match("^([^\n]+)\n([^\n]+)\n$")
    assert.equal(("The sea is wide. "):rep(8), core.json.decode(good).content)
    assert.matches("provider_unavailable", core.json.decode(bad).error)
  end)

  it("wants two models and a prompt", function()
    assert.equal(2, run("-m", "mock/a", "hi").code)
    assert.equal(2, run("-m", "mock/a,mock/b").code)
  end)

  if not terminal.is_there then
    print("tmux is not there: columns on terminals are not tested")
    return
  end

  local function show(columns)
    local screen = terminal.start(process.quote(process.llmrun) .. " compare -m mock/a,mock/b hi",
      { columns = columns, env = env })
    local lines = screen.wait("END 0")
    screen.stop()
    return lines
  end

  it("streams in columns, a wide character taking two", function()
    local lines = show(80)
    assert.equal("mock/a                                   mock/b", lines[1])
    assert.equal(("─"):rep(38) .. "   " .. ("─"):rep(38), lines[2])
    assert.equal("The sea is wide. The sea is wide. The    " ..
      "海は広いな大きいな海は広いな大きいな海", lines[3])
    assert.matches("^%d+ tokens, [%d.]+ s +%d+ tokens, [%d.]+ s$", lines[8])
    for _, line in ipairs(lines) do assert.is_true(width(line) <= 80, line) end
  end)

  it("fits 40 columns, and leaves columns where they would be too narrow", function()
    local lines = show(40)
    assert.equal("The sea is wide.     海は広いな大きいな", lines[3])
    for _, line in ipairs(lines) do assert.is_true(width(line) <= 40, line) end
    assert.equal("== mock/a ==", show(30)[1])
  end)
end)
