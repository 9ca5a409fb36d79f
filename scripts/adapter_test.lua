-- Checks an adapter over recorded fixtures: what it reads at every split and cut, what it sends.
-- Shows: adapters are tested without a network; docs/adapters.md describes the manifest.
local llm = require "llm"

local args = llm.args({
  usage = "adapter-test FILE|PROVIDER FIXTURES",
  about = "Runs the adapter in FILE, or a provider that comes along, over the recorded replies\n" ..
    "in the folder FIXTURES. Prints a line for each check that fails.",
}, arg)

local spec, folder = args[1], args[2]
if not folder then llm.stop(2, "name the adapter and the folder of its fixtures; try --help") end

local passed, failed = llm.conformance.run(spec, folder:gsub("(.)/+$", "%1"), print)
print(("%d passed, %d failed"):format(passed, failed))
if failed > 0 then llm.stop(1) end
