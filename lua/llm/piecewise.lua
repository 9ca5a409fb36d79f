--- Piecewise: a text of any length sent through a model in pieces, and put together again. For what
-- is done to every part of a text alike, such as a translation.
-- @module llm.piecewise
local args = require "llm.args"
local each = require "llm.each"
local json = require("llm.core").json
local options = require "llm.options"
local output = require "llm.output"
local split = require "llm.split"

local TOKENS = 1500 -- of a piece: models write about as much, and write no more than a few thousand

-- The pieces, and the blank space before each and at the end, which models do not keep.
local function pieces_of(text, opts)
  local pieces, gap = {}, ""
  for _, piece in ipairs(split.split(text, opts)) do
    local before, words, after = piece:match("^(%s*)(.-)(%s*)$")
    gap = gap .. before
    if words ~= "" then
      pieces[#pieces + 1] = { gap = gap, text = words }
      gap = ""
    end
    gap = gap .. after
  end
  return pieces, gap
end

local function stream(client, piece, write)
  local next_text, reply = client:stream_text(piece.text)
  for text in next_text, reply, nil, reply do write(text) end
  return reply:response()
end

local function add(result, piece, response)
  result[#result + 1] = piece.gap .. response.content
  result.model = response.model
  result.tokens_used = result.tokens_used + (response.tokens_used or 0)
  result.cost_estimate = result.cost_estimate and response.cost_estimate and
    result.cost_estimate + response.cost_estimate
end

local known = { tokens = "number", concurrency = "number", write = "function" }

--- Sends a text through a client in pieces, several at once, and joins the answers. Blank space
-- between the pieces stays as it is.
-- @tparam Client client its `system` says what to do
-- @tparam string text
-- @tparam[opt] table opts `tokens` (of a piece, 1500), `concurrency` (8), `write(text)` is given
-- the answers in order as they come
-- @treturn table `text`, `model`, `tokens_used`, `cost_estimate` (USD, nil when unknown)
-- @raise the error of the first piece that failed
-- @usage local client = llm.client { system = "Translate into German." }
-- print(llm.piecewise(client, text).text)
local function piecewise(client, text, opts)
  opts = options.check(opts, known, "llm.piecewise")
  local pieces, ending = pieces_of(text,
    { model = client.options.model, tokens = opts.tokens or TOKENS })
  local result = { tokens_used = 0, cost_estimate = 0 }
  local write = opts.write or function() end
  if opts.write and #pieces == 1 then
    write(pieces[1].gap)
    add(result, pieces[1], stream(client, pieces[1], write))
  else
    for _, response, err, piece in each.each(pieces, function(piece)
      return assert(client:generate_text(piece.text))
    end, { concurrency = opts.concurrency }) do
      if err then error(err, 0) end
      add(result, piece, response)
      write(result[#result])
    end
  end
  write(ending)
  result.text = table.concat(result) .. ending
  for i = #result, 1, -1 do result[i] = nil end
  return result
end

--- Sends files through a client in pieces and writes what comes of each: the text as it comes,
-- ended by a newline; or a JSON object with `file` and the result.
-- @tparam Client client its `system` says what to do
-- @tparam table paths none: standard input
-- @tparam[opt] table opts `json`, and `tokens` and `concurrency` of piecewise
-- @raise the error of the first piece that failed; a file that cannot be read ends the script
-- @usage llm.transform(llm.client { system = "Translate into German." }, args)
local function transform(client, paths, opts)
  opts = options.check(opts, { json = "boolean", tokens = "number", concurrency = "number" },
    "llm.transform")
  for _, path in ipairs(paths[1] and paths or { "-" }) do
    local result = piecewise(client, args.text(path), { tokens = opts.tokens,
      concurrency = opts.concurrency, write = not opts.json and output.write or nil })
    if opts.json then
      result.file = path
      output.write(json.encode(result), "\n")
    elseif result.text:sub(-1) ~= "\n" then
      output.write("\n")
    end
  end
end

return { piecewise = piecewise, transform = transform }
