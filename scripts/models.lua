-- Lists the models whose price is known: what they read and write at most, their prices, their end.
-- Shows: the price table, its date, a wide table on any terminal.
local llm = require "llm"

local args = llm.args({
  usage = "models [options] [PATTERN]",
  about = "Lists models: all, or those with PATTERN (a part of the name, else a Lua pattern).\n" ..
    "Prices are USD per 1,000,000 tokens; context and max output are tokens.",
  { "provider", "only of this provider", short = "p", value = "NAME" },
  { "json", "print a JSON list" },
}, arg)

-- What there is to know about the end of a model.
local function note(model)
  if model.ended and model.successor then return "ended, use " .. model.successor end
  if model.ended then return model.shutdown and "ended " .. model.shutdown or model.status end
  return model.shutdown and "until " .. model.shutdown
end

local rows = {}
for _, model in ipairs(llm.models(args[1])) do
  if not args.provider or model.provider == args.provider then
    model.note = note(model)
    rows[#rows + 1] = model
  end
end
if not rows[1] and not args.json then llm.stop(1, "no model is like that; try llmrun models") end

llm.table(rows, {
  { "id", title = "model" }, { "input", usd = true }, { "output", usd = true }, { "note" },
  { "context" }, { "max_output", title = "max output" }, { "shutdown" }, { "provider" },
  { "cached_input", title = "cached", usd = true },
}, { json = args.json })
