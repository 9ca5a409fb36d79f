-- JSON Schema 2020-12: the official cases where they are there, and what those do not look at.
local json = require("llm.core").json
local schema = require "llm.schema"

local function problem_of(wanted, value, opts)
  local ok, errors = schema.validate(wanted, value, opts)
  assert.is_nil(ok)
  return tostring(errors), errors
end

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

describe("llm.schema", function()
  it("agrees with every case of ../shared/cases/json_schema_cases.jsonl", function()
    local text = read("../shared/cases/json_schema_cases.jsonl")
    if not text then return print("json_schema_cases.jsonl is not there: passed over") end
    for line in text:gmatch("[^\n]+") do
      local case = assert(json.decode(line))
      local ok, errors = schema.validate(case.schema, case.data)
      assert.equal(case.valid, ok == true,
        case.group .. ": " .. case.test .. ": " .. tostring(errors))
    end
  end)

  -- Debian's libtest-json-schema-acceptance-perl carries the JSON-Schema-Test-Suite.
  local SUITE = "/usr/share/perl5/auto/share/dist/Test-JSON-Schema-Acceptance/"

  local function names_in(folder)
    local pipe = io.popen("cd '" .. folder .. "' 2>/dev/null && find . -name '*.json'")
    local names = {}
    for name in pipe:lines() do names[#names + 1] = name:sub(3) end
    pipe:close()
    return names
  end

  local function suite_documents()
    local documents = {}
    for _, name in ipairs(names_in(SUITE .. "remotes")) do
      documents["http://localhost:1234/" .. name] = json.decode(read(SUITE .. "remotes/" .. name))
    end
    return documents
  end

  -- What is optional, and not so here: older drafts, and the rules of names in all scripts.
  local passed_over = { ["optional/cross-draft.json"] = true,
    ["optional/dependencies-compatibility.json"] = true,
    ["optional/format/idn-hostname.json"] = true,
    ["optional/ecmascript-regex.json: \\a is not an ECMA 262 control escape"] = true }

  it("agrees with the JSON-Schema-Test-Suite", function()
    local folder = SUITE .. "tests/draft2020-12/"
    if not read(folder .. "ref.json") then
      return print("libtest-json-schema-acceptance-perl is not there: passed over")
    end
    local documents, count = suite_documents(), 0
    for _, name in ipairs(names_in(folder)) do
      local groups = passed_over[name] and {} or json.decode(read(folder .. name))
      local opts = { documents = documents, formats = name:find("^optional/format/") ~= nil }
      for _, group in ipairs(groups) do
        local is_tested = not passed_over[name .. ": " .. group.description]
        for _, test in ipairs(is_tested and group.tests or {}) do
          local ok, errors = schema.validate(group.schema, test.data, opts)
          count = count + 1
          assert.equal(test.valid, ok == true, name .. ": " .. group.description .. ": " ..
            test.description .. ": " .. tostring(errors))
        end
      end
    end
    assert.is_true(count > 1600)
  end)

  it("tells in time that a long text has no format", function()
    local start_time = os.clock()
    for name in pairs(require "llm.schema.format") do
      for _, unit in ipairs { "a", "1", ":", "1.", "%", "{", "~", '"@', "\\", "1Y", "/" } do
        for _, head in ipairs { "", "P", "http://", '"', "::" } do
          schema.validate({ format = name }, head .. unit:rep(20000), { formats = true })
        end
      end
    end
    assert.is_true(os.clock() - start_time < 5)
  end)

  it("tells where and what, in order, and at most twenty things", function()
    local wanted = { type = "object", required = { "a" }, properties = {
      b = { type = "array", items = { properties = { ["c/d"] = { type = "integer" } } } },
      e = { enum = { "x", "y" } } } }
    local text, errors = problem_of(wanted,
      { b = { {}, { ["c/d"] = 1.5 }, { ["c/d"] = 2 } }, e = "z" })
    assert.equal('the value lacks the property "a"; /b/1/c~1d must be integer, not number; ' ..
      '/e must be one of "x", "y"', text)
    assert.equal("/b/1/c~1d", errors[2].path)
    assert.equal("#/properties/b/items/properties/c~1d/type", errors[2].schema_path)
    local many = {}
    for i = 1, 100 do many[i] = i end
    local _, list = problem_of({ items = { type = "string" } }, many)
    assert.equal(20, #list)
  end)

  it("says why none of the choices fits", function()
    local text = problem_of({ anyOf = { { type = "string" }, { minimum = 5 } } }, 3)
    assert.equal("the value fits none of the 2 choices; the value must be string, not number; " ..
      "the value must be at least 5, not 3", text)
  end)

  it("takes values as llm.json reads them, and as Lua writes them", function()
    assert.is_true(schema.validate({ type = "null" }, json.null))
    assert.is_true(schema.validate({ type = "array", maxItems = 0 }, json.empty_array))
    assert.is_true(schema.validate({ type = "array" }, json.decode "[]"))
    assert.is_true(schema.validate({ type = "array" }, { 1 }))
    assert.is_true(schema.validate({ type = "object" }, {}))
    assert.is_true(schema.validate({ type = "integer" }, 1.0))
    assert.is_true(schema.validate({ enum = { 1 } }, 1.0))
    assert.matches("is no JSON value but a function", problem_of({}, print))
    assert.matches("is no JSON value but a nil", problem_of({}, nil))
  end)

  it("refuses a schema that makes no sense, and says where", function()
    for _, case in ipairs {
      { { type = "text" }, "#/type is no type: text" },
      { { properties = { a = { minimum = "1" } } }, "#/properties/a/minimum must be a number" },
      { { properties = { a = { pattern = "(" } } }, "#/properties/a/pattern is no pattern" },
      { { items = { { type = "string" } } }, "a list of them is prefixItems" },
      { { ["$ref"] = "#/$defs/none" }, "leads to no schema" },
      { { ["$ref"] = "https://example.com/x" }, "nothing is fetched, give it in documents" },
      { { minLength = -1 }, "#/minLength must be an integer from 0" },
      { { allOf = 1 }, "#/allOf must be a table" },
    } do
      local validator, err = schema.compile(case[1])
      assert.is_nil(validator)
      assert.equal("invalid_request", err.kind)
      assert.matches(case[2], tostring(err), 1, true)
      assert.matches(case[2], problem_of(case[1], 1), 1, true)
    end
    assert.has_error(function() schema.compile(7) end)
    local circle = {}
    circle.items = circle
    assert.matches("holds itself", tostring(select(2, schema.compile(circle))))
  end)

  it("follows references to documents that it is given, and to the metaschema", function()
    local documents = { ["https://example.com/x"] = { ["$defs"] = { n = { type = "number" } } } }
    local wanted = { ["$ref"] = "https://example.com/x#/$defs/n" }
    assert.is_true(schema.validate(wanted, 1, { documents = documents }))
    assert.matches("must be number", problem_of(wanted, "1", { documents = documents }))
    local meta = { ["$ref"] = "https://json-schema.org/draft/2020-12/schema" }
    assert.is_true(schema.validate(meta, { type = "object" }))
    assert.matches("/minLength must be at least 0", problem_of(meta, { minLength = -1 }))
  end)

  it("ends in time whatever it is given", function()
    local start = os.clock()
    assert.matches("longer than 32768 bytes", problem_of({ pattern = ("a"):rep(2 ^ 20) }, "x"))
    local strings = {}
    for i = 1, 100 do strings[i] = ("a"):rep(100000) .. "!" end
    assert.matches("takes too long", problem_of({ items = { pattern = "^(a+)+$" } }, strings))
    local deep, value = {}, {}
    for _ = 1, 100000 do deep, value = { ["not"] = deep }, { a = value } end
    assert.matches("nested deeper than 200 levels", problem_of(deep, 1))
    local tree = { properties = { a = { ["$ref"] = "#" } } }
    assert.matches("nested too deep", problem_of(tree, value))
    assert.matches("nested deeper", problem_of({ uniqueItems = true }, { value }))
    assert.matches("nested too deep", problem_of({ ["$ref"] = "#" }, 1))
    local defs = { d40 = {} }
    for i = 0, 39 do
      local function to() return { ["$ref"] = "#/$defs/d" .. i + 1 } end
      defs["d" .. i] = { allOf = { to(), to() } }
    end
    assert.matches("more work than", problem_of({ ["$defs"] = defs, ["$ref"] = "#/$defs/d0" }, 1))
    assert.is_true(os.clock() - start < 10)
  end)

  it("asserts formats when asked to", function()
    for name, cases in pairs {
      date = { { "2024-02-29", "2026-11-23" }, { "2023-02-29", "2026-13-01", "2026-1-1" } },
      time = { { "23:59:60Z", "12:00:00.5+01:00" }, { "12:00:60Z", "24:00:00Z", "12:00:00" } },
      ["date-time"] = { { "2026-11-23T12:00:00Z" }, { "2026-11-23 1:00", "2026-02-30T00:00:00Z" } },
      ipv4 = { { "127.0.0.1" }, { "256.0.0.1", "1.2.3", "01.2.3.4" } },
      ipv6 = { { "::1", "1::8", "::ffff:1.2.3.4" }, { "1::2::3", "12345::", ":1" } },
      hostname = { { "example.com" }, { "-a.com", "a..b" } },
      email = { { "a.b@example.com" }, { "a", "a@", ".a@b.c", "a b@c" } },
      uri = { { "https://example.com/?q#f" }, { "/a", "a b:c" } },
      ["uri-reference"] = { { "/a/b" }, { "a b", "%zz" } },
      uuid = { { "2eb8aa08-aa98-11ea-b4aa-73b441d16380" }, { "2eb8aa08" } },
    } do
      for _, text in ipairs(cases[1]) do
        assert.is_true(schema.validate({ format = name }, text, { formats = true }), name .. text)
      end
      for _, text in ipairs(cases[2]) do
        assert.is_nil(schema.validate({ format = name }, text, { formats = true }), name .. text)
        assert.is_true(schema.validate({ format = name }, text))
      end
    end
  end)

  it("reads ECMA's patterns, with the long names of Unicode's categories", function()
    assert.is_true(schema.validate({ pattern = "^\\p{Letter}+$" }, "πé"))
    assert.is_nil(schema.validate({ pattern = "^\\p{Letter}+$" }, "1"))
    assert.is_true(schema.validate({ pattern = "^\\p{Script=Greek}$" }, "π"))
    assert.is_nil(schema.validate({ pattern = "^abc$" }, "abc\n"))
    for _, space in ipairs { " ", "\t", "\v", "\194\160", "\226\128\169", "\239\187\191" } do
      assert.is_true(schema.validate({ pattern = "^\\s[\\s\\d]\\\\s$" }, space .. space .. "\\s"))
      assert.is_nil(schema.validate({ pattern = "\\S" }, space))
    end
    assert.is_nil(schema.validate({ pattern = "[]" }, "]"))
  end)
end)
