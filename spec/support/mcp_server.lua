-- An MCP server that misbehaves as its first argument says; run by llmrun as a child of the specs.
local llm = require "llm"

local decode, encode = llm.json.decode, llm.json.encode
local manner = arg[1]
local heard = {} -- what came: method, and what it was about

local function send(message)
  message.jsonrpc = "2.0"
  io.write(encode(message), "\n")
  io.flush()
end

local function answer(id, result) send { id = id, result = result } end

local function text(value) return { content = { { type = "text", text = value } } } end

local answers = {}

function answers.initialize(message)
  local version = manner == "old" and "2024-11-05" or manner == "future" and "2999-01-01"
  answer(message.id, { protocolVersion = version or message.params.protocolVersion,
    serverInfo = { name = "fake\27[31m", version = "1" }, instructions = "Be kind.",
    capabilities = { tools = { listChanged = true } } })
end

local pages = 0
answers["tools/list"] = function(message)
  local cursor = message.params.cursor
  pages = pages + 1
  if manner == "endless" then
    return answer(message.id, { tools = { { name = "t" .. pages } }, nextCursor = "c" .. pages })
  end
  local first = { { name = "a.b/c", inputSchema = { type = "object" }, description = "A" } }
  if not cursor then return answer(message.id, { tools = first, nextCursor = "2" }) end
  answer(message.id, { tools = { { name = "asks" .. pages } } })
end

local tools = {}
local waiting = {}

-- Answers three calls at once, the last one first.
function tools.reverse(message)
  table.insert(waiting, 1, message)
  if #waiting < 3 then return end
  for _, one in ipairs(waiting) do answer(one.id, text(one.params.arguments.word)) end
  waiting = {}
end

function tools.env(message)
  answer(message.id, text(tostring(os.getenv(message.params.arguments.name))))
end

function tools.silent() end

function tools.die()
  io.stderr:write("reading the configuration\ncannot find config.toml\n")
  os.exit(7)
end

function tools.noise(message)
  io.write("Debugger attached.\n\n{\"half\": \n[1,2]\n")
  send { id = 99999, result = {} }
  send { id = message.id, result = text "still here", error = llm.null }
end

function tools.long(message)
  local piece = ("x"):rep(1024 * 1024)
  for _ = 1, 40 do io.write(piece) end
  answer(message.id, text "unheard")
end

function tools.change(message)
  send { method = "notifications/tools/list_changed" }
  send { method = "notifications/message",
    params = { level = "warning", data = { disk = "full" } } }
  answer(message.id, text "changed")
end

function tools.progress(message)
  for i = 1, 4 do
    llm.sleep(0.06)
    send { method = "notifications/progress",
      params = { progressToken = message.params._meta.progressToken, progress = i } }
  end
  answer(message.id, text "done")
end

function tools.bare(message) answer(message.id, nil) end

function tools.heard(message) answer(message.id, text(table.concat(heard, " "))) end

-- Asks us before it answers.
function tools.ask(message)
  local params = message.params.arguments
  send { id = "mine", method = params.method, params = params.params }
  local reply = decode(io.read())
  answer(message.id, { structuredContent = { reply = reply.result or reply.error },
    content = {} })
end

answers["tools/call"] = function(message) tools[message.params.name](message) end

for line in io.lines() do
  local message = decode(line)
  local params = message.params or {}
  heard[#heard + 1] = message.method .. (params.requestId and "=" .. params.requestId or "")
  local respond = answers[message.method]
  if respond then
    respond(message)
  elseif message.id then
    send { id = message.id, error = { code = -32601, message = "no " .. message.method } }
  end
end
if manner == "stubborn" then os.execute("trap '' TERM; sleep 60") end
