-- Asks several models the same and shows their answers side by side as they come.
-- Shows: streams in parallel tasks, columns on a terminal, a failure that does not stop the others.
local llm = require "llm"

local args = llm.args({
  usage = "compare -m MODEL,MODEL... [options] [PROMPT...]",
  about = "Sends PROMPT, or standard input, to several models at once.\n" ..
    "On a terminal the answers stream in columns; elsewhere they stand one after the other.",
  { "model", "which models, with commas between", short = "m", value = "MODELS" },
  { "system", "a system prompt for all of them", short = "s", value = "TEXT" },
  { "max-tokens", "longest answer, in tokens", value = "N", kind = "number" },
  { "json", "print one JSON object a line" },
}, arg)

local models = {}
for name in (args.model or ""):gmatch("[^,%s]+") do models[#models + 1] = name end
if #models < 2 then llm.stop(2, "give two models or more: -m openai/gpt-5-mini,mock/mock") end
local prompt = table.concat(args, " ")
if prompt == "" or prompt == "-" then prompt = llm.text "-" end

local columns = not args.json and llm.columns(models)

local function figures(response)
  return ("%d tokens, %.2f s%s"):format(response.tokens_used or 0, response.response_time,
    response.cost_estimate and (", $%.6f"):format(response.cost_estimate) or "")
end

-- The answer as a table; what went wrong is a part of it.
local function ask(model, i)
  local answer = { model = model }
  local ok, err = pcall(function()
    local client = llm.client { model = model, system = args.system,
      max_tokens = args.max_tokens, unsupported = "drop" }
    local next_text, stream = client:stream_text(prompt)
    for text in next_text, stream do
      if columns then columns:add(i, text) end
    end
    local response = stream:response()
    answer.content, answer.figures = response.content, figures(response)
    answer.tokens_used, answer.cost_estimate = response.tokens_used, response.cost_estimate
    answer.response_time = response.response_time
    answer.first_token_time = response.first_token_time
  end)
  if not ok then
    if type(err) ~= "table" then error(err, 0) end
    answer.error = tostring(err)
  end
  if columns then
    columns:add(i, "\n\n" .. (answer.figures or answer.error) .. "\n")
    columns:finish(i)
  end
  return answer
end

local answers, broken = llm.map(models, ask, { concurrency = #models })
if broken then error(select(2, next(broken)), 0) end

local failed = 0
for _, answer in ipairs(answers) do
  if answer.error then failed = failed + 1 end
  if args.json then
    answer.figures = nil
    llm.write(llm.json.encode(answer), "\n")
  elseif not columns then
    llm.write(("== %s ==\n%s\n\n%s\n\n"):format(answer.model, answer.content or "",
      answer.figures or answer.error))
  end
end
if failed > 0 then llm.stop(13) end
