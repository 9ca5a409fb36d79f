--- Tokens of texts and messages: exact where the vocabulary of a model is public, else estimated.
-- @module llm.tokens
local core = require("llm.core").tokenizer

local tokens = {}

-- Which models use which vocabulary, as openai/tiktoken says (model.py, version 0.12). A name also
-- stands for the longer ones that go on with "-": gpt-4 for gpt-4-0613, not for gpt-4o or gpt-4.1.
local models = {}
local function use(vocabulary, names)
  for name in names:gmatch("%S+") do models[name] = vocabulary end
end
use("o200k_base", "gpt-4o chatgpt-4o gpt-4.1 gpt-4.5 gpt-5 o1 o3 o4-mini")
use("o200k_harmony", "gpt-oss")
use("cl100k_base", [[gpt-4 gpt-3.5 gpt-3.5-turbo gpt-35-turbo davinci-002 babbage-002
  text-embedding-ada-002 text-embedding-3-small text-embedding-3-large]])
use("p50k_base", [[text-davinci-003 text-davinci-002 code-davinci-002 code-davinci-001
  code-cushman-002 code-cushman-001 davinci-codex cushman-codex]])
use("r50k_base", [[text-davinci-001 text-curie-001 text-babbage-001 text-ada-001 davinci curie
  babbage ada]])

-- What OpenAI documents for chat models since gpt-3.5-turbo-0613 (cookbook, "How to count tokens
-- with tiktoken"): a frame around each message, one for a name, and the opening of the answer.
local PER_MESSAGE, PER_NAME, PRIMING = 3, 1, 3

local open = {} -- name -> tokenizer

local function tokenizer_named(name)
  local tokenizer, message = open[name], nil
  if not tokenizer then
    tokenizer, message = core.open(name)
    open[name] = tokenizer
  end
  return tokenizer, message
end

-- "openai/gpt-4o-2024-08-06" and "ft:gpt-4o-2024-08-06:org::id" are gpt-4o.
local function vocabulary_of(model)
  local name = model:match("([^/]*)$"):gsub("^ft:([^:]*).*", "%1")
  while name do
    if models[name] then return models[name] end
    name = name:match("^(.*)%-[^-]*$")
  end
end

--- The tokenizer of a vocabulary or of a model.
-- It has `encode(text[, {allowed_special = "all" | {names}}])` -> ids, `decode(ids)` -> bytes,
-- `count(text[, limit])` -> n (`limit + 1` when there are more), `truncate(text, n)` -> its start,
-- at most n whole tokens and no half character; `name()`, `n_vocab()`. Text that looks
-- like a special token is ordinary text unless allowed; invalid UTF-8 counts as U+FFFD.
-- @tparam string name `"o200k_base"`, `"o200k_harmony"`, `"cl100k_base"`, `"p50k_base"`,
-- `"r50k_base"`, or a model such as `"gpt-4o"`
-- @treturn Tokenizer shared by all who ask for it
-- @treturn nil, string no vocabulary is public for this name
-- @usage print(#llm.tokenizer("gpt-4o"):encode("How many tokens?"))
function tokens.tokenizer(name)
  if type(name) ~= "string" then error("the name of a vocabulary or model must be a string", 2) end
  local tokenizer = tokenizer_named(vocabulary_of(name) or name)
  if tokenizer then return tokenizer end
  return nil, ("no vocabulary is public for %q"):format(name)
end

-- A counter of texts for a model, and whether it is exact.
local function counter(model)
  local tokenizer = tokens.tokenizer(model)
  if not tokenizer then return core.estimate, false end
  return function(text) return tokenizer:count(text) end, true
end

-- Tokens of a list of content parts; only text can be counted.
local function count_parts(parts, count)
  local n, exact = 0, true
  for _, part in ipairs(parts) do
    if type(part) == "table" and part.type == "text" and type(part.text) == "string" then
      n = n + count(part.text)
    else
      exact = false
    end
  end
  return n, exact
end

local function count_calls(calls, count)
  local n = 0
  for _, call in ipairs(calls) do
    local arguments = call.arguments
    if type(arguments) == "table" then arguments = require("llm.core").json.encode(arguments) end
    n = n + PER_MESSAGE + count(tostring(call.name or "")) + count(tostring(arguments or ""))
  end
  return n
end

local function count_message(message, count)
  if type(message) ~= "table" then error("a message must be a table", 3) end
  local content, exact = message.content or "", true
  local n = PER_MESSAGE + count(tostring(message.role or ""))
  if message.name then n = n + PER_NAME + count(message.name) end
  if type(content) == "table" then
    local of_parts
    of_parts, exact = count_parts(content, count)
    n = n + of_parts
  else
    n = n + count(content)
  end
  if message.tool_calls then n, exact = n + count_calls(message.tool_calls, count), false end
  return n, exact and message.role ~= "tool"
end

--- How many tokens a model reads.
-- @tparam string|table text a text, one message or a list of messages; messages are counted with
-- the frame that OpenAI documents around each, and the opening of the answer
-- @tparam string model a model or a vocabulary
-- @treturn number tokens
-- @treturn boolean exact: false where the vocabulary is not public, or for tool calls and other
-- parts than text, whose form is not documented (images count nothing)
-- @usage local n, exact = llm.count_tokens("Hello, world", "gpt-4o") --> 3, true
function tokens.count_tokens(text, model)
  if type(model) ~= "string" then error("count_tokens needs the name of a model", 2) end
  local count, exact = counter(model)
  if type(text) == "string" then return count(text), exact end
  if type(text) ~= "table" then error("count_tokens needs a text or messages", 2) end
  local messages = text.role and { text } or text
  local total = PRIMING
  for _, message in ipairs(messages) do
    local n, is_exact = count_message(message, count)
    total, exact = total + n, exact and is_exact
  end
  return total, exact
end

--- The specification's rule of thumb: four characters a token.
-- @tparam string text
-- @treturn number a quarter of the number of characters, rounded down
-- @usage llm.estimate_tokens("four char") --> 2
function tokens.estimate_tokens(text)
  local _, characters = text:gsub("[^\128-\191]", "")
  return math.floor(characters / 4)
end

return tokens
