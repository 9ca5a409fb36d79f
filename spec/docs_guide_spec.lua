-- docs/guide.md as its reader meets it: every command and every script in it is run in one folder,
-- in their order, without a key; what is said to be printed is printed.
if _VERSION ~= "Lua 5.4" then return end -- it is the command's

local file = require "spec.support.file"
local llm = require "llm"
local process = require "spec.support.process"

-- The fenced blocks: kind, name of a file or nil, text.
local function blocks_of(text)
  local list = {}
  for head, body in text:gmatch("\n```([^\n]+)\n(.-\n)```") do
    local kind, name = head:match("^(%S+) ?(.*)$")
    list[#list + 1] = { kind = kind, name = name ~= "" and name or nil, text = body }
  end
  return list
end

describe("docs/guide.md", function()
  local folder, remove
  local guide = file.read "docs/guide.md"

  setup(function() folder, remove = process.folder() end)

  teardown(function()
    remove()
    assert.equal(0, llm.live())
  end)

  local function run(line)
    local done = process.run({ "bash", "-eu", "-c", line }, { cwd = folder,
      env = { PATH = process.llmrun:match("^(.*)/") .. ":" .. os.getenv("PATH"), HOME = folder } })
    assert.equal(0, done.code, line .. "\n" .. done.stderr)
    return done.stdout
  end

  local runners = {}

  function runners.lua(block)
    file.write(folder .. "/" .. (block.name or "block.lua"), block.text)
    if block.name then return end
    local printed, at = "\n" .. run "llmrun block.lua", 1
    for line in block.text:gmatch("%-%->%s*([^\n]*)") do
      local first, last = printed:find("\n" .. line .. "\n", at, true)
      assert.is_truthy(first, line .. " is not in" .. printed)
      at = last
    end
  end

  function runners.sh(block, after)
    local printed = run(block.text)
    if after and after.kind == "text" then assert.equal(after.text, printed) end
  end

  local blocks = blocks_of(guide)
  for i, block in ipairs(blocks) do
    local runner = runners[block.kind]
    if runner then
      it(("runs block %d, %s"):format(i, block.text:match("[^\n]*")), function()
        runner(block, blocks[i + 1])
      end)
    end
  end

  it("has blocks of kinds that are known", function()
    local known = { lua = true, sh = true, text = true, console = true }
    for _, block in ipairs(blocks) do assert.is_true(known[block.kind], block.kind) end
    assert.is_true(#blocks > 25)
  end)
end)
