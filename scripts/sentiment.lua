-- Says whether texts are positive, negative or neutral: one line of input, one line of output.
-- Shows: structured output by a JSON Schema, many requests at once, errors as values.
local llm = require "llm"

local args = llm.args({
  usage = "sentiment [options] [TEXT...]",
  about = "Rates each TEXT, or each line of standard input.",
  { "model", "which model", short = "m", value = "MODEL" },
  { "concurrency", "how many at once", short = "j", value = "N", default = 5 },
  { "json", "print one JSON object a line" },
}, arg)

local schema = {
  title = "sentiment", type = "object", additionalProperties = false,
  required = { "sentiment", "confidence", "reason" },
  properties = {
    sentiment = { type = "string", enum = { "positive", "negative", "neutral" } },
    confidence = { type = "number", minimum = 0, maximum = 1 },
    reason = { type = "string" },
  },
}

local texts = { table.unpack(args) }
if #texts == 0 then
  for line in io.lines() do
    if line:find("%S") then texts[#texts + 1] = line end
  end
end
if #texts == 0 then llm.stop(2, "nothing to rate: give a TEXT or lines on standard input") end

local client = llm.client { model = args.model, temperature = 0.1, max_tokens = 1000,
  unsupported = "drop", -- where a model takes no temperature
  system = "You rate the sentiment of texts. Answer with JSON only.", response_schema = schema }

local function rate(text)
  local response = assert(client:generate_text("Rate the sentiment of this text:\n" .. text))
  local rating = llm.json.decode(response.content)
  if type(rating) ~= "table" then
    return { error = "the answer cannot be read", raw_response = response.content }
  end
  return rating
end

local ratings, failures = llm.map(texts, rate, { concurrency = args.concurrency })
for i, text in ipairs(texts) do
  local rating = ratings[i] or { error = tostring(failures[i]) }
  if args.json then
    rating.text = text
    print(llm.json.encode(rating))
  else
    llm.write(("%s\t%s\t%s\n"):format(rating.sentiment or "error",
      rating.confidence or "-", rating.reason or rating.error))
  end
end
if failures then error(select(2, next(failures)), 0) end
