-- Messages: what stands for a conversation, and what does not.
local llm = require "llm"
local message = require "llm.message"

describe("llm.message", function()
  teardown(function() assert.equal(0, llm.live()) end)

  local function refused(messages)
    local ok, err = pcall(message.normalise, messages)
    assert.is_false(ok)
    assert.equal("invalid_request", err.kind)
    return err.message
  end

  it("takes a text for one message of the user, and one message for a list", function()
    local user = { role = "user", content = "Hi" }
    assert.same({ user }, message.normalise("Hi"))
    assert.same({ user }, message.normalise(user))
    local list = { user, { role = "assistant", content = "Hello" }, user }
    assert.same(list, message.normalise(list))
  end)

  it("refuses what is no conversation", function()
    for _, wrong in ipairs { {}, 42, true, print } do
      assert.matches("expected a text or a non%-empty list", refused(wrong))
    end
    assert.matches("expected a text", refused(nil))
    assert.matches("messages%[2%]: a message must be a table .*not a string",
      refused { { role = "user", content = "Hi" }, "there" })
  end)

  it("refuses blank content, and says which message it is", function()
    assert.matches("messages%[1%]: content must not be blank", refused(""))
    assert.matches("messages%[1%]: content must not be blank", refused(" \n\t"))
    assert.matches("messages%[2%]: content must not be blank", refused {
      { role = "user", content = "Hi" }, { role = "assistant", content = "" },
    })
    assert.matches("content must be a string or a list of parts, not a nil",
      refused { { role = "user" } })
    assert.matches("not a number", refused { role = "user", content = 1 })
  end)

  it("refuses an unknown role and names the nearest", function()
    assert.matches('not "assitant"; did you mean "assistant"%?',
      refused { role = "assitant", content = "Hi" })
    assert.matches('not "nil"', refused { { content = "Hi" } })
  end)

  it("allows the empty contents that occur: tool calls and a tool's silence", function()
    local call = { id = "1", name = "f", arguments = "{}" }
    assert.equal(3, #message.normalise {
      { role = "user", content = "Hi" },
      { role = "assistant", content = "", tool_calls = { call } },
      { role = "tool", content = "", tool_call_id = "1" },
    })
    assert.equal(1, #message.normalise { { role = "assistant", tool_calls = { call } } })
  end)

  it("checks parts", function()
    local parts = { { type = "text", text = "What is " }, { type = "image", url = "https://x" },
      { type = "text", text = "this?" } }
    assert.equal(1, #message.normalise { role = "user", content = parts })
    assert.equal("What is this?", message.text_of(parts))
    assert.matches("must not be an empty list", refused { role = "user", content = {} })
    assert.matches("part 2 must be a table with a type",
      refused { role = "user", content = { { type = "text", text = "a" }, "b" } })
    assert.matches("part 1 must be a table with a type",
      refused { role = "user", content = { { text = "a" } } })
  end)

  it("reads the text of any content", function()
    assert.equal("Hi", message.text_of("Hi"))
    assert.equal("", message.text_of(nil))
    assert.equal("", message.text_of {})
  end)

  it("builds conversations", function()
    assert.same({
      { role = "system", content = "Be brief." }, { role = "user", content = "Hi" },
      { role = "assistant", content = "Hello!" }, { role = "user", content = "Who are you?" },
    }, llm.build_conversation("Be brief.", { "Hi", "Hello!", "Who are you?" }))
    assert.same({ { role = "user", content = "Hi" } }, llm.build_conversation(nil, { "Hi" }))
    assert.has_error(function() llm.build_conversation(nil, {}) end)
    assert.has_error(function() llm.build_conversation("Be brief.", { "Hi", " " }) end)
  end)
end)
