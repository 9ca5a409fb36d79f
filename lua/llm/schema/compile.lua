--- Compile: a schema becomes a tree of closures, `check(value, context, seen) -> boolean`;
-- `seen` is a table only where an `unevaluated…` keyword around asks what was evaluated.
-- A maker of a keyword gets `at`: `location` (of the keyword), `formats`, `no_validation`, and
-- `child`, `want`, `want_count`, `refuse`.
-- @module llm.schema.compile
local assertions = require "llm.schema.assertions"
local core = require "llm.core"
local indexes = require "llm.schema.index"
local logic = require "llm.schema.logic"
local members = require "llm.schema.members"
local options = require "llm.options"
local uri = require "llm.schema.uri"
local value_of = require "llm.schema.value"

local kind_of, is_integer = value_of.kind_of, value_of.is_integer
local empty_array = value_of.empty_array
local array_mt = core.json.array_mt
local EMPTY = setmetatable({}, array_mt)

-- keyword, the kind of value it looks at, its maker (nil: of an assertion); the order is that of
-- evaluation
local keywords = {
  { "enum", "any" }, { "const", "any" },
  { "minimum", "number" }, { "maximum", "number" }, { "exclusiveMinimum", "number" },
  { "exclusiveMaximum", "number" }, { "multipleOf", "number" },
  { "minLength", "string" }, { "maxLength", "string" }, { "pattern", "string" },
  { "format", "string" },
  { "minItems", "array" }, { "maxItems", "array" }, { "uniqueItems", "array" },
  { "minProperties", "object" }, { "maxProperties", "object" }, { "required", "object" },
  { "dependentRequired", "object" },
  { "$ref", "any", function(wanted, at) return at.compiler:ref(wanted, at) end },
  { "$dynamicRef", "any", function(wanted, at) return at.compiler:dynamic_ref(wanted, at) end },
  { "allOf", "any", logic.allOf }, { "anyOf", "any", logic.anyOf },
  { "oneOf", "any", logic.oneOf }, { "not", "any", logic["not"] }, { "if", "any", logic["if"] },
  { "dependentSchemas", "object", logic.dependentSchemas },
  { "properties", "object", members.properties },
  { "propertyNames", "object", members.propertyNames },
  { "prefixItems", "array", members.prefixItems }, { "items", "array", members.items },
  { "contains", "array", members.contains },
}
local kinds = { "null", "boolean", "number", "string", "array", "object" }

-- --- a keyword's place ---------------------------------------------------------------------------

local At = {}
At.__index = At

function At:refuse(problem) options.refuse("schema", self.location .. " " .. problem) end

function At:want(value, kind)
  if type(value) ~= kind then self:refuse("must be a " .. kind .. ", not a " .. type(value)) end
  return value
end

function At:want_count(value)
  if type(value) ~= "number" or not is_integer(value) or value < 0 then
    self:refuse("must be an integer from 0")
  end
end

function At:child(schema, keyword, step)
  local location = keyword and self.base .. "/" .. keyword or self.location
  if step then location = location .. "/" .. uri.escape(step) end
  return self.compiler:apply(schema, self.place, location)
end

-- --- schemas -------------------------------------------------------------------------------------

local Compiler = {}
Compiler.__index = Compiler

local function accept() return true end

-- A check in the dynamic scope of another resource.
local function entering(resource, check)
  return function(value, context, seen)
    local count = context.scope_count + 1
    context.scope[count], context.scope_count = resource, count
    local ok = check(value, context, seen)
    context.scope_count = count - 1
    return ok
  end
end

--- The check of a schema that stands in the schema at `from`.
function Compiler:apply(schema, from, location)
  if schema == true then return accept end
  if schema == false then
    return function(_, context) return context:fail(location, "is not allowed") end
  end
  local place = self.index.places[schema]
  if not place then options.refuse("schema", location .. " must be a schema") end
  local node = self:node(schema)
  if not node.check then self:build(schema, node) end
  if node.check == accept then options.refuse("schema", location .. " holds itself; use $ref") end
  if place.resource == from.resource then return node.check end
  return entering(place.resource, node.check)
end

