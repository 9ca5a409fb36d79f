--- Checks a price document and turns it into the lists of numbers that core/prices.h describes.
-- Used twice: when the program is built, over core/data/prices.json, and at run time, over a newer
-- table that the user installed. So it requires nothing. Rows and fields are in the order of the C
-- structs; an index counts from 0; the fields of a document are explained in its `_header`.
-- @module llm.price_table

local price_table = {}

local USD_MAX, COUNT_MAX, MULTIPLIER_MAX = 10000, 1e12, 100
local FROM_DAY, PEAK, TIER = 0, 1, 2

-- The one way out of a document that makes no sense; compile turns it into nil, message.
local function fail(path, complaint)
  error({ complaint = path .. ": " .. complaint }, 0)
end

-- A member of the given type, or the default. JSON's null counts as absent.
local function member(owner, path, key, kind, default)
  local value = owner[key]
  if value == nil or type(value) == "userdata" then
    if default == nil then fail(path .. key, "is missing") end
    return default
  end
  if type(value) ~= kind then
    fail(path .. key, "must be a " .. kind .. ", not a " .. type(value))
  end
  return value
end

local function text(owner, path, key, default)
  local value = member(owner, path, key, "string", default)
  if #value > 200 or value:find("%c") then fail(path .. key, "is not a short line of text") end
  return value
end

local function scaled(owner, path, key, highest, scale, default)
  local value = member(owner, path, key, "number", default)
  if not (value >= 0 and value <= highest) then
    fail(path .. key, "must be between 0 and " .. highest)
  end
  return math.floor(value * scale + 0.5)
end

local function count(owner, path, key, default)
  return scaled(owner, path, key, COUNT_MAX, 1, default)
end

-- Thousandths.
local function multiplier(owner, path, key, default)
  local value = scaled(owner, path, key, MULTIPLIER_MAX, 1000, default)
  if value == 0 then fail(path .. key, "must not be 0") end
  return value
end

-- Days since 1970-01-01 of a Gregorian date. A year begins in March here, so that a leap day is its
-- last; January is month 13 as well as month 1 of the year after.
local function day_number(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
end

local function date(owner, path, key, default)
  local value = text(owner, path, key, default)
  if value == "" then return value end
  local year, month, day = value:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)$")
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  local is_month = year and month >= 1 and month <= 12
  local days = is_month and day_number(year, month + 1, 1) - day_number(year, month, 1)
  if not days or day < 1 or day > days then
    fail(path .. key, "must be a date like 2026-11-22")
  end
  return value, day_number(year, month, day)
end

-- By length, then by bytes, whatever the locale: the search in core/prices.c relies on it.
local function before(a, b)
  if #a ~= #b then return #a < #b end
  for i = 1, #a do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return false
end

