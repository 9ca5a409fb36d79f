-- The same work as the programs in peers/.
-- llmrun llmrun.lua BASE_URL stream COUNT | calls COUNT AT_ONCE | batch COUNT AT_ONCE
local llm = require "llm"

local url, kind, count = arg[1], arg[2], tonumber(arg[3])
local at_once = tonumber(arg[4]) or count
local client = llm.client{
  provider = "openai",
  base_url = url,
  api_key = "k",
  model = "gpt-4o-mini",
  max_connections = 2000,
  max_connections_per_host = 2000,
}

local function stream()
  for text in client:stream_text("hi") do io.write(text) end
end

local function call()
  local response = assert(client:generate_text("hi", { stream = false }))
  return { tokens = response.tokens_used, cost = response.cost_estimate }
end

-- As scripts/batch.lua does it: rows of a file, a limit, a journal.
local function batch()
  local input, output = os.tmpname(), os.tmpname()
  local file = assert(io.open(input, "w"))
  for i = 1, count do file:write("row ", i, "\n") end
  file:close()
  os.remove(output)
  client:use(llm.policy.limit.new { concurrency = at_once })
  local result = llm.batch {
    rows = llm.rows { file = input, format = "lines" }, output = output, concurrency = at_once,
    run = function(row) return client:generate_text(row.text, { stream = false }) end,
  }
  os.remove(input)
  os.remove(output)
  print(result.tokens)
end

if kind == "stream" and count == 1 then
  stream()
elseif kind == "batch" then
  batch()
else
  local list, tokens = {}, 0
  for i = 1, count do list[i] = i end
  local results = llm.map(list, kind == "stream" and stream or call, { concurrency = at_once })
  for _, result in ipairs(kind == "calls" and results or {}) do
    assert(result.cost, "a call without its cost")
    tokens = tokens + result.tokens
  end
  if kind == "calls" then print(tokens) end
end
