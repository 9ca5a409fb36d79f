-- The HTTP server as Lua sees it, asked by our own client on the same loop.
local core = require "llm.core"

describe("llm.core.server", function()
  local loop, server, client, origin

  before_each(function()
    loop = assert(core.loop.new())
    server = assert(core.server.listen(loop, {}))
    client = assert(core.http.new(loop, {}))
    origin = "http://127.0.0.1:" .. server:port()
  end)

  after_each(function()
    server:close()
    client:close()
    assert.equal(0, loop:live())
    loop:close()
  end)

  -- Steps until condition() is true and returns what it returned.
  local function wait(condition)
    local deadline = core.loop.clock() + 5
    while true do
      local value = condition()
      if value then
        return value
      end
      assert(core.loop.clock() < deadline, "it never came true")
      local _, message = loop:step(0.05)
      assert.is_nil(message)
      while loop:next() do
      end
    end
  end

  local function start(body, setup)
    setup = setup or {}
    setup.url = setup.url or origin .. "/v1/a%20b?x=1"
    return assert(client:start(setup, body))
  end

  local function accept()
    return wait(function()
      return server:accept()
    end)
  end

  local function next_item(transfer)
    local kind, a, b
    wait(function()
      kind, a, b = transfer:next()
      return kind
    end)
    return kind, a, b
  end

  it("shows a request and answers it", function()
    local transfer = start("question", { headers = "X-Name: some value\n" })
    assert.is_nil(server:accept())
    local request = accept()
    assert.is_nil(server:accept())
    assert.equal("POST", request:method())
    assert.equal("/v1/a%20b?x=1", request:path())
    assert.equal("some value", request:header("x-name"))
    assert.is_nil(request:header("x-other"))
    assert.equal("question", request:body())
    assert.is_false(request:gone())
    assert.is_true(request:respond(429, { ["Retry-After"] = "7", ["X-A"] = "b c" }, "slow down"))
    local kind, data = next_item(transfer)
    assert.same({ "event", "slow down" }, { kind, data })
    assert.equal(429, transfer:status())
    assert.equal("7", transfer:header("retry-after"))
    assert.equal("b c", transfer:header("x-a"))
    assert.equal("end", (next_item(transfer)))
    request:close()
    transfer:close()
  end)

  it("answers with nothing but a status", function()
    local transfer = start("")
    local request = accept()
    assert.equal("", request:body())
    assert.is_true(request:respond(503))
    request:close()
    assert.equal("end", (next_item(transfer)))
    assert.equal(503, transfer:status())
    transfer:close()
  end)

  it("streams: every piece is there before the next is written", function()
    local transfer = start("", { frame = "sse" })
    local request = accept()
    assert.is_true(request:begin(200, { ["Content-Type"] = "text/event-stream" }))
    for i = 1, 3 do
      assert.is_true(request:write("data: piece " .. i .. "\n\n"))
      assert.is_true(request:backlog() > 0)
      local _, data = next_item(transfer)
      assert.equal("piece " .. i, data)
      wait(function()
        return request:ready()
      end)
      assert.equal(0, request:backlog())
    end
    assert.is_true(request:finish())
    assert.equal("end", (next_item(transfer)))
    request:close()
    transfer:close()
  end)

  it("holds the writer back while the client does not read", function()
    local transfer = start("", { frame = "sse" })
    local request = accept()
    request:begin(200, { ["Content-Type"] = "text/event-stream" })
    local event = "data: " .. ("x"):rep(65536) .. "\n\n"
    for _ = 1, 200 do
      request:write(event)
    end
    for _ = 1, 20 do
      loop:step(0.002)
      loop:next()
    end
    assert.is_false(request:ready())
    assert.is_true(request:backlog() > 0)
    wait(function()
      while transfer:next() do
      end
      return request:ready()
    end)
    assert.equal(0, request:backlog())
    request:close()
    transfer:close()
  end)

  it("sees the client go, before and in the middle of an answer", function()
    for _, answered in ipairs({ false, true }) do
      local transfer = start("", { frame = "sse" })
      local request = accept()
      if answered then
        request:begin(200)
        request:write("data: x\n\n")
        wait(function()
          return request:ready()
        end)
      end
      transfer:close()
      wait(function()
        return request:gone()
      end)
      assert.is_true(request:ready())
      local ok, message = request:respond(200, {}, "too late")
      assert.is_nil(ok)
      assert.equal("the client has gone", message)
      assert.is_nil(request:write("x"))
      assert.is_nil(request:finish())
      request:abort()
      request:close()
    end
  end)

  it("cuts a stream without its end", function()
    local transfer = start("", { frame = "sse" })
    local request = accept()
    request:begin(200, { ["Content-Type"] = "text/event-stream" })
    request:write("data: half\n\n")
    local _, data = next_item(transfer)
    assert.equal("half", data)
    request:abort()
    assert.equal("error", (next_item(transfer)))
    request:close()
    transfer:close()
  end)

  it("refuses a body over the limit", function()
    local small = assert(core.server.listen(loop, { max_body_bytes = 3, host = "localhost" }))
    local transfer = start("four", { url = "http://127.0.0.1:" .. small:port() .. "/" })
    next_item(transfer)
    assert.equal(413, transfer:status())
    transfer:close()
    small:close()
  end)

  it("tells operations apart by their ids", function()
    local transfer = start("")
    local request = accept()
    assert.is_not.equal(server:id(), request:id())
    request:close()
    transfer:close()
  end)

  it("aborts what is dropped", function()
    local transfer = start("")
    accept()
    collectgarbage()
    collectgarbage()
    assert.equal("error", (next_item(transfer)))
    transfer:close()
  end)

  it("may be closed in any order, and twice", function()
    local transfer, other = start(""), start("")
    local request = accept()
    server:close()
    server:close()
    assert.is_true(request:gone())
    assert.is_nil(request:respond(200, {}, ""))
    request:close()
    request:close()
    assert.has_error(function()
      request:gone()
    end)
    assert.has_error(function()
      server:port()
    end)
    transfer:close()
    other:close()
  end)

  it("keeps the loop alive that it needs", function()
    local kept = assert(core.server.listen(assert(core.loop.new()), {}))
    collectgarbage()
    collectgarbage()
    assert.is_nil(kept:accept())
    kept:close()
  end)

  it("says why it cannot listen", function()
    local second, message = core.server.listen(loop, { port = server:port() })
    assert.is_nil(second)
    assert.truthy(message:find("in use", 1, true))
    assert.is_nil((core.server.listen(loop, { host = "example.com" })))
  end)

  it("raises on misuse", function()
    local transfer = start("")
    local request = accept()
    local function raises(text, ...)
      local ok, message = pcall(...)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    raises("out of turn", request.respond, request, 99)
    raises("out of turn", request.write, request, "x")
    raises("out of turn", request.begin, request, 200, { ["Content-Length"] = "1" })
    raises("cannot be sent", request.begin, request, 200, { ["A b"] = "x" })
    raises("cannot be sent", request.respond, request, 200, { A = "x\r\nB: y" }, "")
    raises("must be strings", request.respond, request, 200, { A = 1 }, "")
    raises("too large", core.server.listen, loop, { port = 65536 })
    request:respond(200, nil, "")
    raises("out of turn", request.respond, request, 200, {}, "")
    request:close()
    transfer:close()
  end)
end)
