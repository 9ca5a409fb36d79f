-- Writes the built-in price table as C constants: lua5.4 core/data/prices.lua prices_table.h
-- Runs at build time in the root of the sources; reads core/data/prices.json.
local cjson = require "cjson"
local price_table = dofile "lua/llm/price_table.lua"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "a"
  file:close()
  return bytes
end

local function row_text(row)
  local cells = {}
  for i, cell in ipairs(row) do
    cells[i] = type(cell) == "table" and row_text(cell) or ("%.0f"):format(cell)
  end
  return "{" .. table.concat(cells, ", ") .. "}"
end

-- As numbers: a string literal of this length is beyond what C11 promises.
local function text_bytes(s)
  return (s:gsub(".", function(c) return c:byte() .. "," end)) .. "0,"
end

local table_of = assert(price_table.compile(cjson.decode(read "core/data/prices.json")))
local out = { "/* Made by core/data/prices.lua from core/data/prices.json; do not edit. */" }
local function put(...) out[#out + 1] = string.format(...) end

put("static const char builtin_text[] = {")
for _, s in ipairs(table_of.texts) do put("    %s", text_bytes(s)) end
put("};")
for _, name in ipairs { "name", "model", "variant", "provider", "service" } do
  put("static const llm_price_%s builtin_%ss[] = {", name, name)
  for _, row in ipairs(table_of[name .. "s"]) do put("    %s,", row_text(row)) end
  put("};")
end
put("static const llm_prices builtin_table = {builtin_text, builtin_names, builtin_models,")
put("    builtin_variants, builtin_providers, builtin_services, sizeof builtin_text,")
put("    %d, %d, %d, %d, %d};", #table_of.names, #table_of.models, #table_of.variants,
  #table_of.providers, #table_of.services)

local file = assert(io.open(arg[1], "wb"))
assert(file:write(table.concat(out, "\n"), "\n"))
assert(file:close())
