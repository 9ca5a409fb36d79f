-- docs/mcp.md as its reader meets it: the files in it are written out and run by llmrun.
if _VERSION ~= "Lua 5.4" then return end -- as all specs of the command

local llm = require "llm"
local process = require "spec.support.process"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

describe("docs/mcp.md", function()
  local manual = read "docs/mcp.md"
  local folder, remove, env

  setup(function()
    folder, remove = process.folder()
    for name, body in manual:gmatch("\n```lua (%S+)\n(.-\n)```") do
      write(folder .. "/" .. name, body)
    end
    assert(os.execute(("ln -s %s %s/llmrun"):format(process.quote(process.llmrun), folder)))
    env = { PATH = folder .. ":/usr/bin:/bin", HOME = folder }
  end)

  teardown(function()
    remove()
    assert.equal(0, llm.live())
  end)

  local function run(words)
    return assert(llm.process.run(words, { cwd = folder, env = env, timeout = 20 }))
  end

  for _, name in ipairs { "roll.lua", "ask.lua", "words.lua" } do
    it("has a " .. name .. " that prints what it says", function()
      local wanted = {}
      for line in read(folder .. "/" .. name):gmatch("%-%->%s*([^\n]*)") do
        wanted[#wanted + 1] = line .. "\n"
      end
      local done = run { "llmrun", name }
      assert.equal(table.concat(wanted), done.stdout, done.stderr)
      assert.equal(0, done.code)
    end)
  end

  it("shows what llmrun mcp prints", function()
    local commands, printed = manual:match("\n```sh\n(.-)```\n\n```text\n(.-)```")
    assert.equal(printed, run({ "sh", "-c", commands }).stdout)
  end)
end)
