--- The command line of llmrun: finds the script, runs it, turns errors into one line and an exit
-- code.
-- @module llm.cli
local args = require "llm.args"

local usage = [[
usage: llmrun [options] SCRIPT.lua [arguments]    run a script
       llmrun [options] NAME [arguments]          run an installed script, see below
       llmrun [options] -p PROMPT                 ask once; standard input is added to the prompt
       llmrun [options] -e CODE [arguments]       run a line of Lua
       llmrun [options] -                         run a script from standard input

%s

Scripts:
%s
Keys: OPENAI_API_KEY and so on. Without any key and without a local server a built-in mock answers.
Exit codes: 0 ok, 1 script error, 2 usage, 3 authentication, 4 rate limit or quota, 5 timeout,
  6 provider, 7 network, 8 content filter, 9 budget, 10 schema, 11 truncated, 13 part of a batch
  failed, 130 interrupted, 141 closed pipe]]

-- In the form of llm.args.
local command = {
  { "model", "model, or provider/model (default: LLM_DEFAULT_MODEL)", short = "m",
    value = "MODEL" },
  { "prompt", "print the answer to a prompt as it comes", short = "p", value = "TEXT" },
  { "attach", "add an image, PDF or other file to the prompt; more than once", short = "a",
    value = "FILE" },
  { "execute", "run CODE; llm is already there", short = "e", value = "CODE" },
  { "config", "configuration (default: ~/.config/llmrun/config.lua)", value = "FILE" },
  { "log", "debug, info, warn (default), error or off", value = "LEVEL" },
  { "dry-run", "print the request as a curl command and send nothing" },
  { "record", "keep every request and its reply in FILE", value = "FILE" },
  { "replay", "answer from FILE; nothing is sent, no key is needed", value = "FILE" },
  { "completion", "print what completes words in bash or zsh", value = "SHELL" },
  { "help", "this text; llmrun NAME --help for a script's own", short = "h" },
  { "version", "version of llmrun and of its libraries", short = "V" },
}

local exit_codes = {
  authentication = 3, permission = 3, rate_limit = 4, quota = 4, timeout = 5,
  model_not_found = 6, context_length = 6, provider_unavailable = 6, protocol = 6, network = 7,
  content_filter = 8, budget = 9, schema = 10, truncated = 11, cancelled = 130,
}

local advice = {
  authentication = "check the key", permission = "check what this key may use",
  rate_limit = "wait, or ask less often", quota = "check the account's balance",
  timeout = "try again, or raise LLM_TIMEOUT", network = "check the connection and base_url",
  model_not_found = "check the model's name", context_length = "shorten the input",
  provider_unavailable = "try again later", truncated = "try again",
}

local function complain(text)
  io.stderr:write("llmrun: ", text, "\n")
  return 2
end

-- Options stand before the script; what follows it is the script's.
local function parse(argv)
  local opts, known, i = { attach = {} }, args.index(command), 1
  while argv[i] do
    local word = argv[i]
    local long, value = word:match("^(%-%-[%w-]+)=(.*)$")
    local option = known[long or word]
    local name = option and option[1]:gsub("-", "_")
    if option and option.value then
      if not long then
        i = i + 1
        value = argv[i]
      end
      if not value then return nil, word .. " needs a value; try llmrun --help" end
      if name == "attach" then table.insert(opts.attach, value) else opts[name] = value end
    elseif option and not long then
      opts[name] = true
    elseif word == "-" or word:sub(1, 1) ~= "-" then
      if not opts.execute and not opts.prompt then
        opts.script = word
        i = i + 1
      end
      break
    else
      return nil, ("unknown option %s; try llmrun --help"):format(word)
    end
    i = i + 1
  end
  if opts.prompt and argv[i] then
    return nil, ("%q is not a part of the prompt; quote the prompt as a whole"):format(argv[i])
  end
  if opts.attach[1] and not opts.prompt then return nil, "--attach needs a --prompt" end
  opts.first = i
  return opts
end

local function read_all(path)
  if path == "-" then return io.read("a"), "=stdin" end
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  local text
  text, message = file:read("a")
  file:close()
  return text, text and "@" .. path or message
end

local function load_script(name)
  if name:find("^[%w_-]+$") and name ~= "-" then
    local carried = package.searchers[2] -- luacheck: ignore (of core/lua/open.c)
    local loader = carried("scripts." .. name:gsub("-", "_"))
    if type(loader) == "function" then return loader end
    local file = io.open(name, "rb")
    if not file then
      return nil, ("there is no script %q; llmrun --help lists the installed ones"):format(name), 2
    end
    file:close()
  end
  local text, chunk_name = read_all(name)
  if not text then return nil, chunk_name, 2 end
  return load(text:gsub("^#[^\n]*", ""), chunk_name, "t")
end

