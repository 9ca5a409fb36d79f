--- Tool: a Lua function that a model may call, and the schema of its arguments.
-- @module llm.tool
local errors = require "llm.error"
local json = require("llm.core").json
local merge = require "llm.merge"
local mime = require "llm.mime"
local options = require "llm.options"
local parts = require "llm.part"
local schemas = require "llm.schema"

local TIMEOUT, MAX_OUTPUT = 60, 64 * 1024

local Tool = {}
Tool.__index = Tool

local known = {
  name = "string", description = "string", parameters = "table|string", run = "function",
  timeout = "number", max_output = "number", strict = "boolean", cache_control = "table",
  lenient = "boolean",
}

local function refuse(name, text) options.refuse("llm.tool " .. tostring(name), text) end

-- The schema, and its validator; a lenient tool has none for a schema that makes no sense.
local function read_schema(name, parameters, is_lenient)
  if type(parameters) == "string" then parameters = schemas.parse(parameters) end
  parameters = parameters or { type = "object", properties = {} }
  if parameters.type ~= "object" then
    if not is_lenient then
      refuse(name, "parameters must be the schema of an object, with type = \"object\"")
    end
    parameters = merge(parameters, { type = "object" })
  end
  local validator, err = schemas.compile(parameters)
  if not validator and not is_lenient then refuse(name, err.message) end
  return parameters, validator
end

--- Makes a tool for `client:run_tools`.
-- @tparam table fields `name`; `description`, which the model reads; `parameters`: a JSON Schema of
-- an object or a text in the short notation (see docs/objects.md), default: none; `run`:
-- `function(arguments, call) -> result`, see docs/tools.md; `timeout` (seconds, 60); `max_output`
-- (bytes of the result that the model gets to see, 65536); `lenient = true`: a schema that makes no
-- sense, as one of others may, is sent all the same
-- @treturn Tool
-- @usage local weather = llm.tool { name = "weather", description = "The weather of a city",
--   parameters = "city, unit?: c|f", run = function(arguments) return look_up(arguments.city) end }
local function new(fields)
  fields = options.check(fields, known, "llm.tool")
  local name = fields.name
  if not name or #name > 64 or not name:find("^[%w_-]+$") then
    refuse(name, "name must be 1 to 64 letters, digits, _ or -")
  end
  if not fields.run then refuse(name, "run must be a function") end
  local parameters, validator = read_schema(name, fields.parameters, fields.lenient)
  return setmetatable({
    name = name, description = fields.description, parameters = parameters, run = fields.run,
    timeout = fields.timeout or TIMEOUT, max_output = fields.max_output or MAX_OUTPUT,
    validator = validator,
    sent = { name = name, description = fields.description, parameters = parameters,
      strict = fields.strict, cache_control = fields.cache_control },
  }, Tool)
end

local made = setmetatable({}, { __mode = "k" }) -- plain table -> Tool

local function tool_of(fields)
  if getmetatable(fields) == Tool then return fields end
  if type(fields) ~= "table" then
    options.refuse("tools", "must be a list of tools, see llm.tool; one is a " .. type(fields))
  end
  made[fields] = made[fields] or new(fields)
  return made[fields]
end

--- Reads a list of tools, or of plain tables with their fields.
-- @tparam table list
-- @treturn table what is sent of them, in order
-- @treturn table name -> Tool
local function index(list)
  if type(list) ~= "table" or #list == 0 then
    options.refuse("tools", "a list of tools is needed, see llm.tool")
  end
  local sent, by_name = {}, {}
  for i, fields in ipairs(list) do
    local tool = tool_of(fields)
    if by_name[tool.name] then
      options.refuse("tools", "there are two of " .. tool.name)
    end
    sent[i], by_name[tool.name] = tool.sent, tool
  end
  return sent, by_name
end

--- What is wrong with arguments.
-- @tparam table arguments
-- @treturn string|nil nil when they fit
function Tool:misfit(arguments)
  if not self.validator then return nil end
  local fits, wrong = self.validator:validate(arguments)
  return not fits and "the arguments do not fit: " .. tostring(wrong) or nil
end

--- The arguments of a call, checked.
-- @tparam string text JSON
-- @treturn table
-- @treturn nil, string what is wrong
function Tool:read(text)
  local arguments, problem = json.decode(text)
  if type(arguments) ~= "table" then
    return nil, "the arguments are not a complete JSON object: " ..
      (problem or "they are a " .. type(arguments))
  end
  problem = self:misfit(arguments)
  if problem then return nil, problem end
  return arguments
end

-- The first bytes of a text, at most so many, that end with a whole character.
local function cut(text, most)
  if #text <= most then return text end
  local last = most
  while last > most - 4 and (text:byte(last + 1) or 0) - 128 < 64 and text:byte(last + 1) > 127 do
    last = last - 1
  end
  return ("%s\n[cut: the first %d of %d bytes]"):format(text:sub(1, last), last, #text)
end

--- What a model is told of an error: one line, with neither secrets nor the place in the script.
-- @param problem what was raised or returned
-- @treturn string
local function explain(problem)
  local meta = getmetatable(problem)
  if type(problem) == "table" and not (meta and meta.__tostring) then problem = "it failed" end
  local text = tostring(problem):gsub("^[^%s:]*%.lua:%d+: ", "")
  return errors.new("invalid_request", text).message
end

-- What is said of a part in words: a text, a file of text, what no provider takes in a result;
-- nil: it is shown.
local function words_of(part)
  if part.type == "text" then return part.text end
  if part.type == "image" or part.mime == "application/pdf" then return nil end
  return mime.text_of(part) or ("[%s, %d bytes]"):format(tostring(part.mime), #(part.data or ""))
end

-- Parts with each text cut; one text where all is text.
function Tool:shorten(list)
  local short, texts = {}, {}
  for i, part in ipairs(list) do
    local words = words_of(part)
    if words then
      texts[#texts + 1] = cut(words, self.max_output)
      part = { type = "text", text = texts[#texts] }
    end
    short[i] = part
  end
  return #texts == #short and cut(table.concat(texts, "\n"), self.max_output) or short
end

--- Reads what a call has come to.
-- @tparam boolean ok whether it returned
-- @param value what it returned first, or raised
-- @param problem what it returned second
-- @treturn string|table the result as the model gets it: a text or parts
-- @treturn nil, string the error
function Tool:outcome(ok, value, problem)
  if not ok then return nil, explain(value) end
  if value == nil and problem ~= nil then return nil, explain(problem) end
  if value == nil then return "null" end
  local list = parts.list_of(value)
  if list then return self:shorten(list) end
  if type(value) ~= "string" then
    local encoded
    encoded, value = pcall(json.encode, value)
    if not encoded then return nil, explain("the tool returned what is no JSON: " .. value) end
  end
  return cut(value, self.max_output)
end

return { new = new, index = index, explain = explain }
