-- How far a batch is, as a person sees it on a real terminal.
if _VERSION ~= "Lua 5.4" then return end -- the command is the same for all three

local llm = require "llm"
local process = require "spec.support.process"
local settled = require "spec.support.settled"
local terminal = require "spec.support.terminal"

if not terminal.is_there then return print("tmux is not there: the bar is not looked at") end

describe("the bar of llmrun batch", function()
  local mock, folder, remove

  before_each(function()
    mock = llm.mock { function(request)
      local text = request.messages[#request.messages].content
      if text:find("坏", 1, true) then return { status = 400 } end
      return { text = "好的，" .. text, delay = 0.02 }
    end }
    folder, remove = process.folder()
    local file = assert(io.open(folder .. "/in.txt", "w"))
    for i = 1, 40 do file:write(i == 3 and "坏的一行\n" or "第" .. i .. "行\n") end
    file:close()
  end)

  after_each(function()
    mock:close()
    remove()
    assert.equal(0, settled())
  end)

  for _, columns in ipairs { 80, 40 } do
    it("fits into " .. columns .. " columns, and goes away", function()
      local command = ("cd %s && %s batch -m openai/mock -j 2 -o out.jsonl Echo in.txt"):format(
        folder, process.llmrun)
      local screen = terminal.start(command, { columns = columns, env = {
        OPENAI_API_KEY = "sk-test-1234", OPENAI_BASE_URL = mock.base_url } })
      local lines = screen.wait("%d+/40  1 failed  ETA 0:0%d")
      assert.equal(1, #lines, "it stays on one line")
      if columns == 80 then
        assert.matches("^%[#+%-+%] %d+/40  1 failed  ETA 0:0%d  [%d.]+/s  %$0", lines[1])
      end
      lines = screen.wait("END 13")
      assert.equal("39 done, 1 failed, $0.000000", lines[1])
      screen.stop()
      local file = assert(io.open(folder .. "/out.jsonl"))
      assert.matches('^{"index":1,"content":"好的，第1行"', file:read("l"))
      file:close()
    end)
  end
end)
