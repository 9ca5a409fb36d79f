-- Counts the tokens of files as a model reads them.
-- Shows: counting, exact or estimated; a table for people, programs and JSON.
local llm = require "llm"

local args = llm.args({
  usage = "count [options] [FILE...]",
  about = "Counts the tokens of each FILE, or of standard input. The number is exact where the\n" ..
    "model's vocabulary is public, else estimated. Without a model: by o200k_base.",
  { "model", "a model, or a vocabulary such as cl100k_base", short = "m", value = "MODEL" },
  { "json", "print a JSON list" },
}, arg)

local model = args.model or llm.config.get().defaults.model or "o200k_base"
local rows, total, all_exact = {}, 0, true

for _, path in ipairs(args[1] and args or { "-" }) do
  local tokens, exact = llm.count_tokens(llm.read(path), model)
  rows[#rows + 1] = { tokens = tokens, exact = exact, counted = exact and "exact" or "estimated",
    model = model, file = path }
  total, all_exact = total + tokens, all_exact and exact
end
if #rows > 1 and not args.json then
  rows[#rows + 1] = { tokens = total, counted = all_exact and "exact" or "estimated",
    model = model, file = "total" }
end

local columns = { { "tokens" }, { "counted" }, { "file", cut = true }, { "model" } }
llm.table(rows, columns, { json = args.json })
