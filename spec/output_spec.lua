-- Output: what llm.write does to the bytes of a model. On a terminal: spec/cli_spec.lua.
local core = require "llm.core"
local llm = require "llm"

describe("llm.output", function()
  local real, stand_in, written

  before_each(function()
    real, written = io.stdout, {}
    stand_in = {
      write = function(self, text)
        written[#written + 1] = text
        return self
      end,
      flush = function(self) return self end,
    }
    rawset(io, "stdout", stand_in)
  end)

  after_each(function()
    rawset(io, "stdout", real)
    assert.equal(0, llm.live())
  end)

  it("writes strings, numbers and whatever has a text", function()
    local response = setmetatable({}, { __tostring = function() return "content" end })
    llm.write("a", 1, response)
    assert.equal("a1content", table.concat(written))
    llm.write()
    llm.write(nil)
    assert.equal("a1contentnil", table.concat(written))
  end)

  it("raises when the output cannot be written", function()
    local function problem()
      local ok, err = pcall(llm.write, "x")
      assert.is_false(ok)
      return tostring(err)
    end
    stand_in.write = function() return nil, "No space left on device" end
    assert.equal("cannot write the output: No space left on device", problem())
    stand_in.write = function(self) return self end
    stand_in.flush = function() return nil, "Broken pipe" end
    assert.equal("cannot write the output: Broken pipe", problem())
  end)

  it("neutralises what a terminal would obey, and nothing else", function()
    local safe = core.system.neutralise
    assert.equal("tab\tline\nÄ界🙂", safe("tab\tline\nÄ界🙂"))
    for _, bad in ipairs { "\27[2J", "\27]8;;http://x\27\\", "\27]52;c;aGk=\7", "\27[6n", "\r",
      "\8", "\0", "\127", "\194\155", "\194\144", "\226\128\174", "\226\129\166" } do
      local text = safe("a" .. bad .. "b")
      assert.is_nil(text:find("[%z\1-\8\11-\31\127]"), ("%q"):format(bad))
      assert.is_nil(text:find("\194[\128-\159]"), ("%q"):format(bad))
      assert.is_nil(text:find("\226\128\174", 1, true))
      assert.is_nil(text:find("\226\129\166", 1, true))
      assert.equal("a", text:sub(1, 1))
      assert.equal("b", text:sub(-1))
    end
    assert.equal("", safe(""))
  end)
end)
