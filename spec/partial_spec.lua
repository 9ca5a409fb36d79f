-- JSON that is read while it comes.
local json = require("llm.core").json
local partial = require "llm.partial"

describe("llm.partial", function()
  it("has at any time what came so far", function()
    local reader, seen = partial.new(), {}
    for _, text in ipairs { '{"mood"', ':"go', 'od","wh', 'y":', '"it', ' is"', ',"n":1', "2}" } do
      local found = reader:feed(text)
      seen[#seen + 1] = found == nil and "-" or json.encode(found)
    end
    assert.same({ "{}", '{"mood":"go"}', '{"mood":"good"}', "-", '{"mood":"good","why":"it"}',
      '{"mood":"good","why":"it is"}', "-", '{"mood":"good","n":12,"why":"it is"}' }, seen)
  end)

  it("has the same value in the end, however the text is cut", function()
    for _, text in ipairs {
      '{"a":[1,2,{"b":"x\\u00e9\\ud83d\\ude00 \\"q\\" \\n"}],"c":null,"d":-1.5e3}',
      '[[],[[]],"a",{"k":"v"},true]', '["a\\ud83dx","b"]', '{"":"z","e":{}}',
    } do
      local wanted = json.encode(json.decode(text))
      for size = 1, #text do
        local reader, last = partial.new(), nil
        reader:feed("The set {a} and [b: ")
        for i = 1, #text, size do
          local found = reader:feed(text:sub(i, i + size - 1))
          if found ~= nil then last = json.encode(found) end
        end
        assert.equal(wanted, last)
      end
    end
  end)

  it("begins anew after what is no JSON, and stops at the end of the value", function()
    local reader = partial.new()
    assert.same({}, reader:feed "{")
    assert.is_nil(reader:feed "oops: ")
    assert.same({ 1 }, reader:feed "[1] and {")
    assert.is_nil(reader:feed '"a":1}')
    assert.is_nil(partial.new():feed(("["):rep(600)).more)
  end)

  it("is linear in the text", function()
    local function time_of(count)
      local reader, start = partial.new(), os.clock()
      reader:feed('{"a":"')
      for _ = 1, count do reader:feed("word ") end
      return os.clock() - start
    end
    time_of(1000)
    local once, eightfold = time_of(20000), time_of(160000)
    assert.is_true(eightfold < 40 * once + 0.1)
  end)
end)
