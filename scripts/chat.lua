-- A conversation on the terminal; quit, exit or 退出 ends it.
-- Shows: history, streaming into it, going on after an error.
local llm = require "llm"

local args = llm.args({
  usage = "chat [options]",
  about = "Talks with a model. quit, exit or 退出 (or the end of input) ends the conversation.",
  { "model", "which model", short = "m", value = "MODEL" },
  { "system", "the system prompt", short = "s", value = "TEXT", default = "You are helpful." },
}, arg)

local farewell = { quit = true, exit = true, ["退出"] = true }
local client = llm.client { model = args.model }
local messages = { { role = "system", content = args.system } }

local function ask(question)
  messages[#messages + 1] = { role = "user", content = question }
  local texts, stream = client:stream_text(messages)
  for text in texts, stream, nil, stream do llm.write(text) end
  llm.write("\n")
  messages[#messages + 1] = stream:response():message()
end

while true do
  io.stderr:write("> ")
  local line = io.read()
  local word = line and line:match("^%s*(.-)%s*$")
  if not word or farewell[word:lower()] then break end
  if word ~= "" then
    local before = #messages
    local ok, err = pcall(ask, word)
    if not ok then
      if type(err) ~= "table" then error(err, 0) end -- Ctrl-C, or a mistake of ours
      for i = #messages, before + 1, -1 do messages[i] = nil end
      io.stderr:write("\n", tostring(err), "\n")
    end
  end
end
