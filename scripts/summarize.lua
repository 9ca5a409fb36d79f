-- Summarizes a text: files or standard input in, a few sentences out, streamed as they come.
-- Shows: arguments, a system prompt, streaming.
local llm = require "llm"

local args = llm.args({
  usage = "summarize [options] [FILE...]",
  about = "Prints a summary of the files, or of standard input.",
  { "model", "which model", short = "m", value = "MODEL" },
  { "words", "length of the summary, in words", short = "w", value = "N", default = 100 },
  { "json", "print one JSON object with the summary, tokens and cost" },
}, arg)

local messages = {
  { role = "system", content = ("You summarize texts accurately and concisely, in the language " ..
    "of the text, in at most %s words."):format(args.words) },
  { role = "user", content = "Summarize the following text:\n\n" .. llm.input(args) },
}

local client = llm.client { model = args.model, temperature = 0.3, unsupported = "drop" }

if args.json then
  local response = assert(client:generate_text(messages))
  print(llm.json.encode { summary = response.content, model = response.model,
    tokens_used = response.tokens_used, cost_estimate = response.cost_estimate })
else
  for text in client:stream_text(messages) do llm.write(text) end
  llm.write("\n")
end
