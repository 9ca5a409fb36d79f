-- llm.core.http from Lua: what a garbage collector may do to transfers at the worst moment.
local core = require "llm.core"
local faults = require "spec.support.faults"

describe("llm.core.http", function()
  local server, loop, client

  setup(function() server = faults.start() end)
  teardown(function() server.stop() end)

  before_each(function()
    loop = assert(core.loop.new())
    client = assert(core.http.new(loop, {}))
  end)

  after_each(function()
    collectgarbage()
    collectgarbage()
    assert.equal(0, loop:live())
  end)

  local function start(fault, setup)
    setup = setup or {}
    setup.url = server.url(fault) .. "/chat/completions"
    setup.frame = setup.frame or "sse"
    return assert(client:start(setup, '{"stream":true}'))
  end

  local function next_item(transfer)
    while true do
      local kind, a, b = transfer:next()
      if kind then return kind, a, b end
      loop:step(5)
    end
  end

  local newproxy = rawget(_G, "newproxy")

  local function on_collection(call)
    if newproxy then
      getmetatable(newproxy(true)).__gc = call
    else
      setmetatable({}, { __gc = call })
    end
  end

  -- next and headers pushed bytes of the transfer itself, pushing collected garbage, and a
  -- finalizer that closed the transfer freed them; one that pulled moved them.
  it("outlives finalizers that use the transfer it is showing", function()
    local ran = 0
    local pause, speed = collectgarbage("setpause", 1), collectgarbage("setstepmul", 1000000)
    collectgarbage() -- from here on the collector hurries
    for _, method in ipairs { "close", "next", "headers" } do
      for _ = 1, 30 do
        local transfer = start("big-event-1")
        repeat
          on_collection(function()
            ran = ran + 1
            pcall(transfer[method], transfer)
          end)
          local ok, kind, data = pcall(next_item, transfer)
          if not ok then assert.matches("closed", kind) end
          if kind == "event" and #data > 1000 then
            assert.is_truthy(data:find('"content":"a+"') and data:find("}$"))
          end
          ok = ok and pcall(transfer.headers, transfer)
        until not ok or kind == "end" or kind == "error"
        transfer:close()
      end
    end
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", speed)
    assert.is_true(ran > 0)
    client:close()
  end)

  it("refuses what was closed, and closes twice", function()
    local transfer = start("ok")
    transfer:close()
    transfer:close()
    assert.has_error(function() transfer:next() end)
    client:close()
    client:close()
    assert.has_error(function() client:start({ url = "http://127.0.0.1/" }) end)
  end)

  it("is collected in any order, in flight", function()
    for _ = 1, 10 do
      local inner_loop = assert(core.loop.new())
      local inner_client = assert(core.http.new(inner_loop, {}))
      local transfers = {}
      for i = 1, 5 do
        transfers[i] = assert(inner_client:start({ url = server.url("stall-before-headers"),
          frame = "sse" }, "{}"))
      end
      inner_loop:step(0.01)
      inner_loop:close()
      transfers[3]:close()
    end
    collectgarbage()
    collectgarbage()
    local deadline = core.loop.clock() + 2
    while server.open("stall-before-headers") > 0 do assert(core.loop.clock() < deadline) end
    client:close()
  end)

  it("cancels what is dropped", function()
    start("stall-after-first-event")
    assert.equal(1, loop:live())
    collectgarbage()
    collectgarbage()
    assert.equal(0, loop:live())
    client:close()
  end)

  it("has no use for a header that may not be sent", function()
    assert.equal("X-A: b\n", core.http.header_line("X-A", "b"))
    assert.equal("X-A;\n", core.http.header_line("X-A", ""))
    local refused = {
      { "X A", "b" }, { "", "b" }, { "X:A", "b" }, { "X\195\164", "b" },
      { "X-A", "b\r\nX-Evil: 1" },
      { "X-A", "b\n" }, { "X-A", "b\r" }, { "X-A", "b\0c" }, { "X-A", " b" }, { "X-A", "b\t" },
      { "X-A", ("a"):rep(20000) },
    }
    for _, case in ipairs(refused) do
      local line, fault = core.http.header_line(case[1], case[2])
      assert.is_nil(line)
      assert.is_string(fault)
    end
    client:close()
  end)
end)