-- The prompt after the files that go with it.
local function message_of(prompt, files)
  if not files[1] then return prompt end
  local content = {}
  for i, path in ipairs(files) do content[i] = assert(require("llm").file(path)) end
  content[#content + 1] = { type = "text", text = prompt }
  return { role = "user", content = content }
end

local function ask(prompt, files)
  local llm = require "llm"
  if not require("llm.core").system.isatty(0) then
    local input = io.read("a") or ""
    if input:find("%S") then prompt = prompt .. "\n\n" .. input end
  end
  local last = "\n"
  for text in llm.client():stream_text(message_of(prompt, files)) do
    llm.write(text)
    last = text
  end
  if last:sub(-1) ~= "\n" then llm.write("\n") end
end

local function chunk_of(opts)
  if opts.prompt then return function() ask(opts.prompt, opts.attach) end end
  if opts.execute then return load(opts.execute, "=-e", "t") end
  return load_script(opts.script)
end

-- The frames of the script itself, at most five.
local function short_traceback(level)
  local lines = {}
  for line in debug.traceback("", level):gmatch("\n\t([^\n]+)") do
    local ours = line:find("^llm/") or line:find("^%[C%]") or line:find("^%(%.%.%.")
    if not ours and #lines < 5 then lines[#lines + 1] = "    " .. line end
  end
  return table.concat(lines, "\n")
end

local function handler(value)
  if type(value) == "table" then return value end
  return { text = tostring(value), trace = short_traceback(3) }
end

-- One line for an error of ours; place and traceback for an error of the script.
local function report(value)
  if value.kind then
    if value.dry_run then return 0 end
    local hint = not value.message:find("; ", 1, true) and advice[value.kind]
    io.stderr:write("llmrun: ", tostring(value), hint and ("; " .. hint) or "", "\n")
    if value.kind == "invalid_request" then return value.status and 6 or 2 end
    return exit_codes[value.kind] or 1
  end
  if value.exit then return value.exit end
  local text = getmetatable(value) and tostring(value) or value.text or "error object"
  io.stderr:write("llmrun: ", require("llm.secret").scrub(text), "\n")
  if value.trace and value.trace ~= "" then io.stderr:write(value.trace, "\n") end
  return 1
end

local function help()
  local lines = {}
  for i, script in ipairs(require("llm.describe").scripts(load_script)) do
    lines[i] = ("  %-14s %s\n"):format(script.name, script.summary)
  end
  print(usage:format(table.concat(args.explain(command), "\n"), table.concat(lines)))
  return 0
end

local function complete(shell)
  local text, problem = require("llm.completion").text(shell, command,
    require("llm.describe").scripts(load_script))
  if not text then return complain(problem) end
  io.write(text)
  return 0
end

local function versions()
  local core = require "llm.core"
  local date = require("llm.cost").date()
  print(("llmrun %s (%s, prices of %s)"):format(core.version, _VERSION, date))
end

-- Every client of the script is recorded, or plays what was.
local function configure_recording(opts)
  local file = opts.record or opts.replay
  if not file then return end
  if opts.record and opts.replay then return "--record and --replay exclude each other" end
  local ok, policy = pcall(require("llm.policy.record").new,
    { file = file, mode = opts.record and "record" or "replay" })
  if not ok then return tostring(policy) end
  require("llm.client").Client.recorder = policy
end

local function configure(opts)
  if opts.model then require("llm.config").override { model = opts.model } end
  if opts.config then require("llm.config").override({}, opts.config) end
  if opts.log then
    if not pcall(require("llm.log").configure, opts.log) then
      return ("--log must be debug, info, warn, error or off, not %q"):format(opts.log)
    end
  end
  if opts.dry_run then require("llm.client").Client.dry_run = print end
  return configure_recording(opts)
end

--- Runs the command.
-- @tparam table argv arguments; `[0]` is the program
-- @tparam function signalled the number of the signal that was caught, or nil
-- @treturn number exit code
return function(argv, signalled)
  local opts, problem = parse(argv)
  if not opts then return complain(problem) end
  if opts.help then return help() end
  if opts.version then return versions() or 0 end
  if opts.completion then return complete(opts.completion) end
  if not (opts.script or opts.execute or opts.prompt) then
    return complain("nothing to run; try llmrun --help")
  end
  problem = configure(opts)
  if problem then return complain(problem) end
  package.loaded["llm.signalled"] = signalled -- for llm.task
  local chunk, message, code = chunk_of(opts)
  if not chunk then return complain(message) and code or 1 end
  arg = { [0] = opts.script or "-e", table.unpack(argv, opts.first) } -- luacheck: ignore
  llm = setmetatable({}, { __index = function(_, key) return require("llm")[key] end }) -- luacheck: ignore
  local ok, value = xpcall(chunk, handler, table.unpack(arg)) -- luacheck: ignore
  local task = package.loaded["llm.task"]
  if task then task.abandon() end
  if ok then return 0 end
  if signalled() then return 0 end
  return report(value)
end
