-- How long validating takes: an object of 10 kB against a schema of 100 nodes, valid and not; what
-- generate_object adds to the plain call; how long hostile patterns, schemas and values hold it up.
-- lua5.4 tests/bench/schema.lua, with package.path and package.cpath of a build; or
-- build/llmrun tests/bench/schema.lua
local llm = require "llm"
local schema = llm.schema

local function string_of(length)
  return ("lorem ipsum "):rep(math.ceil(length / 12)):sub(1, length)
end

-- 1 root + 8 sections of 12 nodes + 3: a form as people write one.
local function section()
  return {
    type = "object", additionalProperties = false,
    required = { "id", "name", "kind", "score", "tags" },
    properties = {
      id = { type = "integer", minimum = 1 }, name = { type = "string", minLength = 1 },
      kind = { enum = { "person", "place", "thing" } },
      score = { type = "number", minimum = 0, maximum = 1 },
      tags = { type = "array", maxItems = 50, items = { type = "string" } },
      note = { type = "string", maxLength = 2000 }, code = { pattern = "^[A-Z]{3}-[0-9]+$" },
      is_known = { type = "boolean" }, parent = { type = { "string", "null" } },
      place = { anyOf = { { type = "string" }, { type = "null" } } },
    },
  }
end

local function section_value(i)
  local tags = {}
  for k = 1, 20 do tags[k] = "a tag of it " .. k end
  return { id = i, name = "Section " .. i, kind = "place", score = 0.5, tags = tags,
    note = string_of(800), code = "ABC-" .. i, is_known = true, parent = llm.null, place = "here" }
end

local form, value = { type = "object", properties = {}, required = {} }, {}
for i = 1, 8 do
  form.properties["s" .. i], form.required[i] = section(), "s" .. i
  value["s" .. i] = section_value(i)
end

local function count_nodes(node)
  local count = 1
  for _, child in pairs(node.properties or {}) do count = count + count_nodes(child) end
  for _, child in ipairs(node.anyOf or {}) do count = count + count_nodes(child) end
  return count + (node.items and count_nodes(node.items) or 0)
end

local function time_of(times, work)
  local best = math.huge
  for _ = 1, 5 do
    local start = os.clock()
    for _ = 1, times do work() end
    best = math.min(best, (os.clock() - start) / times)
  end
  return best
end

local function report(name, seconds) print(("%-44s %10.1f us"):format(name, seconds * 1e6)) end

local text = llm.json.encode(value)
print(("%d bytes against %d nodes"):format(#text, count_nodes(form)))
value = llm.json.decode(text)
assert(schema.validate(form, value))
report("validate", time_of(1000, function() schema.validate(form, value) end))
local wrong = llm.json.decode(text)
wrong.s3.score, wrong.s7.kind = 2, "idea"
assert(#select(2, schema.validate(form, wrong)) == 2)
report("validate, two errors", time_of(1000, function() schema.validate(form, wrong) end))
report("compile", time_of(50, function() schema.compile(form) end))

-- generate_object and run_tools over a generate_text that answers without a wire.
local mock = llm.mock {}
local client = llm.client { provider = mock.provider }
local answer = '{"mood":"good","why":"it is what it is, a fine day"}'
local tool_calls
function client:generate_text(messages, opts)
  self:request(messages, opts)
  return require("llm.response").new { content = answer, provider = "mock", model = "mock",
    tool_calls = tool_calls and table.remove(tool_calls),
    usage = { input_tokens = 1, output_tokens = 2 } }
end
local mood = schema.parse "mood: good|bad, why"
local plain = time_of(20000, function() client:generate_text("x", { response_schema = mood }) end)
local object = time_of(20000, function() client:generate_object("x", { schema = mood }) end)
report("generate_object, beside the plain call", object - plain)

local weather = llm.tool { name = "weather", description = "Weather", parameters = "city, unit?: c|f",
  run = function(arguments) return { city = arguments.city, sky = "clear", degrees = 3 } end }
local opts = { tools = { weather }, max_steps = 1000 }
local function steps_of(count, calls)
  local list = {}
  for i = 1, calls do
    list[i] = { id = "call_" .. i, name = "weather", arguments = '{"city":"Oslo","unit":"c"}' }
  end
  return time_of(200, function()
    tool_calls = {}
    for i = 1, count - 1 do tool_calls[i] = list end
    client:run_tools("x", opts)
  end)
end
local sent = { tools = { weather.sent } }
plain = time_of(20000, function() client:generate_text("x", sent) end)
report("run_tools, a step of no call", steps_of(1, 0) - plain)
report("run_tools, each step of one call", (steps_of(11, 1) - steps_of(1, 0)) / 10 - plain)
report("run_tools, each step of four calls", (steps_of(11, 4) - steps_of(1, 0)) / 10 - plain)
mock:close()

local function hold_up(name, make)
  local wanted, given = make()
  local start = os.clock()
  local ok, errors = schema.validate(wanted, given)
  print(("%-44s %10.3f s  %s"):format(name, os.clock() - start, tostring(ok or errors):sub(1, 70)))
end

hold_up("a pattern of 1 MB", function() return { pattern = ("(a|b)*"):rep(175000) }, "x" end)
hold_up("a pattern that takes for ever", function()
  local list = {}
  for i = 1, 1000 do list[i] = ("a"):rep(5000) .. "!" end
  return { items = { pattern = "^(a+)+$" } }, list
end)
hold_up("a schema of 100,000 levels", function()
  local deep = {}
  for _ = 1, 100000 do deep = { ["not"] = deep } end
  return deep, 1
end)
hold_up("a reference to itself", function() return { ["$ref"] = "#" }, 1 end)
hold_up("references that double 60 times", function()
  local defs = { d60 = { type = "string" } }
  for i = 0, 59 do
    local next_one = { ["$ref"] = "#/$defs/d" .. i + 1 }
    defs["d" .. i] = { allOf = { next_one, { ["$ref"] = "#/$defs/d" .. i + 1 } } }
  end
  return { ["$defs"] = defs, ["$ref"] = "#/$defs/d0" }, "x"
end)
hold_up("a value of 100,000 levels", function()
  local deep = {}
  for _ = 1, 100000 do deep = { a = deep } end
  return { properties = { a = { ["$ref"] = "#" } } }, deep
end)
