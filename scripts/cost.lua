-- Says what a call would cost, before it is made.
-- Shows: counting the tokens of a prompt, pricing them, an unknown price is an error.
local llm = require "llm"

local args = llm.args({
  usage = "cost MODEL INPUT OUTPUT | cost -m MODEL [--output N] [FILE...]",
  about = "Prices INPUT and OUTPUT tokens; or a prompt of all FILEs, else of standard input,\n" ..
    "and an answer of N tokens. Prices of one's own come from `costs` in the configuration.",
  { "model", "which model reads the files", short = "m", value = "MODEL" },
  { "output", "tokens of the answer", short = "o", value = "N", default = 0 },
  { "json", "print one JSON object" },
}, arg)

-- The model, the tokens of prompt and answer, and whether they are exact.
local function read_arguments()
  if args.model then
    local prompt = { role = "user", content = llm.input(args) }
    local input, exact = llm.count_tokens(prompt, args.model)
    return args.model, input, args.output, exact
  end
  if #args ~= 3 then llm.stop(2, "give MODEL INPUT OUTPUT, or -m MODEL FILE...; try --help") end
  local input, output = tonumber(args[2]), tonumber(args[3])
  if not (input and output) then llm.stop(2, "INPUT and OUTPUT must be numbers of tokens") end
  return args[1], input, output, true
end

local model, input, output, exact = read_arguments()

local usd, message = llm.estimate_cost(model, input, output)
if not usd then llm.stop(1, message) end

local row = { model = model, input_tokens = input, output_tokens = output, cost_estimate = usd,
  exact = exact, counted = exact and "exact" or "estimated", prices = (llm.cost.date()) }
if args.json then
  print(llm.json.encode(row))
else
  llm.table({ row }, { { "cost_estimate", title = "cost", usd = true },
    { "input_tokens", title = "input" }, { "output_tokens", title = "output" }, { "model" },
    { "counted" }, { "prices", title = "prices of" } })
end
