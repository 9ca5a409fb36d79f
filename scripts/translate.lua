-- Translates texts of any length and leaves their form as it is: Markdown, code, blank lines.
-- Shows: a long text sent in pieces, several at once, the answers written in order as they come.
local llm = require "llm"

local args = llm.args({
  usage = "translate -t LANGUAGE [options] [FILE...]",
  about = "Translates each FILE, or standard input, and keeps its formatting.",
  { "to", "into which language: German, 中文, pt-BR ...", short = "t", value = "LANGUAGE" },
  { "from", "from which, if the model should not find out itself", value = "LANGUAGE" },
  { "model", "which model", short = "m", value = "MODEL" },
  { "piece", "tokens of a text that are sent at once", value = "N", default = 1500 },
  { "concurrency", "requests at once", short = "j", value = "N", default = 8 },
  { "json", "print one JSON object a file, with tokens and cost" },
}, arg)
if not args.to then llm.stop(2, "say into which language: translate -t German FILE") end

local client = llm.client { model = args.model, temperature = 0.3, unsupported = "drop",
  system = ("You are an expert translator. Translate the user's text%s into %s. Keep its " ..
    "formatting, markup, code, links and placeholders as they are. Answer with the translation " ..
    "alone."):format(args.from and " from " .. args.from or "", args.to) }

llm.transform(client, args,
  { json = args.json, tokens = args.piece, concurrency = args.concurrency })
