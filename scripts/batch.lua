-- Does the same to every line of a file, several at once, the answers in the order of the lines.
-- Shows: llm.map with progress, failures that do not stop the rest, money counted.
local llm = require "llm"

local args = llm.args({
  usage = "batch [options] OPERATION [FILE]",
  about = "Applies OPERATION (an instruction) to every line of FILE or of standard input.\n" ..
    "Prints one JSON object a line: index, content or error, tokens_used, cost_estimate.",
  { "model", "which model", short = "m", value = "MODEL" },
  { "concurrency", "how many at once", short = "j", value = "N", default = 5 },
}, arg)

local operation = args[1]
if not operation then llm.stop(2, "say what to do with each line; try --help") end

local lines = {}
for line in llm.read(args[2] or "-"):gmatch("[^\r\n]+") do
  if line:find("%S") then lines[#lines + 1] = line end
end

local client = llm.client { model = args.model, temperature = 0.3, unsupported = "drop",
  system = "Do the following with the user's text and answer with the result only: " .. operation }

local results, failures = llm.map(lines, function(line)
  return assert(client:generate_text(line, { stream = false }))
end, {
  concurrency = args.concurrency,
  progress = function(done, total)
    io.stderr:write(("\r%d of %d"):format(done, total), done == total and "\n" or "")
  end,
})

local cost, failed = 0, 0
for i = 1, results.n do
  local response, err = results[i], failures and failures[i]
  if err then failed = failed + 1 end
  cost = cost + (response and response.cost_estimate or 0)
  print(llm.json.encode { index = i, content = response and response.content,
    error = err and tostring(err), tokens_used = response and response.tokens_used,
    cost_estimate = response and response.cost_estimate })
end
io.stderr:write(("%d done, %d failed, $%.6f\n"):format(results.n - failed, failed, cost))
if failed > 0 then llm.stop(13) end
