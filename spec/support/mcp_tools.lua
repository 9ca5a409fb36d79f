-- A script that is an MCP server, as a user would write it; run by llmrun as a child of the specs.
local llm = require "llm"

assert(llm.mcp_server {
  name = "kit", version = "1.2", instructions = "Use it well.",
  tools = {
    { name = "add", description = "Adds two numbers", parameters = "a: number, b: number",
      run = function(arguments) return { sum = arguments.a + arguments.b } end },
    { name = "greet", parameters = { type = "object", required = { "name" },
        properties = { name = { type = "string" } } },
      run = function(arguments)
        print "what is printed"
        io.write("what is written\n")
        return "Hello, " .. arguments.name
      end },
    { name = "count", run = function(_, context)
        for i = 1, 3 do
          context.progress(i, 3, "step " .. i)
          llm.sleep(0.01)
        end
        return "counted"
      end },
    { name = "draw", run = function()
        return { { type = "text", text = "a dot" },
          { type = "image", mime = "image/png", data = "\137PNG\0" } }
      end },
    { name = "raise", run = function() error("out of paper", 0) end },
    { name = "refuse", run = function() return nil, "not today" end },
    { name = "nothing", run = function() end },
    { name = "sleep", run = function()
        llm.sleep(60)
      end },
    { name = "nap", run = function()
        llm.sleep(0.02)
        return "awake"
      end },
    { name = "read", run = function() return tostring(io.read()) end },
  },
  resources = {
    { uri = "kit://text", name = "text", read = function() return "words" end },
    { uri = "kit://bytes", mime = "image/png", read = function() return "\0\1\2" end },
  },
  prompts = {
    { name = "review", description = "Reviews code", arguments = {
        { name = "code", required = true } },
      get = function(arguments) return "Review this: " .. arguments.code end },
  },
})
print "served"
