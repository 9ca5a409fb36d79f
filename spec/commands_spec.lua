-- The installed commands count, cost, models and prices, as they are run: in a pipe, with --json,
-- on terminals of two widths. The command is Lua 5.4's; other flavours leave this to it.
local core = require "llm.core"

local json = core.json
local program = os.getenv("LLMRUN") or "build/llmrun"
if program:sub(1, 1) ~= "/" then program = os.getenv("PWD") .. "/" .. program end

if _VERSION ~= "Lua 5.4" then return end
if not core.system.mode(program) then
  print(program .. " is not there: the commands are not tested; set LLMRUN")
  return
end

local home -- of a user without any configuration

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function write(name, bytes)
  local path = home .. "/" .. name
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  return path
end

local function command_line(arguments)
  return ("env -i LANG=C.UTF-8 PATH=%s HOME=%s %s %s"):format(quote(os.getenv("PATH")), home,
    quote(program), arguments)
end

-- What a command writes (to both outputs) and its exit code.
local function run(arguments, input)
  local from = input and quote(write("input", input)) or "/dev/null"
  local pipe = assert(io.popen(command_line(arguments) .. " 2>&1 <" .. from))
  local text = pipe:read("a")
  local _, _, code = pipe:close()
  return text, code
end

setup(function()
  home = os.tmpname()
  os.remove(home)
  assert(os.execute("mkdir " .. home))
end)

teardown(function() os.execute("rm -rf " .. home) end)

