-- Does the same to every row of a file: an instruction, a template, or a function of one's own.
-- Shows: rows of any file, work that can be killed and gone on with, failures that stop nothing.
local llm = require "llm"

local args = llm.args({
  usage = "batch [options] OPERATION [FILE] | -t TEMPLATE [FILE] | -x FUNCTION [FILE]",
  about = "Applies OPERATION (an instruction) to every row of FILE or of standard input:\n" ..
    "lines, JSON lines, CSV, or requests in OpenAI's batch format. Prints a JSON object a row.",
  { "model", "which model", short = "m", value = "MODEL" },
  { "concurrency", "how many at once; fewer while the provider refuses", short = "j", value = "N",
    default = 5 },
  { "output", "write to FILE, which --resume can go on with", short = "o", value = "FILE" },
  { "resume", "go on with the rows that have no line in the output" },
  { "retry-failed", "go on, and do those that failed once more" },
  { "unordered", "leave lines in the order in which rows were finished" },
  { "template", "a prompt with {fields} of the rows", short = "t", value = "FILE" },
  { "function", "a Lua file that returns function(row, client)", short = "x", value = "FILE" },
  { "format", "lines, jsonl or csv, where the name of FILE does not say", value = "FORMAT" },
  { "field", "the column or member that holds the text (text)", short = "f", value = "NAME" },
  { "via", "through the half-price batch API of openai or anthropic", value = "PROVIDER" },
  { "poll", "with --via: at most so many seconds between two looks", value = "SECONDS",
    default = 60 },
  { "cancel", "with --via: cancel what is at the provider" },
  { "budget", "stop when so many dollars are spent", value = "USD", kind = "number" },
}, arg)

if args.template and args["function"] then
  llm.stop(2, "give a template or a function, not both")
end
local operation = not (args.template or args["function"]) and table.remove(args, 1)
if operation == nil then llm.stop(2, "say what to do with each row; try --help") end
if args[2] then llm.stop(2, ("%q is one file too many"):format(args[2])) end
if (args.resume or args.retry_failed) and not args.output then
  llm.stop(2, "--resume and --retry-failed need the --output that is gone on with")
end
local is_file = args[1] and args[1] ~= "-"
if args.via and not (is_file and args.output and not args.budget and not args["function"]) then
  llm.stop(2, "--via needs a FILE and an --output, and knows neither --function nor --budget")
end
if args.cancel and not args.via then llm.stop(2, "--cancel needs the --via of the job") end
if args.poll <= 0 then llm.stop(2, "--poll must be more than 0") end
if args.concurrency < 1 then llm.stop(2, "concurrency must be at least 1") end

local source = args[1] or "-"
local client = llm.client { provider = args.via, model = args.model, temperature = 0.3,
  unsupported = "drop", stream = false, metrics = false, limit = { concurrency = args.concurrency },
  max_connections = args.concurrency, max_connections_per_host = args.concurrency,
  budget = args.budget and { usd = args.budget, window = 10 * 365 * 86400 },
  system = operation and "Do the following with the user's text and answer with the result " ..
    "only: " .. operation or nil }

local template = args.template and llm.template(llm.text(args.template))
local own = args["function"] and assert(loadfile(args["function"], "t"))()
if args["function"] and type(own) ~= "function" then
  llm.stop(2, args["function"] .. " must return a function")
end

-- A line of OpenAI's batch format says itself what is asked.
local function requested(row)
  local body = row.fields and row.fields.custom_id and row.fields.body
  return body and llm.chat_request(body)
end

local function ask(row)
  local messages, opts = requested(row)
  if messages then return messages, opts end
  return template and template:fill(row.fields or { text = row.text }) or row.text
end

local function run(row)
  if own then return own(row, client) end
  return client:generate_text(ask(row))
end

local function rows()
  local next_row = llm.rows { file = source, format = args.format, field = args.field,
    whole = true }
  return function()
    local row = next_row()
    local is_told = row and (row.text or template or own or row.fields and row.fields.custom_id)
    if row and not is_told then row.error = row.error or "the row has no text; try --field" end
    return row
  end
end

-- Where people watch, they want to know how much there is.
local total
if source ~= "-" and llm.is_terminal "stderr" then
  total = 0
  for _ in rows() do total = total + 1 end
end

local job = { input = source, model = client.options.model,
  task = operation or args.template or args["function"] }
local result
if args.via then
  job.task = job.task .. " --via " .. args.via
  result = llm.batch_via { client = client, rows = rows, ask = ask, output = args.output, job = job,
    resume = args.resume or args.cancel, retry_failed = args.retry_failed, poll = args.poll,
    unordered = args.unordered, cancel = args.cancel }
  if args.cancel then return end
else
  result = llm.batch { rows = rows(), run = run, output = args.output, total = total,
    concurrency = args.concurrency, resume = args.resume, retry_failed = args.retry_failed,
    unordered = args.unordered, job = job }
end
io.stderr:write(("%d done, %d failed, $%.6f\n"):format(result.done - result.failed, result.failed,
  result.cost))
if result.failed > 0 then llm.stop(13) end