function Compiler:node(schema)
  local node = self.nodes[schema]
  if not node then
    node = {}
    self.nodes[schema] = node
    self.waiting[#self.waiting + 1] = schema
  end
  return node
end

local function by_name(name, from)
  if type(name) ~= "string" then options.refuse("schema", from .. " must be a text") end
  return name
end

--- The check of a reference. Its target is compiled when its turn has come, so chains of references
-- are as long as they like.
function Compiler:ref(name, at)
  local schema, place, dynamic = self.index:find(by_name(name, at.location), at.place.resource)
  if schema == nil then at:refuse(place) end
  if type(schema) == "boolean" then return self:apply(schema, at.place, at.location), nil end
  local node, levels = self:node(schema), at.place.level + 1
  local function check(value, context, seen)
    local ok = context:enter(levels) and node.check(value, context, seen)
    context:leave(levels)
    return ok
  end
  if place.resource ~= at.place.resource then check = entering(place.resource, check) end
  return check, dynamic
end

--- The check of a dynamic reference: the outermost resource that has the anchor holds.
function Compiler:dynamic_ref(name, at)
  local static, anchor = self:ref(name, at)
  if not anchor then return static end
  self.has_dynamic = true
  local nodes, levels = self.nodes, at.place.level + 1
  return function(value, context, seen)
    for i = 1, context.scope_count do
      local resource = context.scope[i]
      local target = resource.dynamic[anchor]
      if target then
        local check = entering(resource, nodes[target].check)
        local ok = context:enter(levels) and check(value, context, seen)
        context:leave(levels)
        return ok
      end
    end
    return static(value, context, seen)
  end
end

-- Lists of checks by the kind of value that they look at.
local function checks_of(self, schema, place)
  local lists = {}
  for _, kind in ipairs(kinds) do lists[kind] = {} end
  local resource = place.resource
  for _, row in ipairs(keywords) do
    local name, kind, maker = row[1], row[2], row[3]
    local wanted = schema[name]
    if wanted == nil and name == "properties" then
      wanted = schema.patternProperties or schema.additionalProperties
    end
    if wanted ~= nil and (maker or not resource.no_validation or name == "format") then
      local at = setmetatable({ compiler = self, place = place, base = place.location,
        location = place.location .. "/" .. name, formats = self.formats or resource.formats,
        no_validation = resource.no_validation }, At)
      local check = (maker or assertions[name])(wanted, at, schema)
      for _, other in ipairs(check and kinds or {}) do
        if kind == "any" or kind == other then lists[other][#lists[other] + 1] = check end
      end
    end
  end
  return lists
end

-- The set of allowed types; nil: all.
local function types_of(schema, place)
  local wanted = schema.type
  if wanted == nil or place.resource.no_validation then return nil end
  local set, names = {}, type(wanted) == "table" and wanted or { wanted }
  for _, name in ipairs(names) do
    local is_known = name == "integer"
    for _, kind in ipairs(kinds) do is_known = is_known or kind == name end
    if not is_known then
      options.refuse("schema", place.location .. "/type is no type: " .. tostring(name))
    end
    set[name] = true
  end
  return set, table.concat(names, " or ")
end

-- The check of one schema; of what is evaluated in it nothing is asked by itself.
local function plain(lists, allowed, words, location)
  return function(value, context, seen)
    local kind = type(value)
    if kind == "table" then
      kind = (getmetatable(value) == array_mt or value[1] ~= nil) and "array" or "object"
    elseif kind == "userdata" then
      if value == empty_array then value = EMPTY end
      kind = kind_of(value)
    end
    if allowed and not allowed[kind] and
      not (kind == "number" and allowed.integer and is_integer(value)) then
      return context:fail(location, "must be %s, not %s", words, kind)
    end
    local checks = lists[kind]
    if not checks then return context:fail(location, "is no JSON value but a %s", kind) end
    local ok, count = true, #checks
    if count > 0 and not context:step() then return false end
    for i = 1, count do
      if not checks[i](value, context, seen) then
        if context.quiet > 0 then return false end
        ok = false
      end
    end
    return ok
  end
end

-- The most frequent leaf: one type and nothing else.
local function leaf(kind, location)
  return function(value, context)
    if type(value) == kind then return true end
    return context:fail(location, "must be %s, not %s", kind, kind_of(value))
  end
end

-- A schema that asks what was evaluated in it.
local function asking(check, properties, items)
  return function(value, context, outer)
    if type(value) ~= "table" then return check(value, context) end
    local seen, rest = {}, kind_of(value) == "array" and items or properties
    if rest == items and kind_of(value) ~= "array" then rest = nil end
    local ok = check(value, context, seen) and (not rest or rest(value, context, seen))
    if outer then
      for name in next, seen do outer[name] = true end
    end
    return ok
  end
end

local function unevaluated(self, schema, place, name)
  local wanted = schema[name]
  if wanted == nil then return nil end
  local at = setmetatable({ compiler = self, place = place, base = place.location,
    location = place.location .. "/" .. name }, At)
  return members[name](wanted, at, schema)
end

local leaves = { string = true, number = true, boolean = true }

function Compiler:build(schema, node)
  local place = self.index.places[schema]
  node.check = accept -- until it is made: whoever asks for it meanwhile is in a circle
  local allowed, words = types_of(schema, place)
  local lists = checks_of(self, schema, place)
  local location = place.location .. "/type"
  local check
  if leaves[words] and not lists[words][1] then
    check = leaf(words, location)
  else
    check = plain(lists, allowed, words, location)
  end
  local properties = unevaluated(self, schema, place, "unevaluatedProperties")
  local items = unevaluated(self, schema, place, "unevaluatedItems")
  if properties or items then check = asking(check, properties, items) end
  node.check = check
end

-- Compiles what references lead to, and what dynamic ones may lead to.
local function finish(self)
  repeat
    while self.waiting[1] do
      local schema = table.remove(self.waiting)
      local node = self.nodes[schema]
      if not node.check then self:build(schema, node) end
    end
    for _, resource in pairs(self.has_dynamic and self.index.resources or {}) do
      for _, schema in pairs(resource.dynamic) do self:node(schema) end
    end
  until not self.waiting[1]
end

--- Compiles a schema.
-- @tparam table|boolean schema
-- @tparam table opts `formats` (asserted), `documents` (address -> schema)
-- @treturn function check
-- @treturn table the root's resource; raises invalid_request
local function compile(schema, opts)
  local self = setmetatable({ index = indexes.new(opts.documents), nodes = {}, waiting = {},
    formats = opts.formats }, Compiler)
  local resource = self.index:add(schema, "")
  local check = self:apply(schema, { resource = resource }, "#")
  finish(self)
  return check, resource
end

return compile
