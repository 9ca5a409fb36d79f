-- A conversation: streamed, kept, continued, branched; /help lists what it understands.
-- Shows: history, Ctrl-C that stops an answer and not the script, going on after an error.
local llm = require "llm"

local args = llm.args({
  usage = "chat [options] [FILE...]",
  about = "Talks with a model, about the FILEs if there are any. quit, exit, 退出 or the end of\n" ..
    "input ends the conversation, /help tells what else may be typed. Ctrl-C stops an answer.",
  { "model", "which model", short = "m", value = "MODEL" },
  { "system", "the system prompt", short = "S", value = "TEXT" },
  { "session", "keep the chat as NAME, and continue it if it is there", short = "s",
    value = "NAME" },
  { "continue", "continue the chat that was kept last", short = "c" },
  { "json", "print one JSON object for each answer" },
}, arg)

local is_live = llm.is_terminal "stdin"
local farewell = { quit = true, exit = true, ["退出"] = true }
local client, messages, name
local total = { tokens = 0, cost = 0, answers = 0 }
local failure -- of the last question

local function say(text)
  text = text:gsub("\n$", "")
  io.stderr:write(llm.is_terminal "stderr" and "\27[2m" .. text .. "\27[0m" or text, "\n")
end

local function use(model)
  client = llm.client { model = model }
end

local function model_name() return client.provider_name .. "/" .. tostring(client.options.model) end

local function set_system(text)
  if messages[1] and messages[1].role == "system" then table.remove(messages, 1) end
  if text ~= "" then table.insert(messages, 1, { role = "system", content = text }) end
end

-- How many messages there are beside the system prompt.
local function count()
  return #messages - (messages[1] and messages[1].role == "system" and 1 or 0)
end

local function keep()
  if not name then return end
  local ok, problem = llm.chats.save(name, { messages = messages, model = model_name() })
  if not ok then say("not kept: " .. problem) end
end

local function load_chat(wanted)
  local chat, problem, is_missing = llm.chats.load(wanted)
  if not chat then return nil, problem, is_missing end
  if not args.model and chat.model then use(chat.model) end
  messages, name = chat.messages, wanted
  return true
end

-- --- asking --------------------------------------------------------------------------------------

local function figures(response)
  total.answers = total.answers + 1
  total.tokens = total.tokens + (response.tokens_used or 0)
  total.cost = total.cost + (response.cost_estimate or 0)
  local usage = response.prompt_tokens and ("%d + %d tokens"):format(response.prompt_tokens,
    response.completion_tokens or 0) or "stopped"
  local cost = response.cost_estimate and (", $%.6f"):format(response.cost_estimate) or ""
  return ("%s%s, %.1f s"):format(usage, cost, response.response_time or 0)
end

local function write_json(response)
  llm.write(llm.json.encode { content = response.content, model = response.model,
    tokens_used = response.tokens_used, cost_estimate = response.cost_estimate }, "\n")
end

-- Streams an answer to the conversation as it is.
local function answer(state)
  local texts, stream = client:stream_text(messages)
  state.stream = stream
  for text in texts, stream, nil, stream do
    if not args.json then llm.write(text) end
  end
end

