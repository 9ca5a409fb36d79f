--- What models cost, when they end, and whose table says so.
-- The arithmetic is in core/prices, in nano-dollars; here are dollars, the user's own prices and
-- the user's newer table, which is looked for once, at the first question.
-- @module llm.cost

local config = require("llm.config")
local core = require("llm.core")
local data_folder = require("llm.data_folder")
local options = require("llm.options")
local price_table = require("llm.price_table")
local prices = core.prices

local cost = {}

local TOKENS_MAX = 1e12
local TABLE_BYTES_MAX = 4 * 1024 * 1024

--- Where the user's own table is looked for.
-- @treturn string|nil a path; nil where there is no home directory
-- @usage print(cost.path())
function cost.path() return data_folder.path("prices.json") end

local function flat(rows, numbers)
  for _, cell in ipairs(rows) do
    if type(cell) == "table" then flat(cell, numbers) else numbers[#numbers + 1] = cell end
  end
  return numbers
end

local function use(compiled)
  local lists = { text = table.concat(compiled.texts, "\0") .. "\0" }
  for _, key in ipairs({ "names", "models", "variants", "providers", "services" }) do
    lists[key] = flat(compiled[key], {})
  end
  prices.install(lists)
end

-- The bytes of a price table and the table; or nil and what is wrong with it.
local function read_table(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  local bytes = file:read(TABLE_BYTES_MAX + 1)
  file:close()
  if not bytes or #bytes > TABLE_BYTES_MAX then return nil, path .. ": not a price table" end
  local document, compiled
  document, message = core.json.decode(bytes)
  if document ~= nil then compiled, message = price_table.compile(document) end
  if not compiled then return nil, path .. ": " .. message end
  return bytes, compiled
end

local asked = false
local in_use = nil -- the path of the user's table
local complaint = nil -- why it is not in use

-- The user's table counts when it is newer than the one that this program was built with.
local function table_in_use()
  if asked then return prices end
  asked = true
  local path = cost.path()
  local file = path and io.open(path, "rb")
  if not file then return prices end
  file:close()
  local bytes, compiled = read_table(path)
  if not bytes then
    complaint = compiled
  elseif compiled.date > prices.date() then
    use(compiled)
    in_use = path
  end
  return prices
end

--- The date of the price table in use.
-- @treturn string "YYYY-MM-DD"
-- @treturn string|nil its path when it is the user's own
-- @treturn string|nil why the user's own cannot be used
-- @usage print("prices of " .. llm.cost.date())
function cost.date()
  local date = table_in_use().date()
  return date, in_use, complaint
end

--- Checks a newer price table and makes it the user's own, from this call on.
-- @tparam string file path of a JSON file like core/data/prices.json
-- @treturn string the date of the table
-- @treturn nil,string what is wrong: the path of the field, or that the table is not newer
-- @usage print(assert(llm.cost.install("prices.json")))
function cost.install(file)
  local bytes, compiled = read_table(file)
  if not bytes then return nil, compiled end
  local present = cost.date()
  if compiled.date < present then
    return nil, ("%s: its date %s is before %s, the date of the table in use"):format(
      file, compiled.date, present)
  end
  local path = cost.path()
  if not path then return nil, "no home directory to install to" end
  local ok, message = data_folder.save(path, bytes)
  if not ok then return nil, message end
  use(compiled)
  in_use, complaint = path, nil
  return compiled.date
end

local function is_count(n)
  return type(n) == "number" and n >= 0 and n <= TOKENS_MAX and n % 1 == 0
end

local function own_rate(costs, model, key)
  local rate = costs[model][key]
  if type(rate) ~= "number" or not (rate >= 0 and rate < math.huge) then
    error("costs[" .. model .. "]." .. key .. " must be USD per 1,000 tokens", 0)
  end
  return rate
end

-- USD by the user's own table {[model] = {input = USD per 1,000 tokens, output = …}}.
local function own_cost(costs, model, input, output)
  if not (is_count(input) and is_count(output)) then return nil, "not a count of tokens" end
  local input_usd, output_usd = own_rate(costs, model, "input"), own_rate(costs, model, "output")
  return (input * input_usd + output * output_usd) / 1000
end

-- The key of a model in the user's own table: "provider/name", or the name alone.
local function own_key(costs, model, provider)
  if not costs then return nil end
  local long, short = (provider or "") .. "/" .. model, model:match("/(.+)$")
  return costs[long] and long or costs[model] and model or short and costs[short] and short or nil
end

--- Whether a table of own prices has a model.
-- @tparam table|nil costs
-- @tparam string model
-- @tparam[opt] string provider
-- @treturn boolean
function cost.is_own(costs, model, provider) return own_key(costs, model, provider) ~= nil end

local function dollars(nano_dollars, message)
  if nano_dollars then return nano_dollars / 1e9 end
  return nil, message
end

--- What a call would cost.
-- @tparam string model a name, or "provider/name"
-- @tparam number input_tokens tokens of the prompt
-- @tparam number output_tokens tokens of the completion
-- @tparam[opt] table token_costs prices that go before those of the configuration, which go before
-- ours; USD per 1,000 tokens: `{["gpt-4"] = {input = 0.03, output = 0.06}}`
-- @treturn number USD
-- @treturn nil,string the price of the model is unknown, or a count is no count
-- @usage print(llm.estimate_cost("gpt-4o", 1200, 300))
function cost.estimate(model, input_tokens, output_tokens, token_costs)
  if type(model) ~= "string" then error("the name of a model must be a string", 2) end
  if token_costs ~= nil and type(token_costs) ~= "table" then
    error("token_costs must be a table of prices, not a " .. type(token_costs), 2)
  end
  for _, costs in ipairs { token_costs or {}, config.get().costs } do
    local key = own_key(costs, model)
    if key then return own_cost(costs, key, input_tokens, output_tokens) end
  end
  return dollars(table_in_use().cost_of(model, input_tokens, 0, 0, output_tokens, os.time()))
end

--- What a call did cost.
-- @tparam string model the name that the provider answered with
-- @tparam string|nil provider nil: by the name alone
-- @tparam table usage `input_tokens`, `cached_tokens`, `cache_write_tokens` (and, part of them,
-- `cache_write_long_tokens`: written with the long TTL), `output_tokens`
-- @tparam[opt] table costs as token_costs of @{estimate}; the key may be "provider/name"
-- @tparam[opt] table terms `batch` (boolean), `service_tier`, `time` (Unix time, else now)
-- @treturn number USD
-- @treturn nil,string the price is unknown, or the usage makes no sense
-- @usage response.cost_estimate = cost.of("gpt-4o", "openai", response.usage, config.costs)
function cost.of(model, provider, usage, costs, terms)
  local key = own_key(costs, model, provider)
  if key then
    if type(usage) ~= "table" then return nil, "the usage is missing" end
    return own_cost(costs, key, usage.input_tokens, usage.output_tokens)
  end
  terms = terms or {}
  return dollars(table_in_use().cost(model, usage, {
    provider = provider, batch = terms.batch, service_tier = terms.service_tier,
    time = terms.time or os.time(),
  }))
end

--- The row of one model, as in @{models}.
-- @tparam string model a name, or "provider/name"
-- @tparam[opt] string provider
-- @treturn table|nil
-- @usage local row = cost.find("gpt-4o-2024-08-06")
function cost.find(model, provider) return table_in_use().find(model, provider) end

local function is_over(row, date)
  if row.shutdown then return row.shutdown <= date end
  return row.status == "retired"
end

-- The model to use instead: a successor may have had its own end.
local function successor(row, date)
  for _ = 1, 8 do
    row = row.successor and cost.find(row.successor, row.provider)
    if not row then return nil end
    if not is_over(row, date) then return row.id end
  end
end

local filter_keys = { provider = "string" }

-- The rows whose id has this part, or else fits this Lua pattern, if it is one.
local function rows_like(rows, part)
  local found
  for _, is_plain in ipairs { true, false } do
    found = {}
    for _, row in ipairs(rows) do
      local is_pattern, at = pcall(string.find, row.id, part, 1, is_plain)
      if is_pattern and at then found[#found + 1] = row end
    end
    if found[1] then break end
  end
  return found
end

--- The models whose price is known.
-- @tparam[opt] string|table filter a part of the id, or if no id has it a Lua pattern; or
-- `{provider = name}`
-- @treturn table a list of rows: `id`, `provider`; `context`, `max_output` (tokens); `input`,
-- `cached_input`, `cache_write`, `cache_write_long`, `output` (USD per 1,000,000 tokens);
-- `shutdown` (date), `status`, `successor` (an id), each absent where unknown; and of a model that
-- has had its end `ended` (true), its successor being one that has not
-- @usage for _, model in ipairs(llm.models("claude")) do print(model.id, model.output) end
function cost.models(filter)
  local all, rows, today = table_in_use().list(), {}, os.date("!%Y-%m-%d")
  if type(filter) == "string" then all, filter = rows_like(all, filter), nil end
  local provider = options.check(filter, filter_keys, "models").provider
  for _, row in ipairs(all) do
    if not provider or row.provider == provider then
      if is_over(row, today) then row.ended, row.successor = true, successor(row, today) end
      rows[#rows + 1] = row
    end
  end
  return rows
end

--- Whether a model has had its end.
-- @tparam string model a name, or "provider/name"
-- @tparam[opt] string provider
-- @tparam[opt] string date "YYYY-MM-DD", else today
-- @treturn string|nil one line for the user, with the successor if one is known
-- @usage local notice = cost.notice("gpt-4", "openai", "2026-11-22")
function cost.notice(model, provider, date)
  date = date or os.date("!%Y-%m-%d")
  local row = cost.find(model, provider)
  if not row or not is_over(row, date) then return nil end
  local when = row.shutdown and " was shut down on " .. row.shutdown or " is retired"
  local instead = successor(row, date)
  return model .. when .. (instead and "; use " .. instead .. " instead" or "")
end

return cost
