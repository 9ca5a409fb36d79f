-- Rewrites texts in another style, by default in formal business language.
-- Shows: the same for every part of a long text, styles of one's own in words.
local llm = require "llm"

local args = llm.args({
  usage = "rewrite [options] [FILE...]",
  about = "Rewrites each FILE, or standard input, in the language of the text.",
  { "style", "how it should read, in words", short = "s", value = "STYLE",
    default = "formal business language" },
  { "model", "which model", short = "m", value = "MODEL" },
  { "piece", "tokens of a text that are sent at once", value = "N", default = 1500 },
  { "concurrency", "requests at once", short = "j", value = "N", default = 8 },
  { "json", "print one JSON object a file, with tokens and cost" },
}, arg)

local client = llm.client { model = args.model, temperature = 0.3, unsupported = "drop",
  system = ("You are an expert at rewriting texts. Rewrite the user's text in this style: %s. " ..
    "Keep its meaning, its language and its formatting. Answer with the rewritten text alone.")
    :format(args.style) }

llm.transform(client, args,
  { json = args.json, tokens = args.piece, concurrency = args.concurrency })
