-- Turns a request in plain words into a structured task: goal, steps, inputs, results, limits.
-- Shows: an answer in a nested shape, printed for people or as JSON.
local llm = require "llm"

local args = llm.args({
  usage = "describe-task [options] [REQUEST...]",
  about = "Analyses a REQUEST, or standard input, and describes the task that it asks for.",
  { "model", "which model", short = "m", value = "MODEL" },
  { "json", "print one JSON object" },
}, arg)

local request = table.concat(args, " ")
if request == "" or request == "-" then request = llm.text "-" end

local client = llm.client { model = args.model, temperature = 0.3, unsupported = "drop",
  system = "You are an expert at analysing tasks. Turn the user's request into a detailed, " ..
    "structured description of the task, in the language of the request." }

local response = assert(client:generate_object(
  "Analyse this request and describe the task:\n\n" .. request, { schema = [[
    title "at most ten words"
    goal "what must be true when the task is done"
    steps: string[1..] "in their order, each one an action"
    inputs: string[] "what is needed to begin"
    outputs: string[] "what is there at the end"
    constraints: string[] "limits that the request names"
    questions: string[] "what the request leaves open"
  ]] }))
local task = response.object

if args.json then
  llm.write(llm.json.encode(task), "\n")
  return
end

llm.write(task.title, "\n\n", task.goal, "\n")
for _, name in ipairs { "steps", "inputs", "outputs", "constraints", "questions" } do
  if task[name][1] then llm.write("\n", name, ":\n") end
  for i, text in ipairs(task[name]) do
    llm.write(name == "steps" and ("  %d. %s\n"):format(i, text) or ("  - %s\n"):format(text))
  end
end
