-- Shows the calls that were kept: a list, those with some words in them, or one in full.
-- Shows: llm.logs, a table whose longest column gives way, records as JSON lines.
local llm = require "llm"

local args = llm.args({
  usage = "logs [options] [WORD...]",
  about = "Lists calls that were kept, the newest first; with WORDs those whose prompt or\n" ..
    "answer holds them all. LLM_LOG_CALLS=1 keeps calls; times are UTC.",
  { "count", "how many calls; 0: all", short = "n", value = "N", default = 20 },
  { "model", "of models with this in PROVIDER/MODEL", short = "m", value = "NAME" },
  { "tag", "with this tag", value = "TAG" },
  { "since", "since a date or an age: 2026-11-27, 2d, 12h", value = "WHEN" },
  { "before", "before a date or an age", value = "WHEN" },
  { "errors", "those that failed" },
  { "id", "one call in full", value = "ID", kind = "number" },
  { "response", "print the last answer and nothing else", short = "r" },
  { "json", "print one JSON object a line" },
  { "file", "a file of calls, not the usual one", value = "FILE" },
  { "path", "print where calls are kept" },
  { "delete", "delete the calls before --before" },
}, arg)

if args.path then
  print(llm.logs.path(args.file) or llm.stop(1, "there is no home directory"))
  return
end

local function must(value, err)
  if not value then llm.stop(1, err.message) end
  return value
end

if args.delete then
  if not args.before then llm.stop(2, "--delete needs --before") end
  print(must(llm.logs.delete { file = args.file, before = args.before }) .. " calls deleted")
  return
end

local only = args.response or args.id
local words = {}
for i, word in ipairs(args) do words[i] = word end
local calls = must(llm.logs.calls {
  file = args.file, words = words[1] and words, model = args.model, tag = args.tag,
  since = args.since, before = args.before, errors = args.errors, id = args.id,
  limit = only and 1 or args.count > 0 and args.count or nil,
})

local function text_of(content)
  if type(content) ~= "table" then return tostring(content or "") end
  local texts = {}
  for i, part in ipairs(content) do
    texts[i] = part.text or ("[%s %s]"):format(part.type, part.name or part.url or part.mime or "")
  end
  return table.concat(texts, "\n")
end

local function prompt_of(call)
  local messages = call.request.messages or {}
  local last = messages[#messages]
  return last and text_of(last.content) or call.kind
end

local function print_section(name, text)
  if text and text ~= "" then llm.write("\n[", name, "]\n", text, "\n") end
end

local function print_tools(list)
  for _, tool in ipairs(list or {}) do
    print_section("tool call " .. tostring(tool.name), tool.arguments)
  end
end

local function print_call(call)
  local usage = call.usage or {}
  llm.write(("%d  %s  %s/%s  %.2f s  %s + %s tokens  %s\n"):format(call.id,
    os.date("!%Y-%m-%dT%H:%M:%SZ", call.time), call.provider, call.model, call.duration,
    usage.input_tokens or "?", usage.output_tokens or "?",
    call.cost_estimate and ("$%.6f"):format(call.cost_estimate) or "price unknown"))
  for _, message in ipairs(call.request.messages or {}) do
    print_section(message.role, text_of(message.content))
    print_tools(message.tool_calls)
  end
  print_section("reasoning", call.reasoning)
  print_section("answer", call.response)
  print_tools(call.tool_calls)
  print_section("error", call.error and call.error.kind .. ": " .. call.error.message)
end

if only and not calls[1] then llm.stop(1, "there is no such call; try llmrun logs") end
if args.json then
  for _, call in ipairs(calls) do llm.write(llm.json.encode(call), "\n") end
elseif args.response then
  llm.write(calls[1].response or "", "\n")
elseif args.id then
  print_call(calls[1])
elseif not calls[1] then
  io.stderr:write("llmrun: no call is like that\n")
else
  for _, call in ipairs(calls) do
    call.prompt, call.outcome = prompt_of(call), call.error and call.error.kind or "ok"
    call.time = os.date("!%Y-%m-%dT%H:%M:%SZ", call.time)
  end
  llm.table(calls, { { "id" }, { "time" }, { "prompt", cut = true }, { "outcome" }, { "model" },
    { "cost_estimate", title = "cost", usd = true } })
end
