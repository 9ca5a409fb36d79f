--- A real terminal (tmux) in which a command runs, and what a person sees of it. The loop of this
-- process goes on meanwhile, so that a mock in it can answer.
-- @usage
-- local screen = terminal.start("llmrun chat", { columns = 40 })
-- screen.type("Hello\n")
-- local lines = screen.wait("Hello")
-- screen.stop()
local core = require "llm.core"
local llm = require "llm"
local process = require "spec.support.process"

local terminal = { is_there = os.execute("command -v tmux >/dev/null") }

--- Starts a command of the shell; a line END is shown when it is over.
-- @tparam string command
-- @tparam[opt] table opts `columns` (80), `rows` (24), `env` (all of its environment but PATH)
function terminal.start(command, opts)
  opts = opts or {}
  local folder, remove = process.folder()
  local script = assert(io.open(folder .. "/script", "w"))
  script:write("PATH=", process.quote(os.getenv("PATH")), "\nexport PATH\n")
  for name, value in pairs(opts.env or {}) do
    script:write(name, "=", process.quote(value), "\nexport ", name, "\n")
  end
  script:write(command, "\necho END $?\nread line\n")
  script:close()
  local tmux = ("tmux -u -f /dev/null -S %s/socket "):format(folder)
  local bare = "env -i LC_ALL=C.UTF-8 TERM=xterm PATH=" .. process.quote(os.getenv("PATH"))
  assert(os.execute(("%s %s new-session -d -x %d -y %d sh %s/script"):format(
    bare, tmux, opts.columns or 80, opts.rows or 24, folder)))
  local screen = {}

  --- The lines that are shown now, without empty ones at the end.
  function screen.lines()
    local lines, last = {}, 0
    local pipe = assert(io.popen(tmux .. "capture-pane -p 2>&1"))
    for line in pipe:lines() do
      lines[#lines + 1] = line
      if line ~= "" then last = #lines end
    end
    pipe:close()
    for i = last + 1, #lines do lines[i] = nil end
    return lines
  end

  --- Waits until something is shown: the lines, or an error after 10 seconds, which
  -- stops the screen.
  -- @tparam string pattern Lua pattern
  function screen.wait(pattern)
    local deadline = core.loop.clock() + 10
    while true do
      local lines = screen.lines()
      local text = table.concat(lines, "\n")
      if text:find(pattern) then return lines, text end
      if core.loop.clock() > deadline then
        screen.stop() -- or what it runs outlives the spec
        error(pattern .. " did not come:\n" .. text, 2)
      end
      llm.sleep(0.02)
    end
  end

  --- Types keys: `\n` is the enter key, `^C` and `^D` are those of control.
  function screen.type(keys)
    for key in keys:gsub("\n", "^M"):gmatch("%^?[^%^]*") do
      local control = key:match("^%^(%a)")
      if control then os.execute(tmux .. "send-keys C-" .. control:lower()) end
      local text = control and key:sub(3) or key
      if text ~= "" then os.execute(tmux .. "send-keys -l -- " .. process.quote(text)) end
    end
  end

  function screen.stop()
    os.execute(tmux .. "kill-server 2>/dev/null")
    remove()
  end

  return screen
end

return terminal