describe("llmrun count", function()
  it("counts files and says of each whether the number is exact", function()
    local one, two = write("one.txt", "Hello, world"), write("two.txt", "")
    local rows = "3\texact\t%s\tgpt-4o\n0\texact\t%s\tgpt-4o\n3\texact\ttotal\tgpt-4o\n"
    assert.equal(rows:format(one, two), (run(("count -m gpt-4o %s %s"):format(one, two))))
    assert.equal("3\texact\t-\to200k_base\n", (run("count", "Hello, world")))
    assert.matches("^%d+\testimated\t%-\tclaude%-opus%-4%-8\n$",
      (run("count -m claude-opus-4-8", "Hello, world")))
  end)

  it("prints JSON wherever it goes, without a sum", function()
    local path = write("a\tb.txt", "Hello, world")
    local rows = json.decode((run("count --json - " .. quote(path), "Hello")))
    assert.equal(2, #rows)
    assert.same({ file = path, tokens = 3, exact = true, counted = "exact",
      model = "o200k_base" }, rows[2])
    assert.equal("3\texact\t" .. home .. "/a b.txt\to200k_base\n", (run("count " .. quote(path))))
  end)

  it("stops at a file that cannot be read", function()
    assert.same({ "llmrun: /nowhere: No such file or directory\n", 2 }, { run "count /nowhere" })
    assert.same({ "llmrun: " .. home .. ": Is a directory\n", 2 }, { run("count " .. home) })
  end)
end)

describe("llmrun cost", function()
  it("prices numbers of tokens", function()
    assert.equal("0.006\t1200\t300\tgpt-4o\texact\t2026-11-22\n", (run "cost gpt-4o 1200 300"))
  end)

  it("prices a prompt and an answer of some length", function()
    local path = write("prompt.txt", "Hello, world")
    local row = json.decode((run("cost -m gpt-4o --json -o 100 " .. path)))
    assert.equal(3 + 7, row.input_tokens) -- the text; the frame of a message and of the answer
    assert.near((10 * 2.5 + 100 * 10) / 1e6, row.cost_estimate, 1e-12)
    assert.is_true(row.exact)
    assert.is_false(json.decode((run("cost -m claude-sonnet-5 --json", "Hello"))).exact)
  end)

  it("uses prices of the configuration", function()
    local path = write("config.lua", 'return { costs = { mine = { input = 1, output = 2 } } }')
    assert.matches("^3\t1000\t1000\tmine\t",
      (run("--config " .. path .. " cost mine 1000 1000")))
  end)

  it("says what is wrong", function()
    assert.same({ "llmrun: no price is known for gpt-4p\n", 1 }, { run "cost gpt-4p 1 1" })
    assert.same({ "llmrun: not a count of tokens\n", 1 }, { run "cost gpt-4o 1.5 1" })
    assert.equal(2, (select(2, run "cost gpt-4o 1")))
    assert.equal(2, (select(2, run "cost gpt-4o one 1")))
    assert.same({ "llmrun: the input is empty\n", 2 }, { run("cost -m gpt-4o", "") })
  end)
end)

describe("llmrun models", function()
  it("lists what is known of models that are like a pattern", function()
    assert.matches("^gpt%-4o%-mini\t0.15\t0.6\t[^\t]+\t128000\t16384\t2027%-01%-14\topenai" ..
      "\t0.075\n$", (run "models '^gpt%-4o%-mini$'"))
    local rows = json.decode((run "models --json claude"))
    assert.truthy(#rows > 10)
    for _, row in ipairs(rows) do assert.matches("claude", row.id) end
    assert.equal("[]\n", (run "models --json unheard-of"))
    assert.same({ "llmrun: no model is like that; try llmrun models\n", 1 },
      { run "models unheard-of" })
    for row in run("models -p xai"):gmatch("[^\n]+") do assert.matches("\txai\t", row) end
  end)

  it("marks those that have ended, with a successor if one is known", function()
    assert.matches("\tended 2024%-09%-13\t", (run "models gpt-3.5-turbo-0613"))
    local row = json.decode((run "models --json '^o1$'"))[1]
    assert.equal(row.successor and "ended, use " .. row.successor or "ended 2026-10-23", row.note)
    assert.is_true(row.ended)
  end)
end)

describe("llmrun prices", function()
  local function table_of(change)
    local file = assert(io.open("core/data/prices.json", "rb"))
    local document = json.decode(file:read("a"))
    file:close()
    change(document)
    return write("prices.json", json.encode(document))
  end

  it("says whose table is in use", function()
    assert.equal("prices of 2026-11-22, built in\n", (run "prices"))
  end)

  it("names the field that is wrong, and installs nothing", function()
    local path = table_of(function(document) document.providers.openai.models[3].input = -1 end)
    assert.same({ "llmrun: " .. path .. ": providers.openai.models[3].input: must be between 0 " ..
      "and 10000\n", 1 }, { run("prices " .. path) })
    path = table_of(function(document) document._header.generated = "2026-01-01" end)
    assert.matches("its date 2026%-01%-01 is before 2026%-11%-22", (run("prices " .. path)))
    assert.equal("prices of 2026-11-22, built in\n", (run "prices"))
  end)

  it("installs a newer table for the user, from then on", function()
    local path = table_of(function(document)
      document._header.generated = "2027-02-01"
      document.providers.openai.models[1].input = 4321
    end)
    local installed = home .. "/.local/share/llmrun/prices.json"
    assert.equal("prices of 2027-02-01, " .. installed .. "\n", (run("prices " .. path)))
    assert.equal("prices of 2027-02-01, " .. installed .. "\n", (run "prices"))
    assert.matches("\t4321\t", (run "models -p openai"))
    assert.matches("prices of 2027%-02%-01", (run "--version"))
    write(".local/share/llmrun/prices.json", "{")
    local text, code = run "prices"
    assert.matches("prices of 2026%-11%-22, built in\n", text)
    assert.matches("llmrun: the table is not used: .*prices.json: JSON", text)
    assert.equal(0, code)
    os.remove(installed)
  end)
end)

describe("a table on a terminal", function()
  local has_tmux = os.execute("command -v tmux >/dev/null")
  local shows = 0

  -- The lines that a terminal of this width shows, in the folder of the files. Each has a server of
  -- its own: one that ends would take a session that begins with it.
  local function show(arguments, columns)
    shows = shows + 1
    local tmux = ("tmux -u -f /dev/null -S %s/%d "):format(home, shows)
    local script = write("show.sh",
      ("cd %s\n%s\necho END\nread line\n"):format(home, command_line(arguments)))
    os.execute(("%s new-session -d -x %d -y 24 sh %s"):format(tmux, columns, script))
    local lines
    for _ = 1, 500 do
      lines = {}
      local pipe = assert(io.popen(tmux .. "capture-pane -p 2>&1"))
      for line in pipe:lines() do lines[#lines + 1] = line ~= "" and line or nil end
      pipe:close()
      if lines[#lines] == "END" then break end
    end
    os.execute(tmux .. "kill-server")
    assert.equal("END", table.remove(lines))
    return lines
  end

  if not has_tmux then
    print("tmux is not there: tables on terminals are not tested")
    return
  end

  it("has titles, whole columns, and as many as there is room for", function()
    assert.same({
      "model               input  output  note              context  max output",
      "gpt-3.5-turbo-0613  $1.50   $2.00  ended 2024-09-13     4096        4096",
    }, show("models gpt-3.5-turbo-0613", 80))
    assert.same({ "model        input  output", "gpt-4o-mini  $0.15   $0.60" },
      show("models '^gpt%-4o%-mini$'", 40))
  end)

  it("cuts a file's name where it must, a wide character taking two columns", function()
    local name = ("東京"):rep(13) .. ".txt"
    write(name, "Hello, world")
    local width = core.system.width
    local lines = show("count " .. name, 40)
    assert.equal("tokens  counted  file", lines[1])
    assert.matches("^     3  exact    東京.*…$", lines[2])
    assert.truthy(width(lines[2]) == 40 or width(lines[2]) == 39)
    lines = show("count " .. name, 80)
    assert.matches("^tokens  counted  file +model$", lines[1])
    assert.matches("^     3  exact    東京.*… +o200k_base$", lines[2])
    assert.equal(80, width(lines[2]))
  end)
end)
