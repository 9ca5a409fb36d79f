--- Arguments of scripts: options described once, read and explained from the description.
-- @module llm.args
local options = require "llm.options"
local system = require("llm.core").system

--- One line for each option.
-- @tparam table spec as for parse
-- @treturn table list of strings
local function explain(spec)
  local lines = {}
  for i, option in ipairs(spec) do
    local name = (option.short and "-" .. option.short .. ", " or "    ") .. "--" .. option[1] ..
      (option.value and " " .. option.value or "")
    lines[i] = ("  %-26s %s"):format(name, option[2])
  end
  return lines
end

local help = { "help", "this text", short = "h" }

local function print_help(spec)
  print(("usage: llmrun %s\n\n%s\n"):format(spec.usage, spec.about))
  print(table.concat(explain(spec), "\n"))
  print(explain({ help })[1])
end

local function stop(code, text)
  if text then io.stderr:write("llmrun: ", text, "\n") end
  error({ exit = code }, 0)
end

--- Where the options of a description are found.
-- @tparam table spec as for parse
-- @treturn table `"--name"` and `"-n"` -> option
local function index(spec)
  local known = {}
  for _, option in ipairs(spec) do
    known["--" .. option[1]] = option
    if option.short then known["-" .. option.short] = option end
  end
  return known
end

local function convert(option, text)
  if type(option.default) ~= "number" and option.kind ~= "number" then return text end
  local number = tonumber(text)
  if not number then stop(2, ("--%s must be a number, not %q"):format(option[1], text)) end
  return number
end

local function unknown(word, known)
  local near = options.nearest(word, known)
  stop(2, ("unknown option %s%s; try --help"):format(
    word, near and (", did you mean %s?"):format(near) or ""))
end

--- Reads a script's arguments; `--help` prints the description, a wrong option ends the script.
-- @tparam table spec `usage`, `about` and a list of `{name, text, short=, value=, default=,
-- kind=}`; an option without `value` is a flag
-- @tparam table list the arguments, usually `arg`
-- @treturn table option -> value, and the other arguments at 1, 2 …
-- @usage local args = llm.args({ usage = "greet [options]", about = "Greets.",
--   { "model", "who greets", short = "m", value = "MODEL" } }, arg)
local function parse(spec, list)
  local known, found = index(spec), {}
  for _, option in ipairs(spec) do found[option[1]:gsub("-", "_")] = option.default end
  local i, plain = 1, false
  while list[i] do
    local word = list[i]
    local long, value = word:match("^(%-%-[%w-]+)=(.*)$")
    local option = known[long or word]
    if plain or word == "-" or word:sub(1, 1) ~= "-" then
      found[#found + 1] = word
    elseif word == "--" then
      plain = true
    elseif word == "-h" or word == "--help" then
      print_help(spec)
      stop(0)
    elseif not option then
      unknown(long or word, known)
    elseif option.value then
      if not long then
        i = i + 1
        value = list[i]
      end
      if not value then stop(2, word .. " needs a value; try --help") end
      found[option[1]:gsub("-", "_")] = convert(option, value)
    elseif long then
      stop(2, long .. " takes no value; try --help")
    else
      found[option[1]:gsub("-", "_")] = true
    end
    i = i + 1
  end
  return found
end

-- Whoever sits before a silent program should know what it waits for.
local function standard_input()
  if system.isatty(0) then
    io.stderr:write("llmrun: type the input; Ctrl-D on a line of its own ends it\n")
  end
  return io.stdin
end

-- What people call it.
local function name_of(path) return path == "-" and "standard input" or path end

--- Opens a file or standard input to read.
-- @tparam string path `-` is standard input
-- @treturn file; one that cannot be opened ends the script with exit code 2
local function open(path)
  if path == "-" then return standard_input() end
  local file, message = io.open(path, "rb")
  return file or stop(2, message)
end

--- What a file or standard input holds.
-- @tparam string path `-` is standard input
-- @treturn string; a file that cannot be read ends the script with exit code 2
local function read(path)
  local file = open(path)
  local text, message = file:read("*a")
  if path ~= "-" then file:close() end
  if not text then stop(2, name_of(path) .. ": " .. tostring(message)) end
  return text
end

--- The text of a file or of standard input as a model should read it: without a byte order mark,
-- its lines ended by line feeds.
-- @tparam string path `-` is standard input
-- @treturn string not blank; what is no text ends the script with exit code 2
-- @usage for _, path in ipairs(args) do print(#llm.text(path)) end
local function text(path)
  local name = name_of(path)
  local whole = read(path):gsub("^\239\187\191", ""):gsub("\r\n", "\n")
  local nul = whole:find("\0", 1, true)
  if nul then
    stop(2, ("%s is no text: byte %d is 0%s"):format(name, nul,
      whole:find("^\255\254") and "; it may be UTF-16: iconv -f UTF-16 -t UTF-8" or ""))
  end
  if not whole:find("%S") then
    stop(2, path == "-" and "the input is empty" or path .. " is empty")
  end
  return whole
end

--- The text that a script works on: the named files joined, or standard input.
-- @tparam table args of parse
-- @treturn string; what cannot be read, or is no text, ends the script with exit code 2
-- @usage local prompt = llm.input(args)
local function input(args)
  local texts = {}
  for i, path in ipairs(args[1] and args or { "-" }) do texts[i] = text(path) end
  return table.concat(texts, "\n")
end

return { parse = parse, explain = explain, index = index, help = help, open = open,
  name_of = name_of, read = read, text = text, input = input, stop = stop }
