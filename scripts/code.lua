-- Writes code from a description, and with -x nothing but the code.
-- Shows: streaming, text from standard input beside an instruction, taking a block from an answer.
local llm = require "llm"

local args = llm.args({
  usage = "code [options] REQUIREMENTS... [< CODE]",
  about = "Writes a program from REQUIREMENTS, or changes the code on standard input.",
  { "language", "in which language", short = "l", value = "LANGUAGE", default = "Python" },
  { "extract", "print the code alone, without prose and fences", short = "x" },
  { "model", "which model", short = "m", value = "MODEL" },
  { "json", "print one JSON object: code and text, tokens and cost" },
}, arg)

local requirements = table.concat(args, " ")
local given = ""
if requirements == "" or requirements == "-" then
  requirements = llm.text "-"
elseif not llm.is_terminal "stdin" then
  given = llm.read "-"
end
local prompt = ("Write %s code for these requirements:\n%s"):format(args.language, requirements)
if given:find("%S") then prompt = prompt .. "\n\nThe code to work on:\n\n" .. given end

local client = llm.client { model = args.model, temperature = 0.2, unsupported = "drop",
  system = ("You are a professional %s programmer who writes correct, readable code. Put the " ..
    "code into one fenced block."):format(args.language) }

-- The first fenced block of an answer; all of it where there is no fence.
local function code_of(answer)
  local fence, rest = ("\n" .. answer):match("\n *(```+)[^\n]*\n(.*)$")
  if not fence then return answer end
  local code = ("\n" .. rest .. "\n"):match("^\n(.-)\n? *" .. fence .. "`*[ \t]*\n")
  return code or rest
end

if args.json or args.extract then
  local response = assert(client:generate_text(prompt))
  local code = code_of(response.content):gsub("\n*$", "")
  llm.write(args.json and llm.json.encode { code = code, text = response.content,
    model = response.model, tokens_used = response.tokens_used,
    cost_estimate = response.cost_estimate } or code, "\n")
else
  for text in client:stream_text(prompt) do llm.write(text) end
  llm.write("\n")
end
