-- Arguments of scripts: read and explained from one description.
local llm = require "llm"

describe("llm.args", function()
  local spec = {
    usage = "greet [options] NAME...", about = "Greets.",
    { "model", "who greets", short = "m", value = "MODEL" },
    { "words", "how many words", short = "w", value = "N", default = 100 },
    { "max-cost", "in USD", value = "N", kind = "number" },
    { "json", "print JSON", short = "j" },
  }
  local printed, real_print, real_stderr

  before_each(function()
    printed, real_print, real_stderr = {}, print, io.stderr
    rawset(_G, "print", function(text) printed[#printed + 1] = text end)
    rawset(io, "stderr", { write = function(_, ...)
      printed[#printed + 1] = table.concat { ... }
    end })
  end)

  after_each(function()
    rawset(_G, "print", real_print)
    rawset(io, "stderr", real_stderr)
    assert.equal(0, llm.live())
  end)

  local function ended(...)
    local ok, err = pcall(...)
    assert.is_false(ok)
    return err.exit, table.concat(printed, "\n")
  end

  it("reads options, flags and the rest, in any order", function()
    assert.same({ "a", "b", words = 100 }, llm.args(spec, { "a", "b" }))
    assert.same({ "a", "b", words = 7, model = "x/y", json = true, max_cost = 0.5 },
      llm.args(spec, { "-m", "x/y", "a", "--words", "7", "--json", "b", "--max-cost=0.5" }))
    assert.same({ words = 3, model = "a=b" }, llm.args(spec, { "--words=3", "--model=a=b" }))
    assert.same({ words = 100, model = "" }, llm.args(spec, { "--model=" }))
    assert.same({ words = -5, model = "-x" }, llm.args(spec, { "-w", "-5", "-m", "-x" }))
    assert.same({ words = 2 }, llm.args(spec, { "-w", "1", "-w", "2" }))
  end)

  it("takes - and what follows -- for arguments", function()
    assert.same({ "-", "--json", "--", "-x", words = 100 },
      llm.args(spec, { "-", "--", "--json", "--", "-x" }))
  end)

  it("leaves the description as it was", function()
    llm.args(spec, { "-w", "7" })
    assert.equal(100, llm.args(spec, {}).words)
  end)

  it("prints help and ends well", function()
    for _, word in ipairs { "-h", "--help" } do
      printed = {}
      local code, text = ended(llm.args, spec, { "-m", "x", word, "--nonsense" })
      assert.equal(0, code)
      assert.matches("^usage: llmrun greet %[options%] NAME%.%.%.\n\nGreets%.\n", text)
      assert.matches("\n  %-m, %-%-model MODEL +who greets\n", text)
      assert.matches("\n      %-%-max%-cost N +in USD\n", text)
      assert.matches("\n  %-h, %-%-help +this text$", text)
    end
  end)

  it("ends with code 2 and one line for a wrong option", function()
    for _, case in ipairs {
      { { "--modle", "x" }, "unknown option %-%-modle, did you mean %-%-model%?" },
      { { "--wordz=5" }, "unknown option %-%-wordz, did you mean %-%-words%?" },
      { { "-x" }, "unknown option %-x" }, { { "--frobnicate-it" }, "unknown option [^,]+; try" },
      { { "-m" }, "%-m needs a value" }, { { "--words" }, "%-%-words needs a value" },
      { { "-w", "many" }, '%-%-words must be a number, not "many"' },
      { { "--max-cost=x" }, '%-%-max%-cost must be a number, not "x"' },
      -- A flag took any value and was set, to no matter what.
      { { "--json=no" }, "%-%-json takes no value" },
    } do
      printed = {}
      local code, text = ended(llm.args, spec, case[1])
      assert.equal(2, code)
      assert.matches("^llmrun: " .. case[2], text)
      assert.matches("^[^\n]*\n$", text)
    end
  end)

  describe("input", function()
    local path

    before_each(function()
      path = os.tmpname()
      local file = io.open(path, "w")
      file:write("one\n")
      file:close()
    end)

    after_each(function() os.remove(path) end)

    it("joins files", function()
      assert.equal("one\n\none\n", llm.input { path, path })
    end)

    it("ends with code 2 for a file that cannot be read, or is blank", function()
      local code, text = ended(llm.input, { "/nowhere/file" })
      assert.equal(2, code)
      assert.matches("^llmrun: /nowhere/file: No such file", text)
      printed = {}
      code, text = ended(llm.input, { "/" })
      assert.equal(2, code)
      assert.matches("^llmrun: ", text)
      printed = {}
      code, text = ended(llm.input, { "/dev/null" })
      assert.equal(2, code)
      assert.matches("/dev/null is empty", text)
    end)
  end)
end)