local function sorted_keys(owner, path)
  local keys = {}
  for key in pairs(owner) do
    if type(key) ~= "string" then fail(path, "must be an object") end
    keys[#keys + 1] = key
  end
  table.sort(keys, before)
  return keys
end

-- Five rates in pico-dollars a token. Without a known discount or surcharge the input rate holds.
local function rates(owner, path)
  local function rate(key, default) return scaled(owner, path, key, USD_MAX, 1e6, default) end
  local input = member(owner, path, "input", "number")
  local write = member(owner, path, "cache_write", "number", input)
  return { rate("input"), rate("cached_input", input), rate("cache_write", input),
    rate("cache_write_long", write), rate("output") }
end

-- Calls visit(element, path) for each table in the list owner[key], which may be absent.
local function each(owner, path, key, visit)
  local list = member(owner, path, key, "table", {})
  if #list == 0 and next(list) ~= nil then fail(path .. key, "must be a list") end
  for i, element in ipairs(list) do
    local here = path .. key .. "[" .. i .. "]"
    if type(element) ~= "table" then fail(here, "must be an object") end
    visit(element, here .. ".")
  end
end

local function minutes(window, path, index)
  local hour, minute = text(window, path, index):match("^(%d%d):(%d%d)$")
  hour, minute = tonumber(hour), tonumber(minute)
  if not hour or minute > 59 or hour * 60 + minute > 1440 then
    fail(path .. index, "must be a time like 06:00")
  end
  return hour * 60 + minute
end

-- Adds the rows of a model. A later one wins: a scheduled price over the base, a peak over both, a
-- tier over all.
local function add_variants(variants, model, path, provider, provider_path)
  local changes = {}
  each(model, path, "price_changes", function(change, here)
    local _, day = date(change, here, "from")
    changes[#changes + 1] = { FROM_DAY, day, 0, 0, rates(change, here) }
  end)
  table.sort(changes, function(a, b) return a[2] < b[2] end)
  for _, change in ipairs(changes) do variants[#variants + 1] = change end

  if member(model, path, "peak", "table", false) then
    local is_weekdays = text(provider, provider_path, "peak_days", ""):find("^Mon%-Fri")
    local days = is_weekdays and 62 or 127 -- bit 0 is Sunday
    member(provider, provider_path, "peak_windows_utc", "table")
    each(provider, provider_path, "peak_windows_utc", function(window, here)
      local from, to = minutes(window, here, 1), minutes(window, here, 2)
      if from >= to then fail(here .. 2, "must be later than " .. window[1]) end
      variants[#variants + 1] = { PEAK, from, to, days, rates(model.peak, path .. "peak.") }
    end)
  end

  local inclusive = text(provider, provider_path, "tier_rule", ""):find(">=", 1, true) and 1 or 0
  local tiers = {}
  each(model, path, "tiers", function(tier, here)
    tiers[#tiers + 1] = { TIER, count(tier, here, "above") - inclusive, 0, 0, rates(tier, here) }
  end)
  table.sort(tiers, function(a, b) return a[2] < b[2] end)
  for _, tier in ipairs(tiers) do variants[#variants + 1] = tier end
end

-- Offsets of interned strings; the empty one is the first.
local function new_texts()
  local list, offsets, length = {}, {}, 0
  local function intern(s)
    if not offsets[s] then
      list[#list + 1] = s
      offsets[s] = length
      length = length + #s + 1
    end
    return offsets[s]
  end
  return intern, list
end

local function add_model(out, model, path, provider, provider_path, seen)
  local index = #out.models
  local function add_name(name, here)
    if name == "" or seen[name] then fail(here, "is empty or stands twice: " .. name) end
    seen[name] = index
    out.names[#out.names + 1] = { name, index }
  end
  local id = text(model, path, "id")
  add_name(id, path .. "id")
  local aliases = member(model, path, "aliases", "table", {})
  for i = 1, #aliases do add_name(text(aliases, path .. "aliases.", i), path .. "aliases." .. i) end
  local shutdown = date(model, path, "shutdown", "")
  local first = #out.variants
  add_variants(out.variants, model, path, provider, provider_path)
  out.models[index + 1] = {
    out.intern(id), #out.providers - 1, out.intern(shutdown),
    out.intern(text(model, path, "status", "")), out.intern(text(model, path, "successor", "")),
    count(model, path, "context", 0), count(model, path, "max_output", 0),
    first, #out.variants - first, rates(model, path),
  }
end

-- Exceptions for a model stand before what holds for all. "fast" is the newer name of "priority":
-- an exception for the one holds for the other.
local function add_services(out, provider, path, seen)
  local index = #out.providers - 1
  local function add(tiers, here, model)
    for _, tier in ipairs(sorted_keys(tiers, here)) do
      local row = { index, model, out.intern(tier), multiplier(tiers, here, tier) }
      out.services[#out.services + 1] = row
    end
  end
  local exceptions = member(provider, path, "service_tier_exceptions", "table", {})
  for _, id in ipairs(sorted_keys(exceptions, path .. "service_tier_exceptions")) do
    local here = path .. "service_tier_exceptions."
    local tiers = member(exceptions, here, id, "table")
    if not seen[id] then fail(here .. id, "is not a model of this provider") end
    add({ priority = tiers.priority or tiers.fast }, here .. id .. ".", seen[id])
    add(tiers, here .. id .. ".", seen[id])
  end
  local general = member(provider, path, "service_tier_multipliers", "table", {})
  add(general, path .. "service_tier_multipliers.", -1)
end

local function add_provider(out, name, provider)
  local path = "providers." .. name .. "."
  local batch = multiplier(provider, path, "batch_multiplier", 1)
  local batch_cached = multiplier(provider, path, "batch_cached_multiplier", batch / 1000)
  out.providers[#out.providers + 1] = { out.intern(name), batch, batch_cached }
  local seen = {}
  each(provider, path, "models", function(model, here)
    add_model(out, model, here, provider, path, seen)
  end)
  add_services(out, provider, path, seen)
end

local function add_header(out, document)
  local header = member(document, "", "_header", "table")
  local format = member(header, "_header.", "format", "number")
  if format ~= 1 then fail("_header.format", "must be 1, not " .. format) end
  if text(header, "_header.", "currency", "USD") ~= "USD" then
    fail("_header.currency", "must be USD")
  end
  out.date = date(header, "_header.", "generated")
  out.intern("")
  out.intern(out.date)
end

local function sort_names(out)
  table.sort(out.names, function(a, b)
    if a[1] == b[1] then return a[2] < b[2] end
    return before(a[1], b[1])
  end)
  for _, name in ipairs(out.names) do
    name[1], name[2], name[3] = out.intern(name[1]), #name[1], name[2]
  end
end

local function compile(document)
  local out = { names = {}, models = {}, variants = {}, providers = {}, services = {} }
  out.intern, out.texts = new_texts()
  if type(document) ~= "table" then fail("document", "must be an object") end
  add_header(out, document)
  local providers = member(document, "", "providers", "table")
  for _, name in ipairs(sorted_keys(providers, "providers")) do
    add_provider(out, name, member(providers, "providers.", name, "table"))
  end
  if #out.models == 0 then fail("providers", "hold no model") end
  sort_names(out)
  return out
end

--- Compiles a decoded price document.
-- @tparam table document what core/data/prices.json decodes to
-- @treturn table `date`, `texts` (a list of strings), and a list of rows for each of the C arrays
-- @treturn nil,string what is wrong, with the path of the field
-- @usage local compiled, message = price_table.compile(json.decode(bytes))
function price_table.compile(document)
  local ok, result = pcall(compile, document)
  if ok then return result end
  if type(result) ~= "table" then error(result, 0) end
  return nil, result.complaint
end

return price_table
