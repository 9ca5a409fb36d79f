local json = require("llm.core").json
local base64 = require("spec.support.base64")
local cjson = require("cjson")

local math_type = rawget(math, "type") -- from Lua 5.3 on
local function is_integer(n)
  return math_type == nil or math_type(n) == "integer"
end

describe("json.encode", function()
  it("writes keys in the order of their bytes and nothing that is not needed", function()
    local value = {b = 1, a = {true, false, json.null}, ["a b"] = "x", A = "/", ["é"] = "é"}
    assert.equal('{"A":"/","a":[true,false,null],"a b":"x","b":1,"é":"é"}', json.encode(value))
    local many, expected = {}, {}
    for i = 1, 300 do
      many[("%03d"):format(i * 7 % 300)] = i
      expected[i] = ('"%03d"'):format(i - 1)
    end
    local keys = {}
    for key in json.encode(many):gmatch('"%d+"') do keys[#keys + 1] = key end
    assert.same(expected, keys)
    assert.equal('{"a":1,"aa":2,"ab":3,"b":4}', json.encode{b = 4, ab = 3, aa = 2, a = 1})
  end)

  it("tells arrays from objects", function()
    assert.equal("{}", json.encode{})
    assert.equal("[]", json.encode(json.empty_array))
    assert.equal("[]", json.encode(setmetatable({}, json.array_mt)))
    assert.equal("{}", json.encode(setmetatable({}, {})))
    local backwards = {}
    for i = 5, 1, -1 do backwards[i] = i end
    assert.equal("[1,2,3,4,5]", json.encode(backwards))
    assert.equal("[1,2]", json.encode(setmetatable({1, 2}, json.array_mt)))
    assert.equal('{"a":[],"b":{}}', json.encode{a = json.empty_array, b = {}})
  end)

  it("writes numbers so that they come back", function()
    assert.equal("[0,-1,42]", json.encode{0, -1, 42})
    assert.equal("[0.7,-0.25,0.30000000000000004,1e+300,-0.0]",
      json.encode{0.7, -0.25, 0.1 + 0.2, 1e300, -1 / math.huge})
    assert.equal(math_type and "2.0" or "2", json.encode(4 / 2))
    assert.equal("9007199254740991", json.encode(9007199254740991))
    if math_type then
      assert.equal("-9223372036854775808", json.encode(-9223372036854775807 - 1))
      assert.equal("9007199254740993", json.encode(9007199254740993))
    end
  end)

  it("keeps NUL, escapes controls, repairs invalid UTF-8", function()
    assert.equal([["a\u0000\u001f\n\"\\]] .. "\127é\239\191\189" .. '"',
      json.encode("a\0\31\n\"\\\127é\255"))
    assert.equal('{"\\u0000":1}', json.encode{["\0"] = 1})
  end)

  it("raises what JSON cannot say, and where it stands", function()
    local loop = {}
    loop.next = loop
    local cases = {
      {{messages = {{}, {content = print}}}, "messages[2].content: cannot encode a function"},
      {{{coroutine.create(print)}}, "[1][1]: cannot encode a thread"},
      {{a = {b = io.stdout}}, "a.b: cannot encode a userdata"},
      {{temperature = 0 / 0}, "temperature: cannot encode a NaN or an infinity"},
      {{n = {1, -math.huge}}, "n[2]: cannot encode a NaN or an infinity"},
      {nil, "cannot encode nil"},
      {{1, 2, x = 3}, "cannot encode the key 'x' of an array"},
      {{a = {x = 1, [10] = 2}}, "a: cannot encode the key 10 of an "},
      {{[1.5] = 1}, "cannot encode the key 1.5 of an array"},
      {{[0] = 1}, "cannot encode the key 0 of an array"},
      {{[true] = 1}, "cannot encode the key of type boolean of a table"},
      {setmetatable({x = 1, y = print}, json.array_mt), "y: cannot encode a function"},
      {loop, "nested deeper than 512 tables, or a cycle"},
    }
    for i = 1, #cases do
      local ok, message = pcall(json.encode, cases[i][1])
      assert.is_false(ok)
      assert.truthy(message:find(cases[i][2], 1, true), message)
    end
    assert.has_error(function() json.encode({1, nil, 3, nil, 5}) end)
    assert.has_error(function() json.encode() end)
    assert.equal("[1]", json.encode{1})
  end)

  it("nests 512 tables and no more", function()
    local value = {}
    for _ = 2, 512 do value = {value} end
    assert.equal(("["):rep(511) .. "{}" .. ("]"):rep(511), json.encode(value))
    assert.has_error(function() json.encode{value} end)
  end)

  it("ignores metamethods", function()
    local hostile = setmetatable({a = 1}, {
      __index = error, __len = error, __pairs = error, __tostring = error,
    })
    assert.equal('{"a":1}', json.encode(hostile))
  end)
end)

describe("json.decode", function()
  it("keeps integers, doubles, null and []", function()
    local value = json.decode('{"i":42,"d":1.5,"z":null,"a":[],"o":{},"big":9007199254740993}')
    assert.equal(42, value.i)
    assert.is_true(is_integer(value.i))
    assert.equal(1.5, value.d)
    assert.equal(json.null, value.z)
    assert.equal(cjson.null, value.z)
    assert.equal(json.array_mt, getmetatable(value.a))
    assert.is_nil(getmetatable(value.o))
    if math_type then
      assert.equal("9007199254740993", ("%d"):format(value.big))
      assert.equal("float", math_type(json.decode("1.0")))
      assert.equal("float", math_type(json.decode("9223372036854775808")))
    end
    assert.equal(-math.huge, 1 / json.decode("-0"))
    local text = '{"a":[],"b":[{}],"c":[[],null,{"d":[]}]}'
    assert.equal(text, json.encode(json.decode(text)))
  end)

  it("takes scalars, a byte order mark and duplicate keys, of which the last counts", function()
    assert.is_true(json.decode(" true "))
    assert.is_false(json.decode("false"))
    assert.equal("x", json.decode('\239\187\191"x"'))
    assert.equal(2, json.decode('{"a":1,"a":2}').a)
  end)

  it("decodes escapes and replaces lone surrogates", function()
    assert.equal("\0\n\"\\/é€😀", json.decode([["\u0000\n\"\\\/\u00e9\u20ac\ud83d\ude00"]]))
    assert.equal("\239\191\189x", json.decode([["\ud800x"]]))
    assert.equal("\239\191\189", json.decode('"\255"'))
  end)

  it("returns nil and a message with the offset for what is not JSON", function()
    local cases = {
      {"", 0}, {"[1,]", 3}, {"{'a':1}", 1}, {"[1] x", 4}, {"nan", 0}, {"[0x10]", 2},
      {'"a\nb"', 2}, {"[1e999]", 1}, {("["):rep(513), 512}, {("["):rep(100000), 512},
    }
    for i = 1, #cases do
      local value, message = json.decode(cases[i][1])
      assert.is_nil(value)
      assert.equal(cases[i][2], tonumber(message:match("at byte offset (%d+)$")), message)
    end
    assert.has_error(function() json.decode() end)
    assert.has_error(function() json.decode({}) end)
  end)

  it("holds values beyond any guess of their size", function()
    local elements, members = {}, {}
    for i = 1, 20000 do
      elements[i] = i
      members["key" .. i] = ("é\n"):rep(i % 50)
    end
    assert.same(elements, json.decode(json.encode(elements)))
    assert.same(members, json.decode(json.encode(members)))
  end)
end)

describe("json in a finalizer", function()
  -- The scratch memory of a call is shared by all calls; a collector step in the middle of one may
  -- run a finalizer that makes another.
  local newproxy = rawget(_G, "newproxy") -- LuaJIT has no finalizers for tables
  local function finalizer(call)
    if newproxy then
      getmetatable(newproxy(true)).__gc = call
    else
      setmetatable({}, {__gc = call})
    end
  end

  it("does not disturb the call that it interrupts", function()
    local text = '["a\\n' .. ("long "):rep(100) .. '",{"b":"c\\td"}]'
    local expected = json.encode(json.decode(text))
    local calls = 0
    local function nested()
      calls = calls + 1
      json.decode('["\\n' .. ("other "):rep(500) .. '"]')
      json.encode{("other\n"):rep(500)}
    end
    collectgarbage("stop")
    for _ = 1, 1000 do finalizer(nested) end
    collectgarbage("restart")
    for _ = 1, 50000 do
      assert(json.encode(json.decode(text)) == expected)
      if calls > 500 then break end
    end
    assert.is_true(calls > 500)
  end)
end)

describe("json against lua-cjson", function()
  local function random_string()
    local bytes = {}
    for i = 1, math.random(0, 20) do bytes[i] = string.char(math.random(0, 127)) end
    return table.concat(bytes)
  end

  local random_value
  local makers = {
    function() return math.random(-1000000, 1000000) end,
    function() return math.random(-1000000, 1000000) / 1024 end,
    random_string,
    function() return math.random() < 0.5 end,
    function() return json.null end,
    function(depth)
      local array = {}
      for i = 1, math.random(1, 5) do array[i] = random_value(depth + 1) end
      return array
    end,
    function(depth)
      local object = {}
      for _ = 1, math.random(0, 8) do object["k" .. random_string()] = random_value(depth + 1) end
      return object
    end,
  }
  function random_value(depth)
    return makers[math.random(depth < 5 and #makers or 5)](depth)
  end

  it("writes what cjson reads and reads what cjson writes", function()
    for _ = 1, 2000 do
      local value = {random_value(0)}
      assert.same(value, cjson.decode(json.encode(value)))
      assert.same(value, json.decode(cjson.encode(value)))
      assert.same(value, json.decode(json.encode(value)))
    end
  end)
end)

describe("json against recorded cases", function()
  local file = io.open("../shared/cases/json_cases.jsonl")
  if not file then
    it("has none here: ../shared/cases does not exist", function() end)
    return
  end
  for line in file:lines() do
    local case = cjson.decode(line)
    it(case.expect .. ": " .. case.name, function()
      local value, message = json.decode(base64.decode(case.text_b64))
      if case.expect == "accept" then assert.is_nil(message) end
      if case.expect == "reject" then assert.is_nil(value) end
      if value == nil then assert.is_string(message) end
    end)
  end
  file:close()
end)
