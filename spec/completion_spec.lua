-- Completion in real shells: names of scripts, options, models.
if _VERSION ~= "Lua 5.4" then return end -- it is the command's

local file = require "spec.support.file"
local llm = require "llm"
local process = require "spec.support.process"
local terminal = require "spec.support.terminal"

describe("completion", function()
  local folder, remove

  setup(function()
    folder, remove = process.folder()
    for _, shell in ipairs { "bash", "zsh" } do
      local done = process.run { process.llmrun, "--completion", shell }
      assert.equal(0, done.code, done.stderr)
      file.write(folder .. "/" .. shell, done.stdout)
    end
  end)

  teardown(function()
    remove()
    assert.equal(0, llm.live())
  end)

  -- What bash offers for the last of these words.
  local function offered(...)
    local words = {}
    for i, word in ipairs { process.llmrun, ... } do words[i] = process.quote(word) end
    local done = process.shell(([[source %s/bash; COMP_WORDS=(%s); COMP_CWORD=%d; _llmrun
      printf '%%s\n' "${COMPREPLY[@]}"]]):format(folder, table.concat(words, " "), #words - 1))
    assert.equal("", done.stderr)
    return done.stdout:sub(1, -2)
  end

  it("of bash knows scripts and options, each script's own", function()
    assert.equal("summarize", offered("su"))
    assert.equal(table.concat(require "llm.scripts", "\n"), offered(""))
    assert.equal("--record\n--replay", offered("--re"))
    assert.equal("--to\n--together", offered("summarize", "--to"))
    assert.equal("--to\n--together", offered("-m", "sentiment", "summarize", "a.txt", "--to"))
    assert.equal("--help", offered("sentiment", "--h"))
    assert.equal("--warmup", offered("--log", "off", "bench", "--w"))
  end)

  it("of bash offers models, and leaves values and files to the shell", function()
    assert.matches("^gpt%-4o\n", offered("-m", "gpt-4o"))
    assert.matches("^claude%-", offered("chat", "--model", "claude-"))
    for _, words in ipairs { { "--config", "" }, { "summarize", "" }, { "summarize", "-l", "" },
      { "-p", "su" } } do
      assert.equal("", offered(table.unpack(words))) -- luacheck: ignore
    end
  end)

  it("is offered for shells that are known", function()
    local done = process.run { process.llmrun, "--completion", "fish" }
    assert.equal(2, done.code)
    assert.equal('llmrun: --completion must be bash or zsh, not "fish"\n', done.stderr)
  end)

  if not (os.execute("command -v zsh >/dev/null") and terminal.is_there) then
    print("zsh is not there: its completion is not tested")
    return
  end

  it("of zsh knows the same, with what it means", function()
    local screen = terminal.start(("PATH=%s:$PATH ZDOTDIR=%s PS1='%%%% ' zsh -f -i"):format(
      process.llmrun:match("^(.*)/"), folder), { columns = 100 })
    screen.wait("%%")
    screen.type(("autoload -U compinit; compinit -D; source %s/zsh; clear\n"):format(folder))
    screen.wait("^%%\n?$")
    screen.type("llmrun sum\t")
    screen.wait("llmrun summarize")
    screen.type("--toge\t")
    screen.wait("llmrun summarize %-%-together")
    screen.type("-\t")
    local _, text = screen.wait("language of the summary, if not the text's")
    assert.matches("%-%-length +%-l +%-%- at most so many words", text)
    screen.type("^U^Kllmrun -\t")
    screen.wait("print the request as a curl command")
    screen.type("^U^Kllmrun chat --model claude-opu\t")
    screen.wait("claude%-opus%-")
    screen.stop()
  end)
end)
