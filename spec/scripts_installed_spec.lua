-- Every script from the installed binary, in an empty folder: offline on the built-in mock, and
-- over each dialect that the mock speaks.
if _VERSION ~= "Lua 5.4" then return end -- they are the command's

local core = require "llm.core"
local file = require "spec.support.file"
local llm = require "llm"
local process = require "spec.support.process"
local settled = require "spec.support.settled"

-- what a script is given, and what it prints
local cases = {
  { "chat", stdin = "Hello there\n", out = "^Hello there\n$" },
  { "classify", "-c", "spam,ham", "Buy now", out = "^spam\t0%.5\tBuy now\n$" },
  { "code", "-x", "a sort", out = "a sort\n$" },
  { "code", "--json", "a sort", out = '^{"code":".*a sort",.*}\n$' },
  { "cost", "gpt-4o", "10", "10", out = "^0%.000125\t10\t10\tgpt%-4o" },
  { "count", stdin = "Hello", out = "^%d\t" },
  { "describe-task", "--json", "sell", out = '^{"constraints":%[.*"title":".*}\n$' },
  { "extract", "name, age: integer", stdin = "Ann is here",
    out = '^{"age":1,"name":"Ann is here"}\n$' },
  { "models", "gpt-4o", out = "gpt%-4o\t" },
  { "prices", out = "^prices of %d" },
  { "rewrite", stdin = "hi", out = "^hi\n$" },
  { "sentiment", "Fine.", out = "^positive\t0%.5\tFine%.\tFine%.\n$" },
  { "sentiment", "--json", stdin = "Fine.\n",
    out = '^{"confidence":0%.5,"index":1,"reason":"Fine%.","sentiment":"positive",.*}\n$' },
  { "summarize", stdin = "A text. More of it.", out = "A text%." },
  { "translate", "-t", "German", stdin = "One.\n\nTwo.\n", out = "^One%. Two%.\n$" },
}
-- those that take several models, or measure one: PROVIDER/ is where they are asked
local of_models = {
  { "bench", "-n", "3", "--json", "-m", "PROVIDER/a", "hi", out = '"requests":3,' },
  { "compare", "-m", "PROVIDER/a,PROVIDER/b", "-", stdin = "hi",
    out = "^== %l+_?%l*/a ==\nhi\n\n%d+ tokens, .*== %l+_?%l*/b ==\nhi\n" },
}
local only_openai = { { "embed", "--text", "a cat", out = '^{"embedding":%[.*"text":"a cat"}\n$' } }

describe("every script, installed,", function()
  local folder, remove, mock

  setup(function()
    folder, remove = process.folder()
    local build = process.llmrun:match("^(.*)/[^/]*$")
    assert(os.execute(("mkdir %s/empty && cmake --install %s --prefix %s/there >/dev/null"):format(
      folder, process.quote(build), folder)))
    mock = llm.mock {}
  end)

  teardown(function()
    mock:close()
    remove()
    assert.equal(0, settled())
  end)

  -- Runs the cases at once, while the mock in this process answers.
  local function check(list, options, env)
    local started = {}
    for i, case in ipairs(list) do
      local argv = { folder .. "/there/bin/llmrun" }
      for _, word in ipairs(options) do argv[#argv + 1] = word end
      for _, word in ipairs(case) do argv[#argv + 1] = word end
      started[i] = process.start(argv, { stdin = case.stdin, env = env, cwd = folder .. "/empty" })
    end
    local deadline = core.loop.clock() + 20
    for i, case in ipairs(list) do
      while started[i].running() and core.loop.clock() < deadline do llm.sleep(0.01) end
      local done = started[i].wait()
      assert.equal(0, done.code, case[1] .. ": " .. done.stderr)
      assert.matches(case.out, done.stdout, 1, nil, case[1])
    end
    local pipe = io.popen("ls -A " .. folder .. "/empty")
    assert.equal("", pipe:read("a"))
    pipe:close()
  end

  local function of(provider)
    local list = {}
    for i, case in ipairs(of_models) do
      list[i] = { stdin = case.stdin, out = case.out }
      for j, word in ipairs(case) do list[i][j] = word:gsub("PROVIDER", provider) end
    end
    return list
  end

  it("works offline", function()
    check(cases, {}, {})
    check(of "mock", {}, {})
    check(only_openai, {}, {})
  end)

  for _, provider in ipairs { "openai", "openai_responses", "anthropic" } do
    it("works over " .. provider, function()
      local before = mock.count
      local env = { OPENAI_BASE_URL = mock.base_url, OPENAI_API_KEY = "sk-1",
        ANTHROPIC_BASE_URL = mock.base_url:gsub("/v1$", ""), ANTHROPIC_API_KEY = "sk-2" }
      check(cases, { "-m", provider .. "/some-model" }, env)
      check(of(provider), {}, env)
      if provider == "openai" then check(only_openai, { "-m", "openai/embedder" }, env) end
      assert.is_true(mock.count - before >= 11)
    end)
  end

  it("comes with its manual and with completion", function()
    for _, path in ipairs { "man/man1/llmrun.1", "zsh/site-functions/_llmrun",
      "bash-completion/completions/llmrun" } do
      assert.matches("summarize", file.read(folder .. "/there/share/" .. path))
    end
  end)

  it("is known to this spec", function()
    local known = { batch = true, bench = true, compare = true, ["adapter-test"] = true,
      logs = true, mcp = true, usage = true, embed = true } -- all but the last have their own specs
    for _, case in ipairs(cases) do known[case[1]] = true end
    for _, name in ipairs(require "llm.scripts") do assert.is_true(known[name], name) end
  end)
end)
