--- Schemas: JSON Schema 2020-12, checked here; and a short notation for the usual ones.
-- @module llm.schema
local compile = require "llm.schema.compile"
local contexts = require "llm.schema.context"
local errors = require "llm.error"
local notation = require "llm.schema.notation"
local options = require "llm.options"

local Validator = {}
Validator.__index = Validator

--- Whether a value fits.
-- @param value as `llm.json` reads it: with `llm.null`, and arrays marked by `llm.json.array_mt` (a
-- table with items needs no mark)
-- @treturn boolean true
-- @treturn nil, errors a list of `path` (JSON Pointer into the value), `schema_path`, `message`, at
-- most 20, in the order of their paths; `tostring(errors)` is one line
function Validator:validate(value)
  local context = contexts.new(self.resource)
  local done, ok = pcall(self.check, value, context)
  if not done then
    if not errors.is_error(ok) then error(ok, 0) end
    context:exhaust(ok.message)
  end
  if done and ok and not context.exhausted then return true end
  return nil, context:problems()
end

local known = { formats = "boolean", documents = "table" }

local function read(schema, opts)
  return compile(type(schema) == "string" and notation.parse(schema) or schema, opts)
end

--- Makes a validator.
-- @tparam table|boolean|string schema a JSON Schema, or a text in the short notation
-- @tparam[opt] table opts `formats = true`: formats are asserted, see docs/objects.md; `documents`:
-- address -> schema, what references lead to (nothing is fetched)
-- @treturn Validator with `:validate(value)`
-- @treturn nil, err when the schema makes no sense
-- @usage local validator = assert(llm.schema.compile { type = "string", maxLength = 10 })
local function new(schema, opts)
  opts = options.check(opts, known, "llm.schema.compile")
  local kind = type(schema)
  if kind ~= "table" and kind ~= "boolean" and kind ~= "string" then
    options.refuse("schema", "must be a table, not a " .. kind)
  end
  local done, check, resource = pcall(read, schema, opts)
  if done then return setmetatable({ check = check, resource = resource }, Validator) end
  if not errors.is_error(check) then error(check, 0) end
  return nil, check
end

-- A validator knows its schema, and LuaJIT has no ephemerons: so values are weak as well.
local made = setmetatable({}, { __mode = "kv" }) -- schema -> validator, without options

local function validator_of(schema, opts)
  local is_kept = opts == nil and type(schema) == "table"
  if is_kept and made[schema] then return made[schema] end
  local validator, err = new(schema, opts)
  if is_kept then made[schema] = validator end
  return validator, err
end

--- Whether a value fits a schema. The schema is compiled once; do not change it afterwards.
-- @tparam table|boolean|string schema
-- @param value
-- @tparam[opt] table opts as for compile
-- @treturn boolean true
-- @treturn nil, errors see Validator:validate; a schema that makes no sense is such an error, too
-- @usage local ok, errors = llm.schema.validate({ type = "integer" }, 1.5)
local function validate(schema, value, opts)
  local validator, err = validator_of(schema, opts)
  if validator then return validator:validate(value) end
  return nil, contexts.single("cannot be checked: " .. err.message)
end

return { compile = new, validate = validate, parse = notation.parse }
