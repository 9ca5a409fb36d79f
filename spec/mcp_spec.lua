-- llm.mcp over stdio: servers that are good, slow, rude and dead. The official ones are in
-- tests/peers.
local core = require "llm.core"
local llm = require "llm"
local process = require "spec.support.process"
local settled = require "spec.support.settled"

local function open(manner, opts)
  opts = opts or {}
  opts.command = { process.llmrun, "spec/support/mcp_server.lua", manner or "good" }
  opts.timeout = opts.timeout or 5
  return llm.mcp(opts)
end

local function is_gone(pid)
  local file = io.open("/proc/" .. pid .. "/stat")
  if file then file:close() end
  return file == nil
end

describe("llm.mcp", function()
  local session, logged

  before_each(function()
    logged = {}
    llm.log.configure("warn", function(level, source, message)
      logged[#logged + 1] = level .. " " .. source .. ": " .. message
    end)
  end)

  after_each(function()
    if session then session:close() end
    session = nil
    llm.log.configure("warn")
    assert.equal(0, settled())
  end)

  it("opens a session and tells who is there", function()
    session = assert(open())
    assert.equal("2025-11-25", session.version)
    assert.equal("Be kind.", session.instructions)
    assert.equal("1", session.server.version)
    assert.equal("fake__31m", session.name)
    local pid = session.transport.child:pid()
    session:close()
    assert.is_true(is_gone(pid))
    assert.is_false((pcall(session.ping, session)))
  end)

  it("starts the server with what it is given, and without keys", function()
    session = assert(open("good", { env = { GIVEN = "yes" } }))
    assert.equal("yes", assert(session:call("env", { name = "GIVEN" })))
    local real = core.process.environment
    core.process.environment = function()
      local env = real()
      env.OPENAI_API_KEY, env.KEPT = "sk-of-the-spec", "kept"
      return env
    end
    session:close()
    session = assert(open())
    core.process.environment = real
    assert.equal("nil", assert(session:call("env", { name = "OPENAI_API_KEY" })))
    assert.equal("kept", assert(session:call("env", { name = "KEPT" })))
  end)

  it("speaks an older version, and refuses one that it does not know", function()
    session = assert(open "old")
    assert.equal("2024-11-05", session.version)
    local none, err = open "future"
    assert.is_nil(none)
    assert.equal("protocol", err.kind)
    assert.match("version 2999%-01%-01", err.message)
  end)

  it("lists tools page by page, under names that providers take", function()
    session = assert(open())
    local tools = assert(session:tools())
    assert.equal(2, #tools)
    assert.equal("a_b_c", tools[1].name)
    assert.same({ type = "object" }, tools[1].parameters)
    assert.equal("A", tools[1].description)
    assert.equal("asks2", tools[2].name)
    assert.equal("asks2", assert(session:tools())[2].name)
    assert.equal("initialize notifications/initialized tools/list tools/list tools/call",
      assert(session:call "heard"))
    assert.same({}, assert(session:prompts()))
  end)

  it("asks for a list again after it changed, and logs what the server logs", function()
    local told = {}
    session = assert(open("good", { notified = function(method) told[#told + 1] = method end }))
    assert(session:tools())
    assert.equal("changed", assert(session:call "change"))
    assert.equal("asks4", assert(session:tools())[2].name)
    assert.same({ 'warn fake__31m: {"disk":"full"}' }, logged)
    assert.same({ "notifications/tools/list_changed", "notifications/message" }, told)
  end)

  it("gives up on a list that does not end", function()
    session = assert(open "endless")
    local none, err = session:tools()
    assert.is_nil(none)
    assert.match("does not end", err.message)
  end)

  it("matches answers with calls that run at once", function()
    session = assert(open())
    local words = llm.map({ "one", "two", "three" }, function(word)
      return assert(session:call("reverse", { word = word }))
    end)
    assert.same({ "one", "two", "three", n = 3 }, words)
  end)

  it("tells the server when it no longer waits", function()
    session = assert(open())
    local none, err = session:call("silent", {}, 0.03)
    assert.is_nil(none)
    assert.equal("timeout", err.kind)
    assert.match("did not answer tools/call in 0.03 s", err.message)
    assert.match("notifications/cancelled=2", assert(session:call "heard"))
    local task = llm.spawn(function() return session:call "silent" end)
    llm.sleep(0.01)
    task:cancel()
    pcall(task.join, task)
    if coroutine.close then -- luacheck: ignore
      assert.match("notifications/cancelled=4", assert(session:call "heard"))
      assert.is_nil(next(session.peer.pending))
    end
  end)

  it("takes progress as a sign of life", function()
    session = assert(open())
    assert.equal("done", assert(session:call("progress", {}, 0.2)))
  end)

  it("says how a server died, and what it said last", function()
    session = assert(open())
    local none, err = session:call "die"
    assert.is_nil(none)
    assert.equal("provider_unavailable", err.kind)
    assert.equal("the MCP server fake__31m ended with exit code 7; it said: reading the " ..
      "configuration cannot find config.toml", err.message)
    none, err = session:call "heard"
    assert.is_nil(none)
    assert.match("exit code 7", err.message)
  end)

  it("fails all calls that wait when the server dies", function()
    session = assert(open())
    local _, failures = llm.map({ "silent", "silent", "die" }, function(name)
      assert(session:call(name))
    end)
    for i = 1, 3 do assert.match("exit code 7", tostring(failures[i])) end
  end)

  it("names the program that cannot be run, and the one that is no server", function()
    local none, err = llm.mcp { command = { "no-such-server" } }
    assert.is_nil(none)
    assert.equal("cannot run no-such-server: No such file or directory", err.message)
    none, err = llm.mcp { command = { "sh", "-c", "echo usage: foo >&2; exit 2" } }
    assert.is_nil(none)
    assert.equal("the MCP server sh ended with exit code 2; it said: usage: foo", err.message)
  end)

  it("skips what is no message", function()
    session = assert(open())
    assert.equal("still here", assert(session:call "noise"))
    assert.same({ "warn fake__31m: skipped what is no message: Debugger attached.",
      'warn fake__31m: skipped what is no message: {"half": ' }, logged)
  end)

  it("does not keep a line without end", function()
    session = assert(open())
    local none, err = session:call "long"
    assert.is_nil(none)
    assert.equal("protocol", err.kind)
    assert.match("a line of more than 32 MiB", err.message)
  end)

  it("does not trust an answer without a result, or a server that hung up", function()
    session = assert(open())
    local none, err = session:call "bare"
    assert.is_nil(none)
    assert.equal("protocol", err.kind)
    assert.match("answered tools/call without a result", err.message)
    none, err = llm.mcp { command = { "sh", "-c", "exec >&-; while read line; do :; done" } }
    assert.is_nil(none)
    assert.equal("the MCP server sh closed its output", err.message)
  end)

  it("ends a server that does not want to", function()
    session = assert(open "stubborn")
    local pid = session.transport.child:pid()
    session.transport.politeness = 0.03
    local started = core.loop.clock()
    session:close()
    assert.is_true(is_gone(pid))
    assert.is_true(core.loop.clock() - started < 5)
  end)

  it("ends the server when the session is dropped", function()
    local pid = assert(open()).transport.child:pid()
    collectgarbage()
    collectgarbage()
    assert.is_true(is_gone(pid))
  end)

  it("works inside a host that owns the loop", function()
    local has_luv, uv = pcall(require, "luv")
    if not has_luv or not llm.loop.pollfd() then return print "not tested in a host" end
    llm.host.luv.attach()
    local words = {}
    for i = 1, 3 do
      coroutine.wrap(function()
        local own = assert(open())
        words[i] = assert(own:call("env", { name = "NO_SUCH_VARIABLE" }))
        own:close()
      end)()
    end
    uv.run()
    llm.host.luv.detach()
    uv.run "nowait"
    assert.same({ "nil", "nil", "nil" }, words)
  end)

  describe("asked by the server", function()
    local function ask(method, params)
      return assert(session:call("ask", { method = method, params = params })).reply
    end

    it("answers ping, and says what it does not know", function()
      session = assert(open())
      assert.same({}, ask "ping")
      assert.equal(-32601, ask("sampling/createMessage", { messages = {} }).code)
      assert.equal(-32601, ask("roots/list").code)
      assert.same({ action = "decline" }, ask("elicitation/create", { message = "Age?" }))
    end)

    it("tells its roots", function()
      local named = { uri = "file:///x", name = "x" }
      session = assert(open("good", { roots = { "file:///srv", named } }))
      assert.same({ roots = { { uri = "file:///srv" }, named } }, ask "roots/list")
    end)

    it("lets a client answer", function()
      local asked
      local mock = llm.mock { function(request)
        asked = request
        return "Hello."
      end }
      local client = llm.client { provider = mock.provider, model = "m1" }
      session = assert(open("good", { sampling = client }))
      local reply = ask("sampling/createMessage", { systemPrompt = "Be short.", maxTokens = 9,
        messages = { { role = "user", content = { type = "text", text = "Greet me." } } } })
      mock:close()
      client:close()
      assert.same({ type = "text", text = "Hello." }, reply.content)
      assert.equal("endTurn", reply.stopReason)
      assert.equal("assistant", reply.role)
      assert.equal("m1", reply.model)
      assert.equal("Be short.", asked.messages[1].content)
      assert.equal("Greet me.", asked.messages[2].content)
    end)
  end)

  it("refuses misuse", function()
    for opts, message in pairs {
      [{}] = "give command", [{ command = {} }] = "give command",
      [{ command = { "x" }, url = "http://localhost" }] = "give command",
      [{ comand = { "x" } }] = 'did you mean "command"', [{ url = "ftp://x" }] = "http or https",
      [{ url = "http://example.com/mcp", headers = { Authorization = "x" } }] = "plain http",
      [{ command = "npx server" }] = "command must be a table",
    } do
      local ok, err = pcall(llm.mcp, opts)
      assert.is_false(ok)
      assert.match(message, err.message, 1, true)
    end
  end)
end)
