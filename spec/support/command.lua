--- llmrun in an empty folder beside the fault server, for the specs of the command.
-- @usage local command = require "spec.support.command"
-- setup(command.start) teardown(command.stop) before_each(command.enter) after_each(command.leave)
local core = require "llm.core"
local faults = require "spec.support.faults"
local llm = require "llm"
local process = require "spec.support.process"

local command = {}

local server, folder, remove

function command.start() server = faults.start() end
function command.stop() server.stop() end

function command.enter()
  server.reset()
  folder, remove = process.folder()
  command.server, command.folder = server, folder
end

function command.leave() remove() end

function command.write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
  file:close()
end

local function in_folder(opts)
  opts = opts or {}
  opts.cwd = folder
  return opts
end

--- Runs llmrun with these arguments; the last may be options of process.run.
function command.run(...)
  local argv = { process.llmrun, ... }
  local opts = type(argv[#argv]) == "table" and table.remove(argv) or nil
  return process.run(argv, in_folder(opts))
end

--- Runs a line of bash in which $LLMRUN is the command.
function command.shell(line, env)
  env = env or {}
  env.LLMRUN = process.llmrun
  return process.run({ "bash", "-c", line }, in_folder { env = env })
end

--- An environment whose OpenAI is a fault.
function command.openai(fault)
  return { OPENAI_BASE_URL = server.url(fault), OPENAI_API_KEY = "sk-CANARY-command" }
end

--- The body of the last request, decoded.
function command.asked(fault)
  return core.json.decode(server.last(fault):match("\r\n\r\n(.*)$"))
end

--- Whether the fault has no request open any more, within a second.
function command.is_abandoned(fault)
  local deadline = core.loop.clock() + 1
  while server.open(fault) > 0 and core.loop.clock() < deadline do llm.sleep(0.01) end
  return server.open(fault) == 0
end

return command
