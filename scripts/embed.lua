-- Turns texts into vectors for search and clustering, one JSON object a row.
-- Shows: embeddings in batches, several batches at once, results in the order of the rows.
local llm = require "llm"

local args = llm.args({
  usage = "embed [options] [TEXT...]",
  about = "Prints the vector of each TEXT, or of each row of a file or of standard input:\n" ..
    "one JSON object a line with index, id where the row has one, and embedding.",
  { "model", "which model, such as openai/text-embedding-3-small", short = "m", value = "MODEL" },
  { "input", "embed the rows of FILE: lines, JSON lines or CSV", short = "i", value = "FILE" },
  { "format", "lines, jsonl or csv, where the name of FILE does not say", value = "FORMAT" },
  { "field", "the column or member that holds the text (text)", short = "f", value = "NAME" },
  { "dimensions", "length of the vectors", short = "d", value = "N", kind = "number" },
  { "text", "print the text as well" },
  { "batch", "rows a request", short = "b", value = "N", default = 100 },
  { "concurrency", "requests at once", short = "j", value = "N", default = 4 },
  { "json", "the same: the output is always JSON" },
}, arg)
if args.batch < 1 then llm.stop(2, "--batch must be at least 1") end

local client = llm.client { model = args.model }
if not args.model and client.provider_name == "openai" then
  client.options.model = "text-embedding-3-small"
end
local rows = llm.rows { texts = args, file = args.input, format = args.format,
  field = args.field }

local failed = 0

local function write(row, fields)
  fields.index, fields.id = row.index, row.fields and row.fields.id
  if args.text then fields.text = row.text end
  llm.write(llm.json.encode(fields), "\n")
end

-- The next rows that one request carries; nil when there are no more.
local function next_batch()
  local batch = { texts = {} }
  for row in rows do
    batch[#batch + 1] = row
    if not row.error then batch.texts[#batch.texts + 1] = row.text end
    if #batch >= args.batch then break end
  end
  return batch[1] and batch
end

local function embed(batch)
  if not batch.texts[1] then return {} end
  return assert(client:embed(batch.texts, { dimensions = args.dimensions })).embeddings
end

local count = 0
for _, vectors, err, batch in llm.each(next_batch, embed, { concurrency = args.concurrency }) do
  if err then error(err, 0) end
  local at = 0
  for _, row in ipairs(batch) do
    if row.error then
      failed = failed + 1
      write(row, { error = row.error })
    else
      at = at + 1
      write(row, { embedding = vectors[at] })
    end
  end
  count = count + #batch
  llm.progress(count .. " done")
end
llm.progress()
if count == 0 then llm.stop(2, "nothing to embed: give a TEXT, or rows on standard input") end
if failed > 0 then llm.stop(13) end
