-- The manual page and the reference: they say what is there, and their makers find nothing wrong.
if _VERSION ~= "Lua 5.4" then return end -- it is the command's

local file = require "spec.support.file"
local llm = require "llm"
local process = require "spec.support.process"

local function has(program) return os.execute("command -v " .. program .. " >/dev/null") end

describe("llmrun(1)", function()
  local page = file.read "docs/llmrun.1"

  after_each(function() assert.equal(0, llm.live()) end)

  it("names every script and no other", function()
    local list = page:match("\n%.Sh SCRIPTS\n(.-)\n%.Sh")
    local names = {}
    for name in list:gmatch("\n%.It Cm (%S+)") do names[#names + 1] = name end
    assert.same(require "llm.scripts", names)
  end)

  it("names every option of the command", function()
    local options = process.run({ process.llmrun, "--help" }).stdout:match("\n\n(.-)\n\nScripts:")
    local count = 0
    for name in options:gmatch("%-%-(%l[%l-]+)") do
      assert.is_truthy(page:find("Fl Fl " .. name, 1, true), name)
      count = count + 1
    end
    assert.is_true(count > 10)
  end)

  it("names every exit code", function()
    local help = process.run({ process.llmrun, "--help" }).stdout
    for code in help:match("Exit codes: (.*)"):gmatch("%d+") do
      assert.is_truthy(page:find("%.It [%d ,]*" .. code .. "%f[%D]"), code)
    end
  end)

  if has "mandoc" then
    it("is clean", function()
      local done = process.run { "mandoc", "-T", "lint", "docs/llmrun.1" }
      assert.equal("", done.stdout:gsub("mandoc: outdated[^\n]*\n", ""))
    end)
  end
end)

if has "ldoc" then
  describe("the reference", function()
    it("is made without a warning", function()
      local folder, remove = process.folder()
      local done = process.run({ "ldoc", "--fatalwarnings", "-d", folder, "." },
        { env = { HOME = folder } })
      assert.equal(0, done.code, done.stdout .. done.stderr)
      assert.matches("generate_text", file.read(folder .. "/modules/llm.client.html"))
      assert.matches("a function for every row", file.read(folder .. "/modules/llm.each.html"))
      remove()
    end)
  end)
end
