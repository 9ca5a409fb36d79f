-- docs/tools.md as its reader meets it: what it prints it prints, and its agent works.
if _VERSION ~= "Lua 5.4" then return end -- as all specs of the command

local file = require "spec.support.file"
local llm = require "llm"
local process = require "spec.support.process"
local settled = require "spec.support.settled"

describe("docs/tools.md", function()
  local manual = file.read "docs/tools.md"
  local folder, remove

  setup(function() folder, remove = process.folder() end)

  teardown(function()
    remove()
    assert.equal(0, settled())
  end)

  local function run(words, env, input)
    env = env or {}
    env.PATH, env.HOME = "/usr/bin:/bin", folder
    return assert(llm.process.run(words, { cwd = folder, env = env, input = input, timeout = 20 }))
  end

  it("has blocks that print what they say", function()
    local count = 0
    for block in manual:gmatch("\n```lua\n(.-)\n```") do
      count = count + 1
      local wanted = {}
      for line in block:gmatch("%-%->%s*([^\n]*)") do wanted[#wanted + 1] = line .. "\n" end
      file.write(folder .. "/block.lua", block)
      local done = run { process.llmrun, "block.lua" }
      assert.equal(table.concat(wanted), done.stdout, done.stderr)
    end
    assert.equal(2, count)
  end)

  it("has an agent of thirty lines that works", function()
    local agent = manual:match("\n```lua agent.lua\n(.-)\n```")
    assert.is_true(select(2, agent:gsub("[^\n]+", "")) <= 30)
    os.remove(folder .. "/block.lua")
    file.write(folder .. "/agent.lua", agent)
    file.write(folder .. "/notes.md", "Buy milk.")
    local answers = {
      { tool_calls = { { id = "1", name = "list", arguments = "{}" } } },
      { tool_calls = { { id = "2", name = "read", arguments = '{"path":"./notes.md"}' },
        { id = "3", name = "read", arguments = '{"path":"/etc/passwd"}' },
        { id = "4", name = "read", arguments = '{"path":"nowhere"}' } } },
      "There is one note.", "You are welcome.",
    }
    local mock = llm.mock { function() return table.remove(answers, 1) end }
    local done = run({ process.llmrun, "agent.lua" },
      { OPENAI_API_KEY = "k", OPENAI_BASE_URL = mock.base_url }, "What is here?\nThanks!\n")
    assert.equal("There is one note.\nYou are welcome.\n", done.stdout, done.stderr)
    assert.matches("[read /etc/passwd]", done.stderr, 1, true)
    local messages = mock.requests[4].messages
    local results = {}
    for _, message in ipairs(messages) do
      if message.role == "tool" then results[message.tool_call_id] = message.content end
    end
    assert.matches("./notes.md\n", results["1"], 1, true)
    assert.equal("Buy milk.", results["2"])
    assert.equal("error: this call was not allowed: it is outside of the folder", results["3"])
    assert.equal("error: nowhere: No such file or directory", results["4"])
    assert.equal("system", messages[1].role)
    assert.equal("Thanks!", messages[#messages].content)
    mock:close()
  end)
end)
