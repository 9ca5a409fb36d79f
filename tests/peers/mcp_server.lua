-- A script that is an MCP server, for mcp_client.mjs.
local llm = require "llm"

assert(llm.mcp_server {
  name = "toolbox", version = "2.0", instructions = "Measure twice.",
  tools = {
    { name = "add", description = "Adds", parameters = "a: number, b: number",
      run = function(arguments)
        print "adding"
        return { sum = arguments.a + arguments.b }
      end },
    { name = "draw", run = function()
        return { { type = "text", text = "here" },
          { type = "image", mime = "image/png", data = "PNG" } }
      end },
    { name = "fail", run = function() error("out of paper", 0) end },
    { name = "slow", parameters = "seconds?: number", run = function(arguments, context)
        for i = 1, 3 do
          context.progress(i, 3)
          llm.sleep((arguments.seconds or 0.03) / 3)
        end
        return "done"
      end },
  },
  resources = { { uri = "box://gauge", read = function() return "readings" end } },
  prompts = { { name = "estimate", arguments = { { name = "what", required = true } },
    get = function(arguments) return "How long is " .. arguments.what .. "?" end } },
})
