--- A streamable HTTP server of MCP inside the spec: each message is answered as the spec says.
-- @usage
-- local server = fake.start { ["tools/call"] = function(message, request) … end }
local core = require "llm.core"
local task = require "llm.task"

local encode, decode = core.json.encode, core.json.decode
local fake = {}

--- A JSON answer.
function fake.json(request, id, result, headers)
  headers = headers or {}
  headers["Content-Type"] = "application/json"
  request:respond(200, headers, encode { jsonrpc = "2.0", id = id, result = result })
end

--- The bytes of an event that carries a message.
function fake.event(message, id)
  message.jsonrpc = "2.0"
  return (id and "id: " .. id .. "\n" or "") .. "data: " .. encode(message) .. "\n\n"
end

--- A text as the result of a tool.
function fake.text(text) return { content = { { type = "text", text = text } } } end

local function initialize(message, request, server)
  server.sessions = server.sessions + 1
  fake.json(request, message.id, { protocolVersion = message.params.protocolVersion,
    capabilities = { tools = { listChanged = true } }, serverInfo = { name = "web" } },
    { ["Mcp-Session-Id"] = "s" .. server.sessions })
end

local function answer(server, request)
  local method = request:method()
  local message = method == "POST" and decode(request:body()) or { method = method }
  server.seen[#server.seen + 1] = { what = message.method or "answer",
    session = request:header "mcp-session-id", version = request:header "mcp-protocol-version",
    last = request:header "last-event-id", accept = request:header "accept",
    key = request:header "authorization" }
  local handle = server.answers[message.method]
  if not handle and message.method == "initialize" then handle = initialize end
  if handle then return handle(message, request, server) end
  request:respond(message.id and 500 or method == "POST" and 202 or 405, {}, "")
end

--- Starts the server.
-- @tparam table answers method (or "GET", "DELETE") -> `function(message, request, server)`
-- @treturn table `url`, `seen` (all that came), `close()`
function fake.start(answers)
  local listener = assert(core.server.listen(task.loop(), {}))
  local server = { answers = answers, seen = {}, sessions = 0, held = {},
    url = "http://127.0.0.1:" .. listener:port() .. "/mcp" }
  server.task = task.spawn(function()
    while true do
      local request = listener:accept()
      if not request then
        task.wait(listener:id())
      else
        server.held[#server.held + 1] = request
        answer(server, request)
      end
    end
  end)
  function server.close()
    server.task:cancel()
    for _, request in ipairs(server.held) do request:close() end
    listener:close()
  end
  function server.whats()
    local list = {}
    for i, one in ipairs(server.seen) do list[i] = one.what end
    return table.concat(list, " ")
  end
  return server
end

return fake
