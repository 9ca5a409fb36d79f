-- The short notation: what each of its forms stands for, and what is said of a slip.
local json = require("llm.core").json
local schema = require "llm.schema"

local function member(text) return schema.parse("x" .. text).properties.x end

describe("llm.schema.parse", function()
  it("makes an object whose members are required and the only ones", function()
    assert.same({
      type = "object", additionalProperties = false,
      required = { "sentiment", "confidence", "reason" },
      properties = {
        sentiment = { type = "string", enum = { "positive", "negative", "neutral" } },
        confidence = { type = "number", minimum = 0, maximum = 1 },
        reason = { type = "string" },
      },
    }, schema.parse "sentiment: positive|negative|neutral, confidence: number 0..1, reason")
  end)

  it("knows types, ranges, literals, unions, lists, groups and objects", function()
    for text, wanted in pairs {
      [": integer 1.."] = { type = "integer", minimum = 1 },
      [": integer 7"] = { type = "integer", minimum = 7, maximum = 7 },
      [": number ..-0.5"] = { type = "number", maximum = -0.5 },
      [": string 1..80"] = { type = "string", minLength = 1, maxLength = 80 },
      [": any"] = {},
      [": string[]"] = { type = "array", items = { type = "string" } },
      [": integer 0..9[2..4]"] = { type = "array", minItems = 2, maxItems = 4,
        items = { type = "integer", minimum = 0, maximum = 9 } },
      [": (low|high)[3]"] = { type = "array", minItems = 3, maxItems = 3,
        items = { type = "string", enum = { "low", "high" } } },
      [": 1|2.5"] = { enum = { 1, 2.5 } },
      [": good|null"] = { enum = { "good", json.null } },
      [": true"] = { enum = { true } },
      [': "very good"|bad'] = { type = "string", enum = { "very good", "bad" } },
      [": string|null"] = { anyOf = { { type = "string" }, { type = "null" } } },
      [": string|0"] = { anyOf = { { type = "string" }, { enum = { 0 } } } },
      [': number "in \\"USD\\""'] = { type = "number", description = 'in "USD"' },
      [' "why"'] = { type = "string", description = "why" },
    } do
      assert.same(wanted, member(text), text)
    end
    assert.same({ "a" }, schema.parse("a, b?: integer\n\n").required)
    local nested = schema.parse "items: {name, price: number 0.. \"in USD\"}[1..]\ntotal: number"
    assert.equal("in USD", nested.properties.items.items.properties.price.description)
    assert.same({ "items", "total" }, nested.required)
    assert.equal("array", schema.parse("{a, b: {c}[]}[]").type)
    assert.same({ "odd name", "größe" }, schema.parse('"odd name", größe: number').required)
  end)

  it("gives a schema that llm.schema takes", function()
    assert.is_true(schema.validate("mood: good|bad, n?: integer 1..5", { mood = "bad" }))
    assert.matches("expected a type", tostring(select(2, schema.validate("a:", {}))))
    assert.equal("/n must be at most 5, not 6", tostring(select(2,
      schema.validate("mood: good|bad, n?: integer 1..5", { mood = "bad", n = 6 }))))
  end)

  it("says what it expected, and at which character", function()
    for text, wanted in pairs {
      [""] = "expected a name at character 1, found the end",
      ["a b"] = 'expected a comma or the end at character 3, found "b"',
      ["a: {b: {c}"] = 'expected "}" at character 11, found the end',
      ["a, a"] = 'expected another name, this one is taken at character 4, found "a"',
      ["a: "] = "expected a type at character 4, found the end",
      ["a: integer 5..1"] = "expected a range that begins below its end at character 12",
      ["a: string .."] = "expected a number at character 11",
      ['a: "x'] = "expected a closing quote at character 6, found the end",
      ["a: x|"] = "expected a type at character 6",
      [("a: {"):rep(60)] = "expected no more than 50 levels",
    } do
      local ok, err = pcall(schema.parse, text)
      assert.is_false(ok)
      assert.equal("invalid_request", err.kind)
      assert.matches(wanted, tostring(err), 1, true)
    end
  end)
end)
