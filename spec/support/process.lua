--- Other programs, as a shell would start them: what goes in, what comes out. The specs of the
-- command are run under Lua 5.4 alone, which tells how a program ended.
-- @usage
-- local done = process.run({ process.llmrun, "-p", "Hi" }, { stdin = "x", env = { HOME = "/y" } })
-- assert.equal(0, done.code)
local process = {}

local function output_of(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read("a")
  pipe:close()
  return text
end

local here = output_of("pwd"):match("[^\n]+")

local function absolute(path) return path:sub(1, 1) == "/" and path or here .. "/" .. path end

process.llmrun = absolute(os.getenv("LLMRUN") or "build/llmrun")

--- Built with sanitizers: such a program cannot be held to an address space.
local symbols = output_of("grep -c __asan_init " .. "'" .. process.llmrun .. "'")
process.is_sanitized = symbols:match("%d+") ~= "0"

function process.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  os.remove(path)
  return text
end

-- The shell's words for a program with no environment but ours and no signal ignored.
local function words(argv, env)
  local list = { "env -i --default-signal", "PATH=" .. process.quote(os.getenv("PATH")) }
  for name, value in pairs(env or {}) do list[#list + 1] = name .. "=" .. process.quote(value) end
  for _, word in ipairs(argv) do list[#list + 1] = process.quote(word) end
  return table.concat(list, " ")
end

--- Starts a program; it must not be left without wait().
-- @tparam table argv
-- @tparam[opt] table opts `stdin` (a text, else nothing), `env` (all of its environment but PATH),
-- `cwd`, `before` (shell, run in the same process before), `redirect` (shell, after our own)
-- @treturn table with `pid`, `kill(signal)`, `running()`, `stdout()` so far,
-- `wait() -> {code, stdout, stderr}`;
-- code is 128 and the signal for a program that a signal ended
function process.start(argv, opts)
  opts = opts or {}
  local base = os.tmpname()
  local paths = { stdin = base, stdout = base .. ".out", stderr = base .. ".err" }
  local file = assert(io.open(paths.stdin, "wb"))
  file:write(opts.stdin or "")
  file:close()
  local pipe = assert(io.popen(("cd %s && echo $$ && %s exec %s <%s >%s 2>%s %s"):format(
    process.quote(opts.cwd or "."), opts.before or "", words(argv, opts.env),
    opts.stdin and paths.stdin or "/dev/null", paths.stdout, paths.stderr, opts.redirect or "")))
  local self = { pid = pipe:read("l") }

  function self.kill(signal) os.execute("kill -" .. signal .. " " .. self.pid) end

  function self.stdout()
    local so_far = io.open(paths.stdout, "rb")
    local text = so_far and so_far:read("a") or ""
    if so_far then so_far:close() end
    return text
  end

  function self.running()
    local status = io.open("/proc/" .. self.pid .. "/stat", "r")
    local state = status and status:read("a"):match("^.*%) (%a)")
    if status then status:close() end
    return state ~= nil and state ~= "Z"
  end

  function self.wait()
    local _, how, code = pipe:close()
    os.remove(paths.stdin)
    return { code = how == "signal" and 128 + code or code, stdout = read(paths.stdout),
      stderr = read(paths.stderr) }
  end

  return self
end

--- Runs a program to its end.
-- @treturn table `code`, `stdout`, `stderr`
function process.run(argv, opts) return process.start(argv, opts).wait() end

--- Runs a line of shell to its end, in the same bare environment.
function process.shell(line, opts) return process.run({ "bash", "-c", line }, opts) end

--- A folder of one's own, and how to get rid of it.
function process.folder()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir " .. path))
  return path, function() os.execute("rm -rf " .. process.quote(path)) end
end

return process
