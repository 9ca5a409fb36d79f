-- docs/objects.md as its reader meets it: every block is run, and prints what it says it prints.
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
local function plain(text) return (text:gsub("(%d)%.0", "%1")) end

describe("docs/objects.md", function()
  local number = 0
  for block in read("docs/objects.md"):gmatch("\n```lua\n(.-)\n```") do
    number = number + 1
    it("has a block " .. number .. " that runs", function()
      local real, printed, wanted = print, {}, {}
      for line in block:gmatch("%-%->%s*([^\n]*)") do wanted[#wanted + 1] = plain(line) end
      _G.print = function(...)
        local out = {}
        for i = 1, select("#", ...) do out[i] = tostring((select(i, ...))) end
        printed[#printed + 1] = plain(table.concat(out, "\t"))
      end
      local ok, err = pcall(assert(load_text(block)))
      _G.print = real
      assert.is_true(ok, tostring(err))
      assert.same(wanted, printed)
      assert.equal(0, settled())
    end)
  end

  it("has blocks", function()
    assert.equal(4, number)
    assert.equal("table", type(llm.schema))
  end)
end)
