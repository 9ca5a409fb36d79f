-- Rows: lines, JSON lines and CSV as people have them, broken ones too.
local file = require "spec.support.file"
local llm = require "llm"

describe("llm.rows", function()
  local path

  local function forget()
    if path then os.remove(path) end
    path = nil
  end

  after_each(function()
    forget()
    assert.equal(0, llm.live())
  end)

  local function write(text, ending)
    forget()
    path = os.tmpname()
    os.remove(path)
    path = path .. (ending or "")
    file.write(path, text)
  end

  -- The texts, or what is wrong without the path before it.
  local function texts(opts)
    opts = opts or {}
    opts.file = path
    local list = {}
    for row in llm.rows(opts) do
      list[#list + 1] = row.error and "!" .. row.error:sub(#path + 2) or row.text
      assert.equal(#list, row.index)
    end
    return list
  end

  it("are the texts that are given", function()
    local list = {}
    for row in llm.rows { texts = { "a", "b" } } do list[#list + 1] = row.index .. row.text end
    assert.same({ "1a", "2b" }, list)
    assert.equal("the text is empty", llm.rows { texts = { " " } }().error)
  end)

  it("are lines, however they end", function()
    write "\239\187\191one\r\n\r\n  \ntwo\nthree"
    assert.same({ "one", "two", "three" }, texts())
    write ""
    assert.same({}, texts())
    write "{not json\n"
    assert.same({ "{not json" }, texts())
  end)

  it("are JSON lines, by name or by the first of them", function()
    local text = '{"text":"one","id":7}\n\n"two"\n{"text":3}\n{"text":" "}\n{"x":1,"y":2}\n[1\n5\n'
    local wanted = { "one", "two", "3", "!5: the text is empty",
      '!6: there is no text in the field "text"; the fields are: x, y',
      "!7: is no JSON object: ", "!8: is no JSON object: 5" }
    write(text, ".jsonl")
    local list = texts()
    list[6] = list[6]:sub(1, #wanted[6])
    assert.same(wanted, list)
    write(text)
    assert.equal("one", texts()[1])
    assert.equal(7, llm.rows { file = path }().fields.id)
    assert.same({ "one", '"two"' }, { texts { format = "lines" }[1]:match('"(one)"'),
      texts { format = "lines" }[2] })
  end)

  it("are records of CSV", function()
    write('\239\187\191id,text\r\n1,"a, ""b""\r\nc"\r\n2, plain \r\n\r\n3\r\n4,"open\r\n', ".csv")
    assert.same({ 'a, "b"\nc', " plain ",
      '!6: there is no text in the field "text"; the fields are: id',
      "!7: a quote is not closed" }, texts { field = "text" })
    assert.same({ "1", "2", "3" }, { texts({ field = "id" })[1], texts({ field = "id" })[2],
      texts({ field = "id" })[3] })
    write("review\n\"x\"\ny;z\n", ".csv")
    assert.same({ "x", "y;z" }, texts())
    write("id;text\n1;a,b\n", ".csv")
    assert.same({ "a,b" }, texts())
    write("id\ttext\n1\t\"a\tb\"\n", ".tsv")
    assert.same({ "a\tb" }, texts())
  end)

  it("take no more memory than one row", function()
    write(("a line of some length\n"):rep(50000))
    collectgarbage()
    local before, most = collectgarbage("count"), 0
    for row in llm.rows { file = path } do
      if row.index % 5000 == 0 then
        collectgarbage()
        most = math.max(most, collectgarbage("count") - before)
      end
    end
    assert.is_true(most < 64, most)
  end)
end)
