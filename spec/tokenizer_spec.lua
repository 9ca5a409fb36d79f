local core = require("llm.core")
local tokens = require("llm.tokens")
local base64 = require("spec.support.base64")

local function cases(path)
  local file = io.open(path)
  local list = {}
  if not file then return list end
  for line in file:lines() do
    local case = core.json.decode(line)
    list[#list + 1] = { text = base64.decode(case.text_b64), ids = case.ids }
  end
  file:close()
  return list
end

local function check(tokenizer, case)
  local ids = tokenizer:encode(case.text)
  assert.equal(table.concat(case.ids, " "), table.concat(ids, " "))
  assert.equal(#case.ids, tokenizer:count(case.text))
  local back = tokenizer:decode(ids)
  if not back:find("\239\191\189", 1, true) then assert.equal(case.text, back) end -- was no UTF-8
end

describe("tokenizer", function()
  local o200k = tokens.tokenizer("o200k_base")

  for _, name in ipairs({ "o200k_base", "cl100k_base", "p50k_base", "r50k_base" }) do
    it("gives the ids of npm tiktoken for " .. name, function()
      local tokenizer = tokens.tokenizer(name)
      local own = cases("spec/fixtures/tokens/" .. name .. ".jsonl")
      assert.is_true(#own > 30)
      for _, case in ipairs(own) do check(tokenizer, case) end
      -- more of them, where they are kept beside the project
      local short = name:gsub("_base", "")
      for _, case in ipairs(cases("../shared/cases/tokens_" .. short .. ".jsonl")) do
        check(tokenizer, case)
      end
    end)
  end

  it("knows its vocabularies by name and refuses others", function()
    local sizes = {
      o200k_base = 200019, o200k_harmony = 201088, cl100k_base = 100277, p50k_base = 50281,
      r50k_base = 50257,
    }
    for name, size in pairs(sizes) do
      local tokenizer = core.tokenizer.open(name)
      assert.equal(name, tokenizer:name())
      assert.equal(size, tokenizer:n_vocab())
      tokenizer:close()
      tokenizer:close()
      assert.has_error(function() tokenizer:count("") end)
    end
    local tokenizer, message = core.tokenizer.open("o200k")
    assert.is_nil(tokenizer)
    assert.matches("o200k", message)
  end)

  it("makes special tokens only of names that are allowed", function()
    local text = "a<|endoftext|>b<|endofprompt|>"
    for _, id in ipairs(o200k:encode(text)) do assert.is_true(id < 199998) end
    assert.same({ 64, 199999, 65, 200018 }, o200k:encode(text, { allowed_special = "all" }))
    local some = o200k:encode(text, { allowed_special = { "<|endoftext|>" } })
    assert.same({ 64, 199999, 65 }, { some[1], some[2], some[3] })
    assert.is_true(#some > 4)
    assert.same(o200k:encode(text), o200k:encode(text, { allowed_special = {} }))
    assert.has_error(function() o200k:encode(text, { allowed_special = { "<|start|>" } }) end)
    assert.has_error(function() o200k:encode(text, { special = "all" }) end)
  end)

  it("speaks harmony", function()
    local harmony = tokens.tokenizer("gpt-oss-20b")
    assert.equal("o200k_harmony", harmony:name())
    local text = "<|start|>user<|message|>Hi<|end|><|reserved_200500|><|call|>"
    local ids = harmony:encode(text, { allowed_special = "all" })
    assert.same({ 200006, 1428, 200008, 12194, 200007, 200500, 200012 }, ids)
    assert.equal(text, harmony:decode(ids))
    local odd = "<|reserved_0200500|><|reserved_200006|><|reserved_201088|><|<|start|>"
    ids = harmony:encode(odd, { allowed_special = "all" })
    assert.equal(200006, ids[#ids])
    for i = 1, #ids - 1 do assert.is_true(ids[i] < 199998) end
  end)

  it("counts invalid UTF-8 as its replacement", function()
    assert.same(o200k:encode("a\239\191\189b\239\191\189"), o200k:encode("a\255b\228\184"))
    assert.equal(o200k:count("\239\191\189"), o200k:count("\237"))
  end)

  it("refuses ids that it does not have", function()
    assert.equal("", o200k:decode({}))
    for _, bad in ipairs({ 199998, 200000, 200019, -1, 1.5, 2 ^ 53, "x", false }) do
      assert.has_error(function() o200k:decode({ 1, bad }) end)
    end
    assert.equal("<|endoftext|>", tokens.tokenizer("p50k_base"):decode({ 50256 }))
  end)

  it("stops counting behind the limit", function()
    local text = ("word "):rep(1000)
    assert.equal(1001, o200k:count(text))
    assert.equal(1001, o200k:count(text, 1001))
    assert.equal(1001, o200k:count(text, 1000))
    assert.equal(6, o200k:count(text, 5))
    assert.equal(1, o200k:count(text, 0))
    assert.equal(0, o200k:count("", 0))
  end)

  it("truncates between characters", function()
    local text = "Füße 👩‍👩‍👧 中文字 hello"
    for n = 0, o200k:count(text) + 1 do
      local start = o200k:truncate(text, n)
      assert.equal(start, text:sub(1, #start))
      assert.is_true(o200k:count(start) <= n)
      local rest = text:byte(#start + 1)
      assert.is_true(rest == nil or rest < 128 or rest >= 192)
    end
    assert.equal(text, o200k:truncate(text, 1e9))
    assert.equal("a\255", o200k:truncate("a\255 b", 2))
  end)

  it("takes time in proportion to hostile texts", function()
    local function seconds(text)
      local before = os.clock()
      o200k:count(text)
      return os.clock() - before
    end
    for _, unit in ipairs({ "x", " ", "\n", "^", "qz", "中" }) do
      assert.is_true(seconds(unit:rep(math.floor(1000000 / #unit))) < 1)
    end
  end)
end)

describe("count_tokens", function()
  it("knows the vocabulary of a model by the whole parts of its name", function()
    local known = {
      ["gpt-4o"] = "o200k_base", ["gpt-4o-mini-2024-07-18"] = "o200k_base",
      ["gpt-4.1-mini"] = "o200k_base", ["gpt-5-nano"] = "o200k_base", ["o3-pro"] = "o200k_base",
      ["chatgpt-4o-latest"] = "o200k_base",
      ["gpt-4"] = "cl100k_base", ["gpt-4-0613"] = "cl100k_base", ["gpt-4-turbo"] = "cl100k_base",
      ["openai/gpt-3.5-turbo"] = "cl100k_base", ["ft:gpt-4o-2024-08-06:org::id"] = "o200k_base",
      ["davinci-002"] = "cl100k_base", ["davinci"] = "r50k_base",
      ["text-davinci-003"] = "p50k_base",
    }
    for model, vocabulary in pairs(known) do
      assert.equal(vocabulary, tokens.tokenizer(model):name())
    end
    for _, model in ipairs({ "gpt-4x", "gpt-6", "claude-sonnet-4", "gemini-2.5-pro", "gpt", "" }) do
      local tokenizer, message = tokens.tokenizer(model)
      assert.is_nil(tokenizer)
      assert.matches("public", message)
    end
  end)

  it("is exact for a text of a known model and says so", function()
    assert.same({ 3, true }, { tokens.count_tokens("Hello, world", "gpt-4o") })
    local n, exact = tokens.count_tokens("The quick fox jumps over the lazy dog.", "claude-opus")
    assert.is_true(n >= 8 and n <= 11)
    assert.is_false(exact)
    assert.same({ 0, false }, { tokens.count_tokens("", "claude-opus") })
  end)

  -- OpenAI's cookbook counts this conversation at 129 for gpt-4-0613
  it("frames messages as OpenAI documents", function()
    local function from(name, text) return { role = "system", name = name, content = text } end
    local messages = {
      from(nil, "You are a helpful, pattern-following assistant that translates corporate " ..
        "jargon into plain English."),
      from("example_user", "New synergies will help drive top-line growth."),
      from("example_assistant", "Things working well together will increase revenue."),
      from("example_user", "Let's circle back when we have more bandwidth to touch base on " ..
        "opportunities for increased leverage."),
      from("example_assistant", "Let's talk later when we're less busy about how to do better."),
      { role = "user", content = "This late pivot means we don't have time to boil the ocean " ..
        "for the client deliverable." },
    }
    assert.same({ 129, true }, { tokens.count_tokens(messages, "gpt-4-0613") })
    assert.same({ 8, true }, { tokens.count_tokens({ role = "user", content = "Hi" }, "gpt-4o") })
    local parts = { { type = "text", text = "Hi" } }
    assert.same({ 8, true }, { tokens.count_tokens({ role = "user", content = parts }, "gpt-4o") })
    parts[2] = { type = "image", url = "x" }
    assert.same({ 8, false }, { tokens.count_tokens({ role = "user", content = parts }, "gpt-4o") })
    local call = { role = "assistant", tool_calls = { { name = "f", arguments = { x = 1 } } } }
    local n, exact = tokens.count_tokens({ call }, "gpt-4o")
    assert.is_true(n > 10)
    assert.is_false(exact)
  end)

  it("keeps the specification's rule beside it", function()
    assert.equal(2, tokens.estimate_tokens("four chars"))
    assert.equal(1, tokens.estimate_tokens("春眠不觉"))
    assert.equal(0, tokens.estimate_tokens(""))
    assert.has_error(function() core.tokenizer.estimate("x", "claude") end)
  end)
end)
