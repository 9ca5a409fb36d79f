-- What policies add to a call: clients with and without them take turns at one server in this
-- process, CPU of the process, least of several rounds. Then what a queue at a limit costs a call,
-- and how soon a cache answers.
-- build/llmrun tests/bench/policies.lua
local llm = require "llm"

local ROUNDS, CALLS = 15, 400
local answer = ("All the king's horses and all the king's men. "):rep(4)
local mock = llm.mock { function() return answer end }
local budget_file, log_file, cache_file = os.tmpname(), os.tmpname(), os.tmpname()

local function client_with(policies)
  local opts = { provider = mock.provider, model = "gpt-4o-mini", stream = false,
    costs = { ["gpt-4o-mini"] = { input = 0.00015, output = 0.0006 } },
    metrics = false, retry = false }
  for name, value in pairs(policies) do opts[name] = value end
  return llm.client(opts)
end

local function calls(client)
  for _ = 1, CALLS do assert(client:generate_text "What ails Humpty Dumpty?") end
end

-- CPU seconds and bytes that a call allocates, the collector apart.
local function cost_of(client)
  collectgarbage()
  collectgarbage "stop"
  local bytes, start = collectgarbage "count", os.clock()
  calls(client)
  local seconds = os.clock() - start
  bytes = collectgarbage "count" - bytes
  collectgarbage "restart"
  return seconds / CALLS, bytes * 1024 / CALLS
end

local variants = {
  { "no policy", {} },
  { "the default ones: metrics, retry", { metrics = true, retry = true } },
  { "limit", { limit = { concurrency = 64 } } },
  { "breaker", { breaker = true } },
  { "budget in memory", { budget = { usd = 1e6 } } },
  { "budget in a file", { budget = { usd = 1e6, file = budget_file } } },
  { "log in SQLite", { log = { file = log_file } } },
  { "log in JSON lines", { log = { file = log_file .. ".jsonl" } } },
  { "cache in memory, asked for nothing", { cache = { mode = "refresh" } } },
}

for _, variant in ipairs(variants) do
  variant.client, variant.seconds = client_with(variant[2]), math.huge
  calls(variant.client)
end
for _ = 1, ROUNDS do
  for _, variant in ipairs(variants) do
    local seconds, bytes = cost_of(variant.client)
    variant.seconds, variant.bytes = math.min(variant.seconds, seconds), bytes
  end
end
mock:close()

local plain = variants[1]
print(("%-36s %8.1f us, of the mock server, too"):format("a call with no policy", plain.seconds * 1e6))
for i = 2, #variants do
  local variant = variants[i]
  print(("%-36s %8.1f us %8.2f KiB a call more"):format(variant[1],
    (variant.seconds - plain.seconds) * 1e6, (variant.bytes - plain.bytes) / 1024))
end

-- CPU of each of many calls that come at once and take no time themselves.
local function time_of_queue(count, concurrency)
  local policy = llm.policy.limit.new { concurrency = concurrency, adaptive = false }
  local request = { call = { provider = { name = "none" } }, model = "none" }
  local reply = { finally = function(_, ending) ending() end }
  local function send()
    llm.sleep(0)
    return reply
  end
  local list, best = {}, math.huge
  for i = 1, count do list[i] = i end
  for _ = 1, 5 do
    local start = os.clock()
    llm.map(list, function() policy(request, send) end, { concurrency = count })
    best = math.min(best, os.clock() - start)
  end
  return best / count
end

for _, count in ipairs { 1000, 4000, 16000 } do
  print(("%-36s %8.1f us a call, task and queue"):format(count .. " calls at a limit of 64",
    time_of_queue(count, 64) * 1e6))
end

-- Seconds of each of many answers of 4 KiB from a cache, as one text and as a stream in pieces.
local function time_of_hit(cache)
  local pieces = {}
  for i = 1, 64 do pieces[i] = ("All the king's men. "):rep(4):sub(1, 64) end
  local server = llm.mock { function() return { pieces = pieces, pace = 0.001 } end }
  local client = llm.client { provider = server.provider, cache = cache }
  local response, best = assert(client:generate_text "What ails him?"), math.huge
  assert(#response.content == 4096)
  server:close()
  for _ = 1, ROUNDS do
    local start = llm.clock()
    for _ = 1, CALLS do client:generate_text "What ails him?" end
    best = math.min(best, llm.clock() - start)
  end
  return best / CALLS
end

for _, row in ipairs { { "memory", true }, { "SQLite", { file = cache_file } } } do
  print(("%-36s %8.1f us a call, of a client with the default policies"):format(
    "4 KiB from the cache in " .. row[1], time_of_hit(row[2]) * 1e6))
end

for _, suffix in ipairs { "", "-wal", "-shm", ".jsonl" } do
  for _, path in ipairs { budget_file, log_file, cache_file } do os.remove(path .. suffix) end
end
