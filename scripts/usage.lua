-- Sums up the calls that were kept: how many, their tokens, what they cost.
-- Shows: llm.logs.usage, bars on a terminal, an unknown price that is never 0.
local llm = require "llm"

local args = llm.args({
  usage = "usage [options]",
  about = "Sums up the calls that were kept (LLM_LOG_CALLS=1 keeps them). Cost is USD;\n" ..
    "\"unknown\" where no price is known, and unpriced calls are not in it. Days are UTC.",
  { "by", "model, day, tag or provider", value = "WHAT", default = "model" },
  { "since", "since a date or an age: 2026-11-27, 2d, 12h", value = "WHEN" },
  { "before", "before a date or an age", value = "WHEN" },
  { "model", "of models with this in PROVIDER/MODEL", short = "m", value = "NAME" },
  { "tag", "with this tag", value = "TAG" },
  { "file", "a file of calls, not the usual one", value = "FILE" },
  { "json", "print a JSON list" },
}, arg)

local rows, err = llm.logs.usage { by = args.by, since = args.since, before = args.before,
  model = args.model, tag = args.tag, file = args.file }
if not rows then llm.stop(1, err.message) end

local WIDTH = 16 -- of the longest bar
local eighths = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

local function bar(share)
  local length = math.floor(share * WIDTH * 8 + 0.5)
  return ("█"):rep(math.floor(length / 8)) .. (eighths[length % 8] or "")
end

local columns = { { "key", title = args.by, cut = true }, { "cost", usd = true }, { "calls" },
  { "bar", title = "" }, { "input_tokens", title = "input" },
  { "output_tokens", title = "output" }, { "errors" }, { "cached_tokens", title = "cached" },
  { "unpriced" } }

if not args.json then
  local highest = 0
  for _, row in ipairs(rows) do highest = math.max(highest, row.cost or 0) end
  for _, row in ipairs(rows) do
    row.bar = highest > 0 and bar((row.cost or 0) / highest) or ""
    row.cost = row.cost or row.unpriced > 0 and "unknown" or 0
  end
  if not llm.is_terminal() then table.remove(columns, 4) end
end
llm.table(rows, columns, { json = args.json })
