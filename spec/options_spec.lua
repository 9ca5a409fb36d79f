-- Options: an unknown name is answered with the nearest known one, a wrong type with the right one.
local llm = require "llm"
local options = require "llm.options"

describe("llm.options", function()
  teardown(function() assert.equal(0, llm.live()) end)

  local known = {
    temperature = "number", max_tokens = "number", stop = "string|table", stream = "boolean",
    anything = "any", callback = "function",
  }

  local function message_of(opts)
    local ok, err = pcall(options.check, opts, known, "here")
    assert.is_false(ok)
    assert.equal("invalid_request", err.kind)
    return err.message
  end

  it("returns what is right, and an empty table for nothing", function()
    local opts = { temperature = 0, stop = "x", stream = false, anything = print, callback = print }
    assert.equal(opts, options.check(opts, known, "here"))
    assert.same({}, options.check(nil, known, "here"))
    assert.same({ stop = { "x" } }, options.check({ stop = { "x" } }, known, "here"))
  end)

  it("names the nearest known option", function()
    local slips = {
      temprature = "temperature", Temperature = "temperature", max_token = "max_tokens",
      maxTokens = "max_tokens", stops = "stop", steam = "stream",
    }
    for slip, meant in pairs(slips) do
      assert.equal(('here: unknown option "%s"; did you mean "%s"?'):format(slip, meant),
        message_of { [slip] = 1 })
    end
  end)

  it("names none where none is near", function()
    assert.equal('here: unknown option "frobnicate"', message_of { frobnicate = 1 })
    assert.equal('here: unknown option "1"', message_of { "positional" })
    assert.is_nil(options.nearest("x", {}))
  end)

  it("names the same one every time, whatever the order of the table", function()
    assert.equal("aa", options.nearest("ab", { aa = true, ac = true, ad = true }))
    assert.equal("ab", options.nearest("ab", { aa = true, ab = true, ac = true }))
  end)

  it("says which type was expected", function()
    assert.equal("here: temperature must be a number, not a string",
      message_of { temperature = "1" })
    assert.equal("here: stop must be a string or a table, not a boolean",
      message_of { stop = true })
    assert.equal("here: options must be a table, not a string", message_of("temperature"))
  end)

  it("lets no option pass for a type that has it as a part of its name", function()
    assert.has_error(function()
      options.check({ stop = 1 }, { stop = "string|tablet" }, "here")
    end)
  end)
end)