-- The answer belongs to the conversation, also one that was stopped, as far as it was shown.
local function ask()
  local state = {}
  local ok, err = pcall(answer, state)
  local is_stopped = not ok and is_live and llm.interrupted()
  if not ok and not is_stopped and (type(err) ~= "table" or not err.kind) then error(err, 0) end
  local response = state.stream and state.stream:response()
  failure = not ok and not is_stopped and err or nil
  if failure then
    say("\n" .. tostring(err))
  elseif response then
    if args.json then write_json(response) else llm.write("\n") end
    say(figures(response))
  end
  if failure or not response or not response.content:find("%S") then
    messages[#messages] = nil -- a question without an answer
  else
    messages[#messages + 1] = response:message()
    keep()
  end
end

local function ask_about(question)
  messages[#messages + 1] = { role = "user", content = question }
  ask()
end

-- --- commands ------------------------------------------------------------------------------------

-- Takes back the last question and what came after it; gives the question.
local function undo()
  for i = #messages, 1, -1 do
    local role, content = messages[i].role, messages[i].content
    if role == "system" then return nil end
    messages[i] = nil
    if role == "user" then return content end
  end
end

local commands = {}
local helps = {
  { "help", "this list" }, { "model", "[MODEL] which model answers, or another one" },
  { "system", "TEXT another system prompt" }, { "undo", "forget the last question and its answer" },
  { "retry", "ask the last question again" }, { "clear", "forget all but the system prompt" },
  { "save", "[NAME] keep the chat as NAME from now on" },
  { "load", "[NAME] continue the chat NAME, or list the names" },
  { "fork", "NAME go on as NAME; what was kept stays as it is" },
  { "tokens", "what this chat has taken" }, { "quit", "end the chat" },
}

function commands.help()
  local lines = {}
  for _, help in ipairs(helps) do
    local value, text = help[2]:match("^([%u%[%]]+) (.*)$")
    lines[#lines + 1] = ("  %-15s %s"):format("/" .. help[1] .. (value and " " .. value or ""),
      text or help[2])
  end
  lines[#lines + 1] = '  """             begins and ends several lines; \\ at an end goes on'
  say(table.concat(lines, "\n"))
end

function commands.model(text)
  if text ~= "" then use(text) end
  say(model_name())
end

function commands.system(text)
  set_system(text)
  say(text == "" and "no system prompt" or "the system prompt is set")
end

function commands.undo() say(undo() and "forgotten" or "there is nothing to undo") end

function commands.retry()
  local question = undo()
  if question then ask_about(question) else say("there is nothing to ask again") end
end

function commands.clear()
  for i = #messages, messages[1] and messages[1].role == "system" and 2 or 1, -1 do
    messages[i] = nil
  end
  say("forgotten")
end

function commands.save(text)
  local wanted = text ~= "" and text or name
  if not wanted then return say("under which name? /save NAME") end
  local ok, problem = llm.chats.save(wanted, { messages = messages, model = model_name() })
  if ok then name = wanted end
  say(ok and ("kept as %s; llmrun chat -s %q continues it"):format(name, name) or problem)
end
commands.fork = commands.save

function commands.load(text)
  if text == "" then
    local names = llm.chats.names()
    return say(names[1] and table.concat(names, "\n") or "no chat is kept")
  end
  local ok, problem = load_chat(text)
  say(ok and ("%d messages"):format(count()) or problem)
end

function commands.tokens()
  local next_question = messages[1] and llm.count_tokens(messages, client.options.model or "") or 0
  say(("%d answers, %d tokens, $%.6f; the conversation is %d tokens of %d"):format(total.answers,
    total.tokens, total.cost, next_question, llm.window(client.options.model)))
end

local function obey(word, text)
  if not commands[word] then return say(("there is no /%s; try /help"):format(word)) end
  local ok, err = pcall(commands[word], text)
  if ok then return end
  if type(err) ~= "table" or not err.kind then error(err, 0) end
  say(tostring(err))
end

-- --- reading -------------------------------------------------------------------------------------

-- A line; nil at the end of input, an empty one after Ctrl-C.
local function read_line(prompt)
  if is_live then io.stderr:write(prompt) end
  local line = io.read("l")
  if line then return (line:gsub("\r$", "")) end
  if not is_live then return nil end
  io.stderr:write("\n")
  if not llm.interrupted() then return nil end
  say("(quit or Ctrl-D ends the chat)")
  return ""
end

-- The rest of a text that began with three quotes, up to the next three.
local function read_block(first)
  local lines, line = {}, first
  while line and not line:find('"""', 1, true) do
    lines[#lines + 1] = line
    line = read_line(". ")
  end
  lines[#lines + 1] = line and line:match('^(.-)"""')
  return (table.concat(lines, "\n"):gsub("^\n", ""))
end

-- What was typed, and whether it stands for itself and is no command; nil at the end of input.
local function read_question()
  local line = read_line("> ")
  if not line then return nil end
  local block = line:match('^%s*"""(.*)$')
  if block then return read_block(block), true end
  while line:sub(-1) == "\\" do
    line = line:sub(1, -2) .. "\n" .. (read_line(". ") or "")
  end
  return line:match("^%s*(.-)%s*$"), false
end

-- --- the conversation ----------------------------------------------------------------------------

messages = {}
use(args.model)
local wanted = args.session or args.continue and
  (llm.chats.names()[1] or llm.stop(2, "no chat is kept yet; llmrun chat -s NAME keeps one"))
if wanted then
  local ok, problem, is_missing = load_chat(wanted)
  if not ok and not is_missing then llm.stop(2, problem) end
  name = wanted
end
if args.system or not messages[1] then set_system(args.system or "You are helpful.") end
if args[1] then
  messages[1] = { role = "system", content = (messages[1] and messages[1].content or "") ..
    "\n\nThe user's files:\n\n" .. llm.input(args) }
end
if is_live then
  llm.interrupted() -- from here on Ctrl-C stops answers
  say(("%s%s; /help for commands, quit to end"):format(model_name(),
    name and (", kept as %s, %d messages"):format(name, count()) or ""))
end

while true do
  local question, is_text = read_question()
  if not question then break end
  local word, rest = question:match("^/(%a*)%s*(.*)$")
  if not is_text and (farewell[question:lower()] or word == "quit" or word == "exit") then break end
  if word and not is_text then
    obey(word, rest)
  elseif question:find("%S") then
    ask_about(question)
  end
end
if failure and not is_live then error(failure, 0) end
