--- Index: which schemas there are, under which addresses and anchors. Nothing is fetched: what a
-- reference names is in the schema itself, in the `documents` of the caller, or a metaschema.
-- A place is where a schema stands: `resource` (`uri`, `root`, `anchors`, `dynamic`), `location`
-- (for people), `level` (how deep).
-- @module llm.schema.index
local options = require "llm.options"
local uri = require "llm.schema.uri"

local Index = {}
Index.__index = Index

local DEPTH = 200

local single = { "additionalProperties", "items", "contains", "not", "if", "then", "else",
  "propertyNames", "unevaluatedItems", "unevaluatedProperties", "contentSchema" }
local lists = { "allOf", "anyOf", "oneOf", "prefixItems" }
local maps = { "properties", "patternProperties", "$defs", "definitions", "dependentSchemas" }

local function new(documents)
  return setmetatable({ documents = documents or {}, resources = {}, places = {} }, Index)
end

local VALIDATION = "https://json-schema.org/draft/2020-12/vocab/validation"
local FORMAT = "https://json-schema.org/draft/2020-12/vocab/format-assertion"

-- What the metaschema of a document switches off or on, where the caller supplies one.
local function apply_vocabulary(self, resource, schema)
  local name = schema["$schema"]
  local meta = type(name) == "string" and self.documents[name]
  local vocabulary = type(meta) == "table" and meta["$vocabulary"]
  if type(vocabulary) ~= "table" then return end
  resource.no_validation = vocabulary[VALIDATION] == nil
  resource.formats = vocabulary[FORMAT] ~= nil
end

local function open_resource(self, schema, address, parent, location)
  local resource = { uri = address, root = schema, anchors = {}, dynamic = {},
    location = location, no_validation = parent and parent.no_validation,
    formats = parent and parent.formats }
  self.resources[address] = self.resources[address] or resource
  apply_vocabulary(self, resource, schema)
  return resource
end

local walk

local function walk_children(self, schema, resource, location, level)
  for _, name in ipairs(single) do
    walk(self, schema[name], resource, location .. "/" .. name, level)
  end
  for _, name in ipairs(lists) do
    for i, child in ipairs(type(schema[name]) == "table" and schema[name] or {}) do
      walk(self, child, resource, location .. "/" .. name .. "/" .. i - 1, level)
    end
  end
  for _, name in ipairs(maps) do
    for key, child in pairs(type(schema[name]) == "table" and schema[name] or {}) do
      walk(self, child, resource, location .. "/" .. name .. "/" .. uri.escape(key), level)
    end
  end
end

function walk(self, schema, resource, location, level)
  if type(schema) ~= "table" or self.places[schema] then return end
  if level > DEPTH then options.refuse("schema", "nested deeper than " .. DEPTH .. " levels") end
  if type(schema["$id"]) == "string" then
    local address = uri.resolve(resource.uri, schema["$id"])
    if schema == resource.root then
      resource.uri = address
      self.resources[address] = self.resources[address] or resource
    else
      resource = open_resource(self, schema, address, resource, location)
    end
  end
  self.places[schema] = { resource = resource, location = location, level = level }
  local anchor, dynamic = schema["$anchor"], schema["$dynamicAnchor"]
  if anchor then resource.anchors[anchor] = schema end
  if dynamic then resource.anchors[dynamic], resource.dynamic[dynamic] = schema, schema end
  walk_children(self, schema, resource, location, level + 1)
end

--- Adds a document.
-- @tparam table|boolean schema
-- @tparam string address
-- @treturn table its resource
function Index:add(schema, address)
  local location = address .. "#"
  if type(schema) ~= "table" then
    self.resources[address] = { uri = address, root = schema, anchors = {}, dynamic = {} }
  else
    walk(self, schema, open_resource(self, schema, address, nil, location), location, 0)
  end
  return self.resources[address]
end

local function load(self, address)
  local document = self.documents[address]
  if document == nil then document = require("llm.schema.meta").find(address) end
  if document ~= nil then return self:add(document, address) end
end

-- From the root of a resource along a JSON Pointer, through whatever stands there.
local function follow(self, resource, pointer)
  local at = resource.root
  local place = type(at) == "table" and self.places[at] or { resource = resource, level = 0 }
  for step in uri.steps(pointer) do
    if type(at) ~= "table" then return nil end
    local below = at[step]
    if below == nil and step:find("^%d+$") then below = at[tonumber(step) + 1] end
    at = below
    place = type(at) == "table" and self.places[at] or place
  end
  if type(at) == "table" then
    walk(self, at, place.resource, resource.uri .. "#" .. pointer, place.level + 1)
    place = self.places[at]
  end
  return at, place
end

--- What a reference names.
-- @tparam string reference
-- @tparam table from the resource in which it stands
-- @treturn table|boolean schema
-- @treturn table its place
-- @treturn string|nil the name, when it is a dynamic anchor
-- @treturn nil, problem
function Index:find(reference, from)
  local address, fragment = uri.resolve(from.uri, reference)
  local resource = reference:find("^#") and from or self.resources[address] or load(self, address)
  if not resource then
    return nil, ("%q is not known; nothing is fetched, give it in documents"):format(address)
  end
  fragment = uri.decode(fragment)
  local schema, place
  if fragment == "" or fragment:find("^/") then
    schema, place = follow(self, resource, fragment)
  else
    schema = resource.anchors[fragment]
    place = self.places[schema or 0]
  end
  if type(schema) ~= "table" and type(schema) ~= "boolean" then
    return nil, ("%q leads to no schema"):format(reference)
  end
  return schema, place, resource.dynamic[fragment] and fragment
end

return { new = new }
