-- The scripts that answer row by row: what goes in, what comes out, which rows fail.
if _VERSION ~= "Lua 5.4" then return end -- they are the command's

local command = require "spec.support.command"
local core = require "llm.core"
local llm = require "llm"
local process = require "spec.support.process"
local terminal = require "spec.support.terminal"

describe("rows:", function()
  local decode = core.json.decode
  local run, openai, asked, write = command.run, command.openai, command.asked, command.write

  setup(command.start)

  teardown(function()
    command.stop()
    assert.equal(0, llm.live())
  end)

  before_each(command.enter)
  after_each(command.leave)

  local function objects(text)
    local list = {}
    for line in text:gmatch("[^\n]+") do list[#list + 1] = assert(decode(line)) end
    return list
  end

  describe("sentiment", function()
    it("rates every line, in order", function()
      local done = run("sentiment", { stdin = "I love it.\n\nIt is bad.\r\nIt is there." })
      assert.equal(0, done.code)
      assert.equal("positive\t0.5\tI love it.\tI love it.\n" ..
        "positive\t0.5\tIt is bad.\tIt is bad.\npositive\t0.5\tIt is there.\tIt is there.\n",
        done.stdout)
    end)

    it("rates its arguments, as JSON", function()
      local found = objects(run("sentiment", "--json", "-j", "2", "好", "bad").stdout)
      assert.same({ "好", "bad" }, { found[1].text, found[2].text })
      assert.same({ index = 1, text = "好", sentiment = "positive", confidence = 0.5,
        reason = "好" }, found[1])
    end)

    it("rates a column of CSV and a member of JSON lines", function()
      write("r.csv", 'id,review\n7,"Good,\nreally"\n8,Bad\n')
      local done = run("sentiment", "-i", "r.csv", "-f", "review", "--json")
      assert.same({ "Good,\nreally", "Bad" },
        { objects(done.stdout)[1].text, objects(done.stdout)[2].text })
      write("r.jsonl", '{"review":"Good"}\n{"rev":1}\nnonsense\n')
      done = run("sentiment", "-i", "r.jsonl", "-f", "review", "--json")
      assert.equal(13, done.code)
      local found = objects(done.stdout)
      assert.equal("positive", found[1].sentiment)
      assert.matches('^r.jsonl:2: there is no text in the field "review"', found[2].error)
      assert.matches("^r.jsonl:3: is no JSON object", found[3].error)
      assert.matches("\nllmrun: row 2: r.jsonl:2: ", done.stderr)
    end)

    it("asks by a schema", function()
      run("sentiment", "-m", "gpt-4o", "good", { env = openai "ok" })
      local body = asked("ok")
      assert.equal("json_schema", body.response_format.type)
      assert.equal(0.1, body.temperature)
      assert.equal(1000, body.max_completion_tokens)
    end)

    it("keeps a reply that cannot be read", function()
      local done = run("sentiment", "--json", "good", { env = openai "ok" })
      assert.equal(13, done.code)
      local found = objects(done.stdout)[1]
      assert.matches("^schema: ", found.error)
      assert.equal("Hello, world", found.raw_response)
      assert.equal("good", found.text)
      done = run("sentiment", "good", { env = openai "ok" })
      assert.equal(13, done.code)
      assert.equal("error\t\t\tgood\n", done.stdout)
      assert.matches("llmrun: row 1: schema: [^\n]+\nllmrun: the reply was: Hello, world\n$",
        done.stderr)
    end)

    it("refuses an empty input, a wrong file and a concurrency that is none", function()
      local done = run("sentiment", { stdin = "\n \n" })
      assert.equal(2, done.code)
      assert.matches("llmrun: nothing to rate: give a TEXT, or rows on standard input\n$",
        done.stderr)
      for _, case in ipairs {
        { { "-j", "0", "x" }, "concurrency must be at least 1" },
        { { "-i", "missing.csv" }, "missing.csv: No such file" },
        { { "-i", "." }, "Is a directory" },
        { { "--format", "xml" }, 'the format must be lines, jsonl, csv or tsv, not "xml"' },
      } do
        done = run("sentiment", table.unpack(case[1])) -- luacheck: ignore
        assert.equal(2, done.code)
        assert.equal("", done.stdout)
        assert.matches(case[2], done.stderr)
      end
    end)

    if terminal.is_there then
      it("shows how far it is, and takes that away before other output", function()
        local screen = terminal.start(process.quote(process.llmrun) .. [[ -e '
          llm.progress "1 of 2" llm.progress "2 of 2" llm.write "answer\n" llm.progress "half"
          io.read()']])
        local lines = screen.wait("half")
        assert.same({ "answer", "half" }, lines)
        screen.type("\n")
        screen.wait("END 0")
        screen.stop()
      end)

      it("shows a table that fits the terminal", function()
        write("r.txt", "I love it so much that I cannot stop\n天气真好我们去公园走走吧好不好呀\n")
        for _, width in ipairs { 80, 40 } do
          local screen = terminal.start(("cd %s && %s sentiment -i r.txt 2>/dev/null"):format(
            command.folder, process.llmrun), { columns = width })
          local lines = screen.wait("END 0")
          screen.stop()
          assert.matches("^sentiment  confidence  reason", lines[1])
          assert.matches("^positive  +0%.5  I love", lines[2])
          assert.matches("天气真", lines[3])
          for _, line in ipairs(lines) do assert.is_true(core.system.width(line) <= width, line) end
        end
      end)
    end
  end)

  describe("classify", function()
    it("offers the labels, whatever is in them", function()
      local done = run("classify", "-c", 'a b,"x", ü ,', "-a", "x is for axes.", "-m", "gpt-4o",
        "t", { env = openai "ok" })
      assert.equal(13, done.code)
      local body = asked("ok")
      local schema = body.response_format.json_schema.schema
      assert.same({ "a b", '"x"', "ü" }, schema.properties.class.enum)
      assert.matches("x is for axes%.", body.messages[1].content)
    end)

    it("wants two labels and a text", function()
      assert.matches("give two labels", run("classify", "x").stderr)
      assert.matches("give two labels", run("classify", "-c", "a", "x").stderr)
      assert.equal(2, run("classify", "-c", "a,b").code)
    end)
  end)

  describe("embed", function()
    it("gives vectors in the order of the rows, in batches", function()
      write("r.jsonl", '{"id":"a","text":"one"}\n{"text":""}\n{"id":"c","text":"three"}\n')
      local done = run("embed", "-i", "r.jsonl", "-b", "1", "-d", "4", "--text")
      assert.equal(13, done.code)
      local found = objects(done.stdout)
      assert.same({ "a", 1, "one", 4 }, { found[1].id, found[1].index, found[1].text,
        #found[1].embedding })
      assert.equal("r.jsonl:2: the text is empty", found[2].error)
      assert.equal("c", found[3].id)
      assert.equal(objects(run("embed", "-d", "4", "three").stdout)[1].embedding[1],
        found[3].embedding[1])
    end)

    it("tells rows that are no text from those that are", function()
      local done = run("embed", "a", " ", "b")
      assert.equal(13, done.code)
      assert.equal("the text is empty", objects(done.stdout)[2].error)
      write("b.txt", "ok\nb\0d\n")
      done = run("embed", "-i", "b.txt")
      assert.equal(13, done.code)
      assert.equal("b.txt:2: holds bytes that are no text", objects(done.stdout)[2].error)
    end)

    it("wants texts and a batch", function()
      assert.equal(2, run("embed").code)
      assert.equal(2, run("embed", "-b", "0", "x").code)
    end)
  end)

  describe("extract", function()
    it("reads whole files, and rows", function()
      write("a.txt", "Ann\nis 7.")
      write("b.csv", "text\nBob\nCy\n")
      local done = run("extract", "name", "a.txt", "b.csv")
      assert.equal('{"name":"Ann is 7."}\n{"name":"text Bob Cy"}\n', done.stdout)
      done = run("extract", "--rows", "--json", "name", "b.csv", "a.txt")
      local found = objects(done.stdout)
      assert.equal(4, #found)
      assert.same({ "b.csv", 2, "Cy" }, { found[2].file, found[2].index, found[2].object.name })
      assert.equal("is 7.", found[4].object.name)
    end)

    it("takes a JSON Schema from a file", function()
      write("s.json", '{"type":"object","properties":{"n":{"type":"integer","minimum":3}},' ..
        '"required":["n"]}')
      assert.equal('{"n":3}\n', run("extract", "s.json", { stdin = "x" }).stdout)
    end)

    it("says what is wrong with the fields", function()
      write("bad.json", '{"type":"nonsense"}')
      write("worse.json", "{")
      for _, case in ipairs {
        { {}, "name the fields" }, { { "name:" }, "schema notation: expected a type" },
        { { "bad.json" }, "bad.json: " }, { { "worse.json" }, "worse.json: " },
        { { "none.json" }, "none.json: No such file" },
      } do
        local done = run("extract", table.unpack(case[1])) -- luacheck: ignore
        assert.equal(2, done.code, case[2])
        assert.matches(case[2], done.stderr)
      end
    end)
  end)

  it("a wrong key ends them at the first row, with its own code", function()
    for _, words in ipairs { { "sentiment", "a", "b" }, { "classify", "-c", "a,b", "x", "y" },
      { "embed", "a", "b" }, { "extract", "name", { stdin = "x" } } } do
      local opts = type(words[#words]) == "table" and table.remove(words) or {}
      opts.env = openai "s401"
      words[#words + 1] = opts
      local done = run(table.unpack(words)) -- luacheck: ignore
      assert.equal(3, done.code, words[1])
      assert.equal("", done.stdout)
      assert.matches("llmrun: [^\n]*authentication: [^\n]+\n$", done.stderr)
    end
  end)
end)
