--- Split: a text in pieces that a model can read, cut by exact tokens where people would cut it:
-- between paragraphs, else lines, else sentences, else words. The pieces joined are the text.
-- @module llm.split
local core = require("llm.core").tokenizer
local cost = require "llm.cost"
local options = require "llm.options"
local tokens = require "llm.tokens"

-- Tokens of a model that is not known: what Ollama reads where nobody asked for more. It drops the
-- rest without a word, so that a larger guess would lose text.
local WINDOW = 4096
local RESERVE = 0.25 -- of the window: for the instruction and the answer

-- Where a text may be cut, the best places first: patterns of what ends a unit.
local borders = { "\n%s*\n", "\n", "[.!?]+[\"')%]]*%s+", "\227\128\130", "\239\188[\129\159]",
  "%s+" }

local runs_of = { 64, 1 } -- bytes and what follows of a character, where there is no border at all

-- The units that the border ends; each keeps it, so that nothing is lost.
local function units(text, border)
  local at = 1
  return function()
    if at > #text then return nil end
    local _, last = text:find(border, at)
    local unit = text:sub(at, last or #text)
    at = (last or #text) + 1
    return unit
  end
end

-- A text without a border, in runs of whole characters.
local function runs(text, size)
  local at = 1
  return function()
    if at > #text then return nil end
    local last = at + size - 1
    while last < #text and text:byte(last + 1) >= 0x80 and text:byte(last + 1) < 0xC0 do
      last = last + 1
    end
    local run = text:sub(at, last)
    at = last + 1
    return run
  end
end

-- Makes a piece of the units in the pack. Tokens of joined units may be more than their sum, though
-- hardly ever: what is too much then begins the next piece.
local function flush(pack)
  local first, last = 1, #pack
  while first <= last do
    local piece = table.concat(pack, "", first, last)
    if first == last or pack.count(piece, pack.most) <= pack.most then
      pack.pieces[#pack.pieces + 1] = piece
      first, last = last + 1, #pack
    else
      last = last - 1
    end
  end
  for i = #pack, 1, -1 do pack[i] = nil end
  pack.sum = 0
end

-- Adds a text to the pack, in smaller units where it is too long for a piece.
local function add(pack, text, level)
  local count = pack.count(text, pack.most)
  local border, size = borders[level], runs_of[level - #borders]
  if count > pack.most and (border or size) then
    for unit in border and units(text, border) or runs(text, size) do add(pack, unit, level + 1) end
    return
  end
  if pack.sum + count > pack.most then flush(pack) end
  pack[#pack + 1], pack.sum = text, pack.sum + count
end

local function counter(model)
  local tokenizer = model and tokens.tokenizer(model)
  if not tokenizer then return function(text) return core.estimate(text) end end
  return function(text, limit) return tokenizer:count(text, limit) end
end

--- How many tokens a model reads and writes at most.
-- @tparam string|nil model
-- @treturn number tokens; 4096 where it is not known
-- @usage print(llm.window "gpt-4o") --> 128000
local function window(model)
  local name = model and model:match("[^/]*$")
  local row = name and cost.find(name)
  return row and row.context or WINDOW
end

local known = { model = "string", tokens = "number" }

--- Cuts a text into pieces.
-- @tparam string text
-- @tparam[opt] table opts `model` (whose tokens), `tokens` (of a piece at most; default: three
-- quarters of what the model reads). They are exact where the model's vocabulary is public
-- @treturn table list of texts; joined they are the text
-- @usage for _, piece in ipairs(llm.split(book, { model = "gpt-4o" })) do print(#piece) end
local function split(text, opts)
  opts = options.check(opts, known, "llm.split")
  local most = opts.tokens or math.floor(window(opts.model) * (1 - RESERVE))
  if most < 1 or most ~= most then options.refuse("llm.split", "tokens must be at least 1") end
  local pack = { pieces = {}, sum = 0, most = math.floor(most), count = counter(opts.model) }
  if text ~= "" then add(pack, text, 1) end
  flush(pack)
  return pack.pieces
end

return { split = split, window = window }
