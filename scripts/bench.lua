-- Puts load on a model and measures what its users would feel: first token, gaps, tokens a second.
-- Shows: tasks at a fixed rate and at a fixed number, histograms, errors counted by their kind.
local llm = require "llm"

local args = llm.args({
  usage = "bench [options] [PROMPT...]",
  about = "Sends PROMPT again and again and tells how long answers took.\n" ..
    "Closed loop: so many requests are always in flight. With --rate an open loop: requests\n" ..
    "begin when they are due, whatever became of those before; their times count from then.",
  { "model", "which model", short = "m", value = "MODEL" },
  { "base-url", "where it is, for one's own server", short = "u", value = "URL" },
  { "concurrency", "closed loop: requests in flight (8)", short = "c", value = "N", default = 8 },
  { "rate", "open loop: requests a second", short = "r", value = "N", kind = "number" },
  { "requests", "how many (100)", short = "n", value = "N", kind = "number" },
  { "duration", "for how long instead, in seconds", short = "d", value = "S", kind = "number" },
  { "warmup", "requests before that are not counted (1)", value = "N", default = 1 },
  { "max-tokens", "longest answer, in tokens", value = "N", kind = "number" },
  { "unique", "a number before each prompt, so that no cache knows it" },
  { "json", "print one JSON object" },
}, arg)

local count = args.requests or not args.duration and 100 or math.huge
local seconds = args.duration or math.huge
if args.concurrency < 1 or count < 1 or seconds <= 0 or (args.rate or 1) <= 0 then
  llm.stop(2, "--concurrency, --rate, --requests and --duration must be more than 0")
end

local client = llm.client { model = args.model, base_url = args.base_url, retry = false,
  max_tokens = args.max_tokens, unsupported = "drop",
  max_connections = 4096, max_connections_per_host = 4096 }
local prompt = table.concat(args, " ")
if prompt == "" then prompt = "Write one sentence about the sea." end
if prompt == "-" then prompt = llm.text "-" end
local clock = llm.clock

local failures, errors, tokens = 0, {}, 0
local ttft, gap, latency, speed

local function begin()
  tokens, ttft, gap, latency, speed = 0, llm.histogram(), llm.histogram(), llm.histogram(),
    llm.histogram()
end

-- One request; its times count from when it was due.
local function ask(number, due)
  local text = args.unique and ("[%d] %s"):format(number, prompt) or prompt
  local next_text, stream = client:stream_text(text)
  local first, last
  for _ in next_text, stream do
    local now = clock()
    if last then gap:add(now - last) else first = now end
    last = now
  end
  latency:add(clock() - due)
  local usage = stream:response().usage
  local written = usage and usage.output_tokens or 0
  tokens = tokens + written
  if first then ttft:add(first - due) end
  if first and last > first and written > 1 then speed:add((written - 1) / (last - first)) end
end

local function attempt(number, due)
  local ok, err = pcall(ask, number, due)
  if ok then return end
  if type(err) ~= "table" or err.kind == "cancelled" then error(err, 0) end
  failures = failures + 1
  errors[err.kind] = (errors[err.kind] or 0) + 1
  if failures == 1 then io.stderr:write("llmrun: the first failure: ", tostring(err), "\n") end
end

begin()
for number = 1, args.warmup do ask(-number, clock()) end
begin()

local began, sent = clock(), 0

-- The number of the next request; nil when there are no more.
local function take()
  if sent >= count or clock() - began >= seconds then return nil end
  sent = sent + 1
  return sent
end

local function worker()
  for number in take do attempt(number, clock()) end
end

local tasks = {}
if args.rate then
  while true do
    local due = began + sent / args.rate
    if due > clock() then llm.sleep(due - clock()) end
    local number = take()
    if not number then break end
    tasks[number] = llm.spawn(attempt, number, due)
  end
else
  for i = 1, math.min(args.concurrency, count) do tasks[i] = llm.spawn(worker) end
end
for _, task in ipairs(tasks) do task:join() end
local elapsed = clock() - began

local rows = {}
local function row(name, histogram, scale)
  local found = histogram:summary()
  if not found then return end
  local line = { name = name }
  for _, field in ipairs { "mean", "p50", "p90", "p99", "max" } do
    line[field] = tonumber(("%.2f"):format(found[field] * scale))
  end
  rows[#rows + 1] = line
end
row("first token, ms", ttft, 1000)
row("gap, ms", gap, 1000)
row("whole answer, ms", latency, 1000)
row("tokens/s of one", speed, 1)

if args.json then
  local result = { requests = sent, failures = failures, errors = errors, seconds = elapsed,
    requests_per_second = sent / elapsed, tokens = tokens, tokens_per_second = tokens / elapsed,
    first_token = ttft:summary(), gap = gap:summary(), latency = latency:summary(),
    speed = speed:summary() }
  llm.write(llm.json.encode(result), "\n")
else
  llm.table(rows, { { "name", title = "" }, { "p50" }, { "p90" }, { "p99" }, { "max" },
    { "mean" } })
  llm.write(("%d requests in %.2f s, %.1f/s; %d tokens, %.1f/s; %d failed\n"):format(
    sent, elapsed, sent / elapsed, tokens, tokens / elapsed, failures))
  for kind, number in pairs(errors) do llm.write(("%d %s\n"):format(number, kind)) end
end
if failures > 0 then llm.stop(13) end
