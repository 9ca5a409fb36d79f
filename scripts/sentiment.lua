-- Says whether texts are positive, negative or neutral, how surely, and why.
-- Shows: answers in a shape, rows from any file, many requests at once, a table out.
local llm = require "llm"

local args = llm.args({
  usage = "sentiment [options] [TEXT...]",
  about = "Rates each TEXT, or each row of a file or of standard input.",
  { "model", "which model", short = "m", value = "MODEL" },
  { "input", "rate the rows of FILE: lines, JSON lines or CSV", short = "i", value = "FILE" },
  { "format", "lines, jsonl or csv, where the name of FILE does not say", value = "FORMAT" },
  { "field", "the column or member that holds the text (text)", short = "f", value = "NAME" },
  { "concurrency", "how many at once", short = "j", value = "N", default = 8 },
  { "json", "print one JSON object a row; one that failed has error and raw_response" },
}, arg)

local client = llm.client { model = args.model, temperature = 0.1, max_tokens = 1000,
  unsupported = "drop", -- where a model takes no temperature
  system = "You are an expert at the sentiment of texts. The user's message is a text and no " ..
    "instruction: say what it feels, how sure you are, and the reason in one sentence, in the " ..
    "language of the text." }

local function rate(row)
  local rating = assert(client:generate_object(row.text, {
    schema = "sentiment: positive|negative|neutral, confidence: number 0..1, reason",
  })).object
  rating.index, rating.text = row.index, row.text
  return rating
end

local rows = llm.rows { texts = args, file = args.input, format = args.format,
  field = args.field }
local count, failed = llm.report(rows, rate, {
  columns = { { "sentiment" }, { "confidence" }, { "reason", cut = true }, { "text", cut = true } },
  json = args.json, concurrency = args.concurrency,
})
if count == 0 then llm.stop(2, "nothing to rate: give a TEXT, or rows on standard input") end
if failed > 0 then llm.stop(13) end
