-- What the scenarios of @modelcontextprotocol/conformance ask of a client: llmrun
-- mcp_conformance.lua URL, with the scenario's name in MCP_CONFORMANCE_SCENARIO
local llm = require "llm"

local scenario = os.getenv "MCP_CONFORMANCE_SCENARIO"
local session = assert(llm.mcp { url = arg[#arg], timeout = 20 })
local tools = assert(session:tools())
if scenario == "tools_call" then
  assert(assert(session:call("add_numbers", { a = 5, b = 3 })):find "8")
elseif scenario == "sse-retry" then
  assert(tools[1].run {})
end
session:close()
