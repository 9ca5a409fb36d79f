-- Texts in pieces: nothing is lost, no piece is longer than it may be, borders are where people
-- would cut.
local llm = require "llm"

describe("llm.split", function()
  local split, count = llm.split, llm.count_tokens

  after_each(function() assert.equal(0, llm.live()) end)

  it("cuts between paragraphs, else lines, else sentences, else words", function()
    local function pieces(text, tokens)
      return split(text, { model = "gpt-4o", tokens = tokens })
    end
    assert.same({ "One two.\nThree.\n\n", "Four five six." },
      pieces("One two.\nThree.\n\nFour five six.", 8))
    assert.same({ "One two three.\n", "Four five six." },
      pieces("One two three.\nFour five six.", 5))
    assert.same({ "One two. ", "Three four! ", "Five?" }, pieces("One two. Three four! Five?", 4))
    assert.same({ "one ", "two ", "three four" }, pieces("one two three four", 3))
    assert.same({ "天气很好。", "我们走吧。" }, pieces("天气很好。我们走吧。", 6))
  end)

  it("leaves alone what fits, and has no piece of nothing", function()
    assert.same({ "One.\n\nTwo." }, split("One.\n\nTwo."))
    assert.same({}, split(""))
  end)

  -- A small generator of ugly texts, the same in every run.
  local parts = { "word", " ", "\n", "\n\n  ", ".", "! ", "。", "！", "漢字仮名", "\t", "éü", "🙂",
    "x9-_", "\255\254", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "'s",
    "1234567", "{}", "```\n", "\r\n" }
  local function ugly(seed)
    local out = {}
    for i = 1, 400 do
      seed = (seed * 16807) % 2147483647
      out[i] = parts[seed % #parts + 1]
    end
    return table.concat(out)
  end

  it("loses nothing and keeps to the tokens, exactly where they are known", function()
    for seed = 1, 40 do
      local text = ugly(seed)
      for _, model in ipairs { "gpt-4o", "gpt-4" } do
        for _, tokens in ipairs { 20, 64, 200 } do
          local pieces = split(text, { model = model, tokens = tokens })
          assert.equal(text, table.concat(pieces))
          for _, piece in ipairs(pieces) do
            local n, exact = count(piece, model)
            assert.is_true(exact)
            assert.is_true(n <= tokens, n .. " of " .. tokens)
          end
        end
      end
      assert.equal(text, table.concat(split(text, { model = "unknown", tokens = 50 })))
    end
  end)

  it("takes what the model reads, with a reserve", function()
    assert.equal(128000, llm.window "gpt-4o")
    assert.equal(128000, llm.window "openai/gpt-4o")
    assert.equal(4096, llm.window "nobody-knows-me")
    assert.equal(4096, llm.window())
    local text = ("word "):rep(30000)
    assert.equal(1, #split(text, { model = "gpt-4o" }))
    assert.is_true(#split(text) > 1)
  end)

  it("cuts a long text without a border, between characters", function()
    local pieces = split(("字"):rep(3000), { model = "gpt-4o", tokens = 500 })
    for _, piece in ipairs(pieces) do assert.equal(0, #piece % 3) end
    assert.equal(9000, #table.concat(pieces))
  end)
end)
