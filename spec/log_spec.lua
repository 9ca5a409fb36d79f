-- Log lines: a level, who speaks, what happened; never a credential.
local llm = require "llm"
local log = require "llm.log"
local secret = require "llm.secret"

describe("llm.log", function()
  local lines

  local function keep(level, source, message)
    lines[#lines + 1] = { level, source, message }
  end

  before_each(function() lines = {} end)

  after_each(function()
    log.configure("warn")
    assert.equal(0, llm.live())
  end)

  it("writes what is at least of the level", function()
    local levels = { "debug", "info", "warn", "error" }
    for i, least in ipairs(levels) do
      lines = {}
      log.configure(least, keep)
      for _, level in ipairs(levels) do log.write(level, "openai", "text") end
      assert.equal(#levels - i + 1, #lines)
      assert.same({ least, "openai", "text" }, lines[1])
    end
    lines = {}
    log.configure("off", keep)
    log.write("error", "openai", "text")
    assert.same({}, lines)
  end)

  it("masks credentials", function()
    secret.remember("sk-CANARY-log")
    log.configure("debug", keep)
    log.write("debug", "openai", "GET /?key=sk-CANARY-log")
    assert.same({ { "debug", "openai", "GET /?key=[redacted]" } }, lines)
  end)

  it("shows a terminal nothing that it would obey", function()
    if _VERSION ~= "Lua 5.4" then return end -- as all specs of the command
    local process = require "spec.support.process"
    local done = process.run { process.llmrun, "-e",
      [[require("llm.log").write("error", "server", "red \27[31m\ntwo")]] }
    assert.equal("llmrun: error: server: red \226\144\155[31m\ntwo\n", done.stderr)
  end)

  it("refuses an unknown level", function()
    assert.has_error(function() log.configure("loud") end, "unknown log level loud")
  end)

  it("is heard by provider of what a call logs", function()
    log.configure("debug", keep)
    local mock = llm.mock { function() return "yes" end }
    local client = llm.client { provider = mock.provider }
    assert(client:generate_text("Hi"))
    client:close()
    mock:close()
    assert.equal("mock", lines[1][2])
    assert.matches("^POST http://127%.0%.0%.1:%d+/v1/chat/completions$", lines[1][3])
    llm.sleep(0)
  end)
end)
