-- Summarizes texts of any length and language: one summary a file, or one of all files together.
-- Shows: splitting by exact tokens, parallel requests whose results are merged, streaming.
local llm = require "llm"

local args = llm.args({
  usage = "summarize [options] [FILE...]",
  about = "Summarizes each FILE, or standard input, in the language of the text.\n" ..
    "A text that the model cannot read at once is cut between paragraphs, its parts are\n" ..
    "summarized in parallel and the summaries are merged. A --length without w or c counts\n" ..
    "characters in Chinese and Japanese, words elsewhere.",
  { "model", "which model", short = "m", value = "MODEL" },
  { "length", "at most so many words (200w) or characters (500c)", short = "l", value = "N",
    default = "200" },
  { "to", "language of the summary, if not the text's", short = "t", value = "LANGUAGE" },
  { "together", "one summary of all files" },
  { "window", "tokens the model reads at most, where that is not known", value = "N",
    kind = "number" },
  { "concurrency", "requests at once", short = "j", value = "N", default = 8 },
  { "json", "print one JSON object a file, with tokens and cost" },
}, arg)

local length, unit = args.length:match("^(%d+)([wc]?)$")
if not length or tonumber(length) < 1 then
  llm.stop(2, "--length must be like 200, 200w or 500c, not " .. args.length)
end
if (args.window or 300) < 300 then llm.stop(2, "--window must be at least 300") end
local language = args.to or "the language of the text"

-- Chinese and Japanese are counted in characters: no blanks part their words.
local function is_wide(text)
  local start = text:sub(1, 3000)
  local _, wide = start:gsub("[\227-\233][\128-\191][\128-\191]", "")
  local _, words = start:gsub("%a+", "")
  return wide > words
end

local function counts_characters(text)
  if unit ~= "" then return unit == "c" end
  if not args.to then return is_wide(text) end
  local to = args.to:lower()
  return is_wide(to) or to:find("chinese") or to:find("japanese") or to:find("^zh") or
    to:find("^ja$")
end

local documents = {}
if args.together or #args < 2 then
  documents[1] = { file = args[1] and table.concat(args, " "), text = llm.input(args) }
else
  for i, path in ipairs(args) do documents[i] = { file = path, text = llm.text(path) } end
end

local client = llm.client { model = args.model, temperature = 0.3, unsupported = "drop" }
local model = client.options.model
-- A quarter of what the model reads is left for the instruction and the answer.
local most = math.floor((args.window or llm.window(model)) * 3 / 4)

local function prompt(text, task)
  return {
    { role = "system", content = ("You are an expert at concise and accurate summaries. %s in " ..
      "%s, in at most %s %s. Answer with the summary alone."):format(task, language, length,
      counts_characters(text) and "characters" or "words") },
    { role = "user", content = "Summarize the following text:\n\n" .. text },
  }
end

local function ask(messages, sum)
  local response = assert(client:generate_text(messages))
  sum.tokens_used = sum.tokens_used + (response.tokens_used or 0)
  sum.cost_estimate = sum.cost_estimate and response.cost_estimate and
    sum.cost_estimate + response.cost_estimate
  return response.content
end

-- The summaries of the parts, and theirs, until one request can read them.
local function condense(text, sum)
  local pieces = llm.split(text, { model = model, tokens = most })
  sum.parts = sum.parts or #pieces
  if #pieces == 1 then return text end
  local summaries = {}
  for i, summary, err in llm.each(pieces, function(piece)
    return ask(prompt(piece, "Summarize this part of a longer text"), sum)
  end, { concurrency = args.concurrency }) do
    if err then error(err, 0) end
    summaries[i] = summary
    llm.progress(("%d of %d parts"):format(i, #pieces))
  end
  local shorter = table.concat(summaries, "\n\n")
  if #shorter >= #text then
    error(llm.error.new("context_length", "the summaries of the parts are as long as the text; " ..
      "give a shorter --length or a larger --window"), 0)
  end
  return condense(shorter, sum)
end

local function summarize(document)
  local sum = { file = document.file, model = model, tokens_used = 0, cost_estimate = 0 }
  local text = condense(document.text, sum)
  local task = sum.parts > 1 and "Merge these summaries of the parts of a text into one summary"
    or "Summarize the text"
  sum.last = prompt(text, task)
  if args.json or #documents > 1 then sum.summary = ask(sum.last, sum) end
  return sum
end

local failed
for i, sum, err in llm.each(documents, summarize, { concurrency = args.concurrency }) do
  if err and #documents == 1 then error(err, 0) end
  if err then
    failed = true
    io.stderr:write("llmrun: ", documents[i].file, ": ", tostring(err), "\n")
  elseif args.json then
    sum.last = nil
    llm.write(llm.json.encode(sum), "\n")
  elseif sum.summary then
    llm.write(("%s== %s ==\n%s\n"):format(i > 1 and "\n" or "", sum.file, sum.summary))
  else
    for text in client:stream_text(sum.last) do llm.write(text) end
    llm.write("\n")
  end
end
if failed then llm.stop(13) end
