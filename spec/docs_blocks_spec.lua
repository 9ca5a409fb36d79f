-- Pages as their reader meets them: every block of Lua is run, and prints what it says it prints;
-- so do the commands of docs/tokens.md on a terminal.
local docs = require "spec.support.docs"

local pages = { ["docs/objects.md"] = 4, ["docs/tokens.md"] = 3, ["docs/policies.md"] = 11,
  ["docs/batch.md"] = 3 }

for page, count in pairs(pages) do
  describe(page, function()
    local checks = docs.checks(page)
    for number, check in ipairs(checks) do
      it("has a block " .. number .. " that runs and prints what it says", check)
    end
    it("has blocks", function() assert.is_true(#checks >= count) end)
  end)
end

if _VERSION ~= "Lua 5.4" then return end -- the command's

local process = require "spec.support.process"
local terminal = require "spec.support.terminal"
if not terminal.is_there then return print("tmux is not there: commands are not run") end

it("docs/tokens.md shows what its commands show", function()
  local block = assert(docs.read("docs/tokens.md"):match("\n## Commands\n.-\n```\n(.-)\n```"))
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
