-- Our MCP client against the official servers. usage: llmrun mcp.lua stdio | http URL
local llm = require "llm"

local function open(words, opts)
  opts = opts or {}
  opts.command, opts.timeout = words, 20
  return assert(llm.mcp(opts))
end

local function node(name, ...) return { "node", "node_modules/.bin/" .. name, ... } end

-- What every transport of server-everything can do.
local function check_everything(session, told)
  assert(session.version == "2025-11-25", session.version)
  assert(session:ping())
  local tools = {}
  for _, tool in ipairs(assert(session:tools())) do
    tools[tool.name] = tool
    assert(llm.schema.compile(tool.parameters), tool.name)
  end
  assert(tools.echo.run { message = "hé" } == "Echo: hé")
  assert(assert(session:call("get-sum", { a = 2, b = 3 })):find "5")
  assert(assert(session:call("get-structured-content", { location = "Chicago" })).temperature)
  local image
  for _, part in ipairs(assert(session:call "get-tiny-image")) do
    image = part.type == "image" and part or image
  end
  assert(image.mime == "image/png" and image.data:sub(2, 4) == "PNG")
  local none, err = session:call("get-sum", { a = "x" })
  assert(not none and err.is_tool and err.message:find "expected number", err)
  assert(assert(session:call("trigger-long-running-operation",
    { duration = 0.2, steps = 2 })):find "completed")
  assert(told["notifications/progress"] == 2, told["notifications/progress"])
  assert(assert(session:call("trigger-sampling-request", { prompt = "Say hi" })):find "mock says")
  assert(assert(session:call "get-roots-list"):find("file:///srv", 1, true))
  local resources = assert(session:resources())
  assert(#assert(session:read_resource(resources[1].uri)) > 100)
  assert(#assert(session:resource_templates()) >= 2)
  assert(#assert(session:prompts()) >= 3)
  local messages = assert(session:prompt("args-prompt", { city = "Oslo" }))
  assert(messages[1].role == "user" and messages[1].content:find "Oslo")
end

local function everything(how)
  local told = {}
  local mock = llm.mock { text = "mock says hi" }
  local client = llm.client { provider = mock.provider }
  how.sampling, how.roots, how.timeout = client, { "file:///srv" }, 20
  how.notified = function(method) told[method] = (told[method] or 0) + 1 end
  local session = assert(llm.mcp(how))
  check_everything(session, told)
  session:close()
  client:close()
  mock:close()
end

local function filesystem()
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. folder))
  local session = open(node("mcp-server-filesystem", folder))
  local path = folder .. "/note.txt"
  assert(session:call("write_file", { path = path, content = "one\ntwo\n" }))
  assert(assert(session:call("read_text_file", { path = path, head = 1 })).content == "one")
  assert(assert(session:call("list_directory", { path = folder })).content:find "note.txt")
  local none, err = session:call("read_text_file", { path = "/etc/passwd" })
  assert(not none and err.is_tool and err.message:find "denied", err)
  session:close()
  os.execute("rm -r " .. folder)
end

if arg[1] == "http" then
  everything { url = arg[2] }
else
  everything { command = node "mcp-server-everything" }
  filesystem()
end
llm.loop.step(0.05)
collectgarbage()
assert(llm.live() == 0, llm.live() .. " operations are left")
print("mcp over " .. arg[1] .. ": ok")
