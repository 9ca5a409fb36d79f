--- Process: runs other programs: a list of words and no shell, nothing inherited that is secret.
-- @module llm.process
local core = require "llm.core"
local errors = require "llm.error"
local options = require "llm.options"
local secret = require "llm.secret"
local task = require "llm.task"
local time = require "llm.time"

local MAX_OUTPUT = 16 * 1024 * 1024

local known = {
  input = "string", timeout = "number", max_output = "number", env = "table", cwd = "string",
}

-- Variables that hold keys: those that tools and model providers commonly have.
local private = { "API_KEY", "ACCESS_KEY", "SECRET", "PASSWORD", "ACCESS_TOKEN", "^AWS_.*TOKEN" }

local function is_private(name, value)
  for _, pattern in ipairs(private) do if name:find(pattern) then return true end end
  return secret.scrub(value) ~= value
end

--- What a child gets to see: our environment without the variables that hold keys, changed as
-- given.
-- @tparam[opt] table given name -> a value, `true` for our own, `false` for none
-- @treturn table name -> value
local function environment(given)
  local ours = core.process.environment()
  local env = {}
  for name, value in pairs(ours) do if not is_private(name, value) then env[name] = value end end
  for name, value in pairs(given or {}) do
    if type(value) == "boolean" then value = value and ours[name] or nil end
    env[name] = value
  end
  return env
end

--- Starts a program, see core/lua/process.c for the methods of a child.
-- @tparam table words the program and its arguments
-- @tparam table opts `env`, `cwd`, `stderr = "inherit"|"capture"`
-- @treturn Child
-- @treturn nil, err
local function start(words, opts)
  local child, message = core.process.start(task.loop(), words,
    { env = environment(opts.env), cwd = opts.cwd, stderr = opts.stderr })
  if not child then return nil, errors.new("invalid_request", message) end
  return child
end

-- The input as far as the child takes it; one that reads no more has its reasons.
local function feed(job)
  local taken = job.input and job.child:write(job.input, job.from)
  job.from = job.from + (taken or 0)
  if taken and job.from <= #job.input then return end
  job.input = nil
  job.child:finish()
end

-- One piece of a stream; whether there was one.
local function drain(job, name)
  local bytes = job.child:read(name)
  if not bytes or bytes == "" then return false end
  local room = job.max_output - job.bytes
  if #bytes > room then job.truncated, bytes = true, bytes:sub(1, room) end
  job.bytes = job.bytes + #bytes
  table.insert(job[name], bytes)
  return true
end

local function result(job)
  return { stdout = table.concat(job.stdout), stderr = table.concat(job.stderr),
    truncated = job.truncated }
end

-- Moves what can be moved; whether the job goes on. What a child wrote before its end is there
-- when its end is; a grandchild that holds its streams open is not waited for.
local function goes_on(job)
  local child = job.child
  if job.input then feed(job) end
  local how, number = child:status()
  local more = drain(job, "stdout")
  more = drain(job, "stderr") or more
  job.how, job.number = how, number
  if job.truncated or how and not more then return nil end
  job.is_late = not how and job.deadline and time.clock() >= job.deadline
  if job.is_late then return nil end
  child:wake_at(more and 0 or job.deadline or math.huge)
  return true
end

local function outcome(job)
  local done = result(job)
  if job.is_late then
    return nil, errors.new("timeout", ("%s took longer than %g s and was stopped"):format(
      job.program, job.timeout), { partial = done })
  end
  if job.how == "lost" then
    return nil, errors.new("protocol",
      job.program .. ": its exit code was taken by another part of this process")
  end
  if job.how == "exit" then done.code = job.number else done.signal = job.number or 9 end
  return done
end

--- Runs a program to its end. Its output is read as it comes; a program that writes more than
-- `max_output` bytes is stopped there. What it started itself ends with it.
-- @tparam table words the program, looked for in PATH, and its arguments; no shell reads them
-- @tparam[opt] table opts `input` (a text for its standard input), `timeout` (seconds),
-- `max_output` (bytes of output and errors together; 16 MiB), `cwd`, `env`: name -> a value, `true`
-- for our own (a key is passed on so and not otherwise), `false` for none
-- @treturn table `code` or `signal`, `stdout`, `stderr`, `truncated`
-- @treturn nil, err `invalid_request` when it cannot be run, `timeout` with `err.partial`
-- @usage local done = assert(llm.process.run({ "git", "log", "-1" }, { timeout = 5 }))
local function run(words, opts)
  opts = options.check(opts, known, "process.run")
  if type(words) ~= "table" or not words[1] then
    options.refuse("process.run", "give the program and its arguments as a list")
  end
  local child, err = start(words, { env = opts.env, cwd = opts.cwd, stderr = "capture" })
  if not child then return nil, err end
  local job = { child = child, program = words[1], input = opts.input or "", from = 1, bytes = 0,
    stdout = {}, stderr = {}, max_output = opts.max_output or MAX_OUTPUT, timeout = opts.timeout,
    deadline = opts.timeout and time.clock() + opts.timeout }
  for _ in goes_on, job, nil, child do task.wait(child:id()) end
  child:close()
  return outcome(job)
end

--- How a program ended, in words.
-- @tparam table done what `run` returned
-- @treturn string `exit code 2: what its last error lines say`
local function describe(done)
  local how = done.code and "exit code " .. done.code or "signal " .. tostring(done.signal)
  local said = done.stderr:gsub("%s+$", ""):match("[^\n]*$")
  return said ~= "" and how .. ": " .. said or how
end

return { run = run, start = start, environment = environment, describe = describe }
