-- llm.mcp_server: a script as a server, asked by our client and by hand. The official client is in
-- tests/peers.
local core = require "llm.core"
local llm = require "llm"
local process = require "spec.support.process"
local settled = require "spec.support.settled"

local command = { process.llmrun, "spec/support/mcp_tools.lua" }

describe("llm.mcp_server", function()
  local session

  after_each(function()
    if session then session:close() end
    session = nil
    assert.equal(0, settled())
  end)

  describe("asked by llm.mcp", function()
    local told

    before_each(function()
      told = {}
      session = assert(llm.mcp { command = command, timeout = 5,
        notified = function(method, params) told[#told + 1] = { method, params } end })
    end)

    it("says what it offers", function()
      assert.same({ name = "kit", version = "1.2" }, session.server)
      assert.equal("Use it well.", session.instructions)
      local tools = assert(session:tools())
      assert.equal(10, #tools)
      assert.equal("Adds two numbers", tools[1].description)
      assert.same({ "a", "b" }, tools[1].parameters.required)
      assert.same({ type = "object", properties = {} }, tools[3].parameters)
      assert.is_true(session:ping())
    end)

    it("runs tools: tables, texts, parts, nothing", function()
      assert.same({ sum = 5 }, session:call("add", { a = 2, b = 3 }))
      assert.equal("Hello, you", session:call("greet", { name = "you" }))
      assert.same({ { type = "text", text = "a dot" },
        { type = "image", mime = "image/png", data = "\137PNG\0" } }, session:call "draw")
      assert.equal("", session:call "nothing")
      assert.equal("nil", session:call "read") -- the input is the protocol's
    end)

    it("tells the model what went wrong", function()
      for call, message in pairs {
        [{ "raise" }] = "out of paper", [{ "refuse" }] = "not today",
        [{ "add", { a = 1 } }] = 'the value lacks the property "b"',
        [{ "add", { a = 1, b = "2" } }] = "the arguments do not fit: /b must be number",
      } do
        local none, err = session:call(call[1], call[2])
        assert.is_nil(none)
        assert.is_true(err.is_tool)
        assert.match(message, err.message, 1, true)
      end
      local none, err = session:call "juggle"
      assert.is_nil(none)
      assert.equal(-32602, err.code)
    end)

    it("is a list of tools as a call takes them", function()
      local tools = {}
      for _, tool in ipairs(assert(session:tools())) do tools[tool.name] = tool end
      assert.equal("counted", tools.count.run {})
      local none, problem = tools.raise.run {}
      assert.is_nil(none)
      assert.equal("out of paper", problem)
      local mock = llm.mock { function(request)
        local last = request.messages[#request.messages]
        if last.role == "tool" then return last.content end
        return { tool_calls = {
          { id = "c1", name = "greet", arguments = '{"name":"you"}' },
          { id = "c2", name = "raise", arguments = "{}" },
          { id = "c3", name = "add", arguments = '{"a":1,"b":2}' } } }
      end }
      local client = llm.client { provider = mock.provider }
      local response = assert(client:run_tools("Go.", { tools = { tools.greet, tools.raise,
        tools.add } }))
      client:close()
      mock:close()
      assert.match('"sum":3', response.content)
      local said = {}
      for _, message in ipairs(mock.requests[2].messages) do
        if message.role == "tool" then said[#said + 1] = llm.message.text_of(message.content) end
      end
      assert.equal("Hello, you", said[1])
      assert.match("out of paper", said[2])
    end)

    it("runs calls at once, and stops those that are cancelled", function()
      local started = core.loop.clock()
      assert.is_nil((session:call("sleep", {}, 0.02)))
      local words = llm.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function()
        return assert(session:call "nap")
      end)
      assert.equal("awake", words[8])
      assert.is_true(core.loop.clock() - started < 2)
    end)

    it("tells how far it came", function()
      assert.equal("counted", session:call "count")
      assert.equal(3, #told)
      assert.equal("notifications/progress", told[3][1])
      assert.equal(3, told[3][2].progress)
      assert.equal("step 3", told[3][2].message)
    end)

    it("has resources and prompts", function()
      assert.equal("kit://bytes", assert(session:resources())[2].name)
      assert.equal("words", assert(session:read_resource "kit://text"))
      assert.equal("\0\1\2", assert(session:read_resource "kit://bytes")[1].data)
      local none, err = session:read_resource "kit://none"
      assert.is_nil(none)
      assert.equal(-32002, err.code)
      assert.equal("review", assert(session:prompts())[1].name)
      assert.same({ { role = "user", content = "Review this: x = 1" } },
        assert(session:prompt("review", { code = "x = 1" })))
      none, err = session:prompt "review"
      assert.is_nil(none)
      assert.match("code is missing", err.message)
    end)
  end)

  describe("asked by hand", function()
    -- What it answers to these lines, by id, and all that it wrote.
    local function ask(lines)
      local done = assert(llm.process.run(command, { input = table.concat(lines, "\n"),
        timeout = 10 }))
      assert.equal(0, done.code, done.stderr)
      local by_id = {}
      for line in done.stdout:gmatch("[^\n]+") do
        local message = llm.json.decode(line)
        if message then by_id[message.id] = message end
      end
      return by_id, done
    end

    it("speaks the version that it is spoken to in, if it knows that", function()
      local template = '{"jsonrpc":"2.0","id":%d,"method":"initialize","params":' ..
        '{"protocolVersion":"%s","capabilities":{},"clientInfo":{"name":"t","version":"0"}}}'
      local answers = ask { template:format(1, "2024-11-05"), template:format(2, "1999-01-01") }
      assert.equal("2024-11-05", answers[1].result.protocolVersion)
      assert.equal("2025-11-25", answers[2].result.protocolVersion)
    end)

    it("answers what makes no sense with the errors of JSON-RPC", function()
      local answers = ask { "{", '{"jsonrpc":"2.0","id":1,"method":"nope"}', '{"id":2,"method":3}',
        '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":[1]}',
        '{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"add","arguments":7}}',
        '{"jsonrpc":"2.0","id":"five","method":"ping","params":null}', "",
        '{"jsonrpc":"2.0","method":"x"}' }
      assert.equal(-32700, answers[llm.null].error.code)
      assert.equal(-32601, answers[1].error.code)
      assert.equal(-32600, answers[2].error.code)
      assert.equal(-32602, answers[3].error.code)
      assert.equal(-32602, answers[4].error.code)
      assert.same({}, answers.five.result)
    end)

    it("finishes what is under way when its input ends, and prints nothing between", function()
      local answers, done = ask {
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nap"}}',
        '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"greet",' ..
          '"arguments":{"name":"you"}}}' }
      assert.equal("awake", answers[1].result.content[1].text)
      assert.equal("Hello, you", answers[2].result.content[1].text)
      assert.equal("what is printed\nwhat is written\n", done.stderr)
      assert.match("served\n$", done.stdout)
    end)

    it("ends when nobody reads its answers", function()
      local done = process.shell("(for i in 1 2 3 4 5 6 7 8 9; do echo '{\"jsonrpc\":\"2.0\"," ..
        "\"id\":1,\"method\":\"tools/list\"}'; sleep 0.01; done; sleep 0.2) | " ..
        "$LLMRUN spec/support/mcp_tools.lua | true; echo ${PIPESTATUS[1]}",
        { env = { LLMRUN = process.llmrun } })
      assert.match("^%d+\n$", done.stdout)
    end)
  end)

  it("is looked at by hand with llmrun mcp", function()
    if _VERSION ~= "Lua 5.4" then return end -- as all specs of the command
    local function run(...)
      local words = { process.llmrun, "mcp" }
      for _, word in ipairs { ... } do words[#words + 1] = word end
      for _, word in ipairs { "--", command[1], command[2] } do words[#words + 1] = word end
      return process.run(words)
    end
    local listed = llm.json.decode(run("--json").stdout)
    assert.equal(13, #listed)
    assert.same({ kind = "tool", name = "add", about = "Adds two numbers" }, listed[1])
    assert.same({ kind = "resource", name = "kit://text" }, listed[11])
    assert.equal('{"sum":3}\n', run("--call=add", "--arguments", '{"a":1,"b":2}').stdout)
    assert.equal("a dot\n[image image/png, 5 bytes]\n", run("-c", "draw").stdout)
    local done = run("-c", "raise")
    assert.equal(1, done.code)
    assert.equal("llmrun: out of paper\n", done.stderr)
    for _, words in ipairs { { "-c", "none" }, { "-a", "[1" }, { "-a", "1" } } do
      assert.equal(2, run((table.unpack or unpack)(words)).code) -- luacheck: ignore
    end
  end)

  it("refuses misuse", function()
    for opts, message in pairs {
      [{ tools = { { name = "x" } } }] = "run must be a function",
      [{ tools = { { name = "x", run = print, parameter = {} } } }] = 'did you mean "parameters"',
      [{ tools = { { name = "x", run = print, parameters = { type = "strange" } } } }] =
        "llm.tool x: parameters",
      [{ tools = { { name = "x", run = print }, { name = "x", run = print } } }] = "two of x",
      [{ resources = { {} } }] = "uri and read", [{ prompts = { {} } }] = "name and get",
      [{ tols = {} }] = 'did you mean "tools"',
    } do
      local ok, err = pcall(llm.mcp_server, opts)
      assert.is_false(ok)
      assert.match(message, err.message, 1, true)
    end
  end)
end)
