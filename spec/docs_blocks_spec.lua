-- Pages as their reader meets them: every block of Lua is run, and prints what it says it prints;
-- so do the commands of docs/tokens.md on a terminal.
local llm = require "llm"
local settled = require "spec.support.settled"

local load_text = loadstring or load -- luacheck: ignore

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- 1.0 is 1 on LuaJIT
local function plain(text) return (text:gsub("(%d)%.0%f[^%d]", "%1"):gsub("%s+", " ")) end

for page, count in pairs { ["docs/objects.md"] = 4, ["docs/tokens.md"] = 3 } do
  describe(page, function()
    local number = 0
    for block in read(page):gmatch("\n```lua\n(.-)\n```") do
      number = number + 1
      it("has a block " .. number .. " that runs", function()
        local real, printed, wanted = print, {}, {}
        for line in block:gmatch("%-%->%s*([^\n]*)") do wanted[#wanted + 1] = plain(line) end
        _G.print = function(...)
          local out = {}
          for i = 1, select("#", ...) do out[i] = tostring((select(i, ...))) end
          printed[#printed + 1] = plain(table.concat(out, "\t"))
        end
        local ok, err = pcall(assert(load_text('local llm = require "llm"; ' .. block)))
        _G.print = real
        assert.is_true(ok, tostring(err))
        assert.same(wanted, printed)
        assert.equal(0, settled())
      end)
    end

    it("has blocks", function()
      assert.equal(count, number)
      assert.equal("table", type(llm.schema))
    end)
  end)
end

if _VERSION ~= "Lua 5.4" then return end -- the command's

local process = require "spec.support.process"
local terminal = require "spec.support.terminal"
if not terminal.is_there then return print("tmux is not there: commands are not run") end

it("docs/tokens.md shows what its commands show", function()
  local block = assert(read("docs/tokens.md"):match("\n## Commands\n.-\n```\n(.-)\n```"))
  local folder, remove = process.folder()
  local commands, wanted = {}, {}
  for line in block:gmatch("[^\n]+") do
    local command = line:match("^%$ (.*)")
    local list = command and commands or wanted
    list[#list + 1] = command or line
  end
  local screen = terminal.start("alias llmrun=" .. process.quote(process.llmrun) .. "\n" ..
    table.concat(commands, "\n"), { rows = 40, env = { HOME = folder } })
  local lines = screen.wait("END 0")
  screen.stop()
  remove()
  lines[#lines] = nil
  local shown = table.concat(lines, "\n"):gsub("(%d) +(estimated)\n", "%1\t%2\n") -- of cut
  assert.equal(table.concat(wanted, "\n"), shown)
end)
