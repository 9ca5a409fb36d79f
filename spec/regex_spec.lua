-- The binding; what matches and what is bounded is tests/regex_test.c's.
local regex = require("llm.core").regex

describe("llm.core.regex", function()
  it("tells whether a text holds a match", function()
    local digits = assert(regex.new "^\\d+$")
    assert.is_true(digits:matches "123")
    assert.is_false(digits:matches "12a")
    assert.is_true(assert(regex.new "a\0b"):matches "xa\0by")
  end)

  it("gives nil and a message for what is no pattern or no text, or takes too long", function()
    local none, message = regex.new "a("
    assert.is_nil(none)
    assert.matches("at byte 3", message)
    local slow = assert(regex.new "^(a+)+$")
    assert.same({ n = 2, nil, "the pattern takes too long on this text" },
      { n = 2, slow:matches(("a"):rep(100) .. "!") })
    assert.matches("not UTF%-8", select(2, slow:matches "\255"))
  end)

  it("is closed once and for all", function()
    local any = assert(regex.new ".")
    any:close()
    any:close()
    assert.has_error(function() any:matches "a" end)
    assert.has_error(function() any.matches({}, "a") end)
    assert.has_error(function() regex.new {} end)
  end)
end)
