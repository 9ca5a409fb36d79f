-- Shows what an MCP server offers, and calls one of its tools by hand.
-- Shows: llm.mcp, a table for people and programs.
local llm = require "llm"

local args = llm.args({
  usage = "mcp [options] [-- PROGRAM [ARGUMENT...]]",
  about = "Starts an MCP server and lists its tools, resources and prompts, or calls a tool.\n" ..
    "llmrun mcp -- npx -y @modelcontextprotocol/server-filesystem .",
  { "url", "a server to reach over HTTP, in place of PROGRAM", short = "u", value = "URL" },
  { "call", "call this tool", short = "c", value = "TOOL" },
  { "arguments", "its arguments, a JSON object", short = "a", value = "JSON", default = "{}" },
  { "json", "print the lists as JSON" },
}, arg)

local arguments, problem = llm.json.decode(args.arguments)
if type(arguments) ~= "table" then
  llm.stop(2, "--arguments must be a JSON object" .. (problem and ": " .. problem or ""))
end
if (args[1] == nil) == (args.url == nil) then llm.stop(2, "give a PROGRAM or --url; try --help") end

-- A text for people: media are named, not shown.
local function shown(value)
  if type(value) == "string" then return value end
  if not (value[1] and value[1].type) then return llm.json.encode(value) end
  local lines = {}
  for i, part in ipairs(value) do
    lines[i] = part.text or ("[%s %s, %d bytes]"):format(part.type, part.mime, #part.data)
  end
  return table.concat(lines, "\n")
end

local session, err = llm.mcp { url = args.url, command = args[1] and { table.unpack(args) } or nil }
if not session then error(err, 0) end

if args.call then
  local tool
  for _, one in ipairs(assert(session:tools())) do tool = one.name == args.call and one or tool end
  if not tool then llm.stop(2, ("there is no tool %q"):format(args.call)) end
  local value, failure = tool.run(arguments)
  if value == nil then llm.stop(1, tostring(failure)) end
  print(shown(value))
else
  local rows = {}
  for _, kind in ipairs { "tools", "resources", "resource_templates", "prompts" } do
    for _, one in ipairs(assert(session[kind](session))) do
      rows[#rows + 1] = { kind = kind:gsub("s$", ""):gsub("_", " "),
        name = one.uri or one.uriTemplate or one.name, about = one.description or one.title }
    end
  end
  llm.table(rows, { { "kind" }, { "name" }, { "about", cut = true } }, { json = args.json })
end
session:close()
