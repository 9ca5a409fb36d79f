--- A document as its reader meets it: every Lua block in it is run by itself, and prints what its
-- `-->` comments say that it prints.
-- @usage for i, check in ipairs(docs.checks "docs/objects.md") do it("block " .. i, check) end
local check = require "luassert"
local llm = require "llm"
local settled = require "spec.support.settled"

local load_text = loadstring or load -- luacheck: ignore

local docs = {}

function docs.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- 1.0 is 1 on LuaJIT
local function plain(text) return (text:gsub("(%d)%.0%f[^%d]", "%1"):gsub("%s+", " ")) end

local function run(block)
  local real, printed = print, {}
  _G.print = function(...)
    local out = {}
    for i = 1, select("#", ...) do out[i] = tostring((select(i, ...))) end
    printed[#printed + 1] = plain(table.concat(out, "\t"))
  end
  require("llm.policy.metrics").reset() -- a reader's process is new
  require("llm.policy.breaker").reset()
  llm.log.configure("off")
  local ok, err = pcall(assert(load_text('local llm = require "llm"; ' .. block)))
  llm.log.configure("warn")
  _G.print = real
  check.is_true(ok, tostring(err))
  return printed
end

--- The Lua blocks of a file, each as a function that checks it.
-- @treturn table list of functions
function docs.checks(path)
  local list = {}
  for block in docs.read(path):gmatch("\n```lua\n(.-)\n```") do
    list[#list + 1] = function()
      local wanted = {}
      for line in block:gmatch("%-%->%s*([^\n]*)") do wanted[#wanted + 1] = plain(line) end
      check.same(wanted, run(block))
      check.equal(0, settled())
    end
  end
  return list
end

return docs
