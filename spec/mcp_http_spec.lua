-- llm.mcp over streamable HTTP, against a server inside the spec.
local core = require "llm.core"
local fake = require "spec.support.mcp_http"
local llm = require "llm"
local settled = require "spec.support.settled"

describe("llm.mcp over HTTP", function()
  local server, session

  local function start(answers, opts)
    server = fake.start(answers or {})
    opts = opts or {}
    opts.url, opts.timeout = server.url, opts.timeout or 5
    local err
    session, err = llm.mcp(opts)
    return session, err
  end

  before_each(function() llm.log.configure("off") end)

  after_each(function()
    if session then session:close() end
    if server then server.close() end
    session, server = nil, nil
    llm.log.configure("warn")
    assert.equal(0, settled())
  end)

  local function call(answer, opts)
    assert(start({ ["tools/call"] = answer }, opts))
    return session:call "x"
  end

  it("takes answers as JSON, and keeps the session that it is given", function()
    assert.equal("hi", call(function(message, request)
      fake.json(request, message.id, fake.text "hi")
    end, { headers = { Authorization = "Bearer of-the-spec" } }))
    session:close()
    assert.equal("initialize notifications/initialized tools/call DELETE", server.whats())
    assert.is_nil(server.seen[1].session)
    for i = 2, 4 do
      assert.equal("s1", server.seen[i].session)
      assert.equal("2025-11-25", server.seen[i].version)
    end
    assert.equal("application/json, text/event-stream", server.seen[3].accept)
    assert.equal("Bearer of-the-spec", server.seen[3].key)
  end)

  it("takes answers as events, with what comes before them", function()
    local told = {}
    assert.equal("hi", call(function(message, request)
      request:begin(200, { ["Content-Type"] = "text/event-stream" })
      request:write(": a comment\n\n" .. fake.event { method = "notifications/progress",
        params = { progressToken = message.params._meta.progressToken, progress = 1 } })
      request:write(fake.event { id = message.id, result = fake.text "hi" })
      request:finish()
    end, { notified = function(method) told[#told + 1] = method end }))
    assert.same({ "notifications/progress" }, told)
  end)

  it("takes a stream up again where it broke off, when it was told to", function()
    local asked, broke_at
    local answers = {}
    answers["tools/call"] = function(message, request)
      asked = message.id
      request:begin(200, { ["Content-Type"] = "text/event-stream" })
      request:write "id: e7\nretry: 40\ndata: \n\nid: e8\ndata: {\"never\": \"whole"
      broke_at = core.loop.clock()
      request:finish()
    end
    answers.GET = function(_, request)
      request:begin(200, { ["Content-Type"] = "text/event-stream" })
      request:write(fake.event({ id = asked, result = fake.text "at last" }, "e8"))
      request:finish()
    end
    assert(start(answers))
    assert.equal("at last", session:call "x")
    assert.is_true(core.loop.clock() - broke_at >= 0.035)
    assert.equal("e7", server.seen[4].last)
    assert.equal("s1", server.seen[4].session)
  end)

  it("says when a reply ends without an answer", function()
    local none, err = call(function(_, request)
      request:begin(200, { ["Content-Type"] = "text/event-stream" })
      request:finish()
    end)
    assert.is_nil(none)
    assert.equal("protocol", err.kind)
    assert.match("ended its reply to tools/call before the answer", err.message)
  end)

  it("begins a session again that the server has forgotten", function()
    local count = 0
    assert.equal("hi", call(function(message, request)
      count = count + 1
      if count == 1 then return request:respond(404, {}, "no such session") end
      fake.json(request, message.id, fake.text "hi")
    end))
    assert.equal("initialize notifications/initialized tools/call initialize " ..
      "notifications/initialized tools/call", server.whats())
    assert.equal("s2", server.seen[6].session)
  end)

  it("tells a refusal by its kind, and follows no redirect", function()
    for status, kind in pairs { [401] = "authentication", [403] = "permission",
      [429] = "rate_limit", [503] = "provider_unavailable", [302] = "protocol" } do
      local none, err = start({ initialize = function(_, request)
        request:respond(status, { Location = "http://127.0.0.1:1/" }, "because")
      end })
      assert.is_nil(none)
      assert.equal(kind, err.kind)
      assert.equal(status, err.status)
      assert.match("because", err.message)
      server.close()
      server = nil
    end
  end)

  it("ends a call that takes too long, and says so to the server", function()
    assert(start { ["tools/call"] = function(_, request)
      request:begin(200, { ["Content-Type"] = "text/event-stream" })
      request:write ": nothing yet\n\n"
    end })
    local none, err = session:call("x", {}, 0.05)
    assert.is_nil(none)
    assert.equal("timeout", err.kind)
    session:close()
    assert.match("tools/call notifications/cancelled DELETE", server.whats())
  end)

  it("listens to what comes unasked, if anybody wants it", function()
    local listening
    local lists = 0
    local answers = {
      GET = function(_, request)
        request:begin(200, { ["Content-Type"] = "text/event-stream" })
        listening = request
      end,
      ["tools/list"] = function(message, request)
        lists = lists + 1
        fake.json(request, message.id, { tools = { { name = "t" .. lists } } })
      end,
    }
    local answered
    answers["tools/call"] = function(message, request)
      listening:write(fake.event { id = "r1", method = "roots/list" })
      listening:write(fake.event { method = "notifications/tools/list_changed" })
      answered = function() fake.json(request, message.id, fake.text "ok") end
    end
    assert(start(answers, { roots = { "file:///srv" } }))
    assert.equal("t1", assert(session:tools())[1].name)
    assert.equal("t1", assert(session:tools())[1].name)
    local calling = llm.spawn(function() return session:call "x" end)
    for _ = 1, 100 do
      if server.whats():find "tools/call .*answer" then break end
      llm.sleep(0.01)
    end
    answered()
    assert.equal("ok", calling:join())
    assert.equal("t2", assert(session:tools())[1].name)
    assert.match("tools/call answer", server.whats())
  end)

  it("does not trust a list that it hears no changes of", function()
    local lists = 0
    assert(start { ["tools/list"] = function(message, request)
      lists = lists + 1
      fake.json(request, message.id, { tools = { { name = "t" .. lists } } })
    end })
    assert.equal("t1", assert(session:tools())[1].name)
    assert.equal("t2", assert(session:tools())[1].name)
  end)

  it("says when nobody is there", function()
    local none, err = llm.mcp { url = "http://127.0.0.1:1/mcp", timeout = 1 }
    assert.is_nil(none)
    assert.equal("network", err.kind)
  end)
end)
