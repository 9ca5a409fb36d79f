--- Parameters: which of them a model takes. One that it does not take is an error that names it,
-- unless the caller did not choose it, its value changes nothing, or `unsupported = "drop"`.
-- A provider's `quirks.models` are rows `{pattern, …}`; the first whose Lua pattern matches the
-- model's name holds. `refuses` in the quirks or in a row is a list of names of parameters.
-- @module llm.parameters
local log = require "llm.log"

-- values that say what is so without them
local neutral = { temperature = 1, top_p = 1, presence_penalty = 0, frequency_penalty = 0,
  logprobs = false, parallel_tool_calls = true }

local warned = {} -- text -> true: once is enough
local found = setmetatable({}, { __mode = "k" }) -- list of rows -> model -> its row
local none = {}

local function find_row(rows, model)
  for _, row in ipairs(rows) do
    if model:find(row[1]) then return row end
  end
  return none
end

--- The row of quirks of a model.
-- @tparam table provider
-- @tparam string model
-- @treturn table empty when there is none
local function row_of(provider, model)
  local rows = provider.quirks and provider.quirks.models
  if not rows then return none end
  local known = found[rows]
  if not known then
    known = {}
    found[rows] = known
  end
  known[model] = known[model] or find_row(rows, model)
  return known[model]
end

local function without(request, name)
  local copy = {}
  for key, value in pairs(request) do copy[key] = value end
  copy[name] = nil
  return copy
end

local function leave_out(request, provider, names)
  for _, name in ipairs(names) do
    local value = request[name]
    if value ~= nil then
      if not request.defaulted[name] and value ~= neutral[name] then
        local problem = ("%s of %s does not take the parameter %s"):format(
          request.model, provider.name, name)
        if request.unsupported ~= "drop" then
          return nil, problem .. "; leave it out, or set unsupported = \"drop\""
        end
        if not warned[problem] then
          warned[problem] = true
          log.write("warn", provider.name, problem .. "; it was left out")
        end
      end
      request = without(request, name)
    end
  end
  return request
end

--- The request as this model takes it.
-- @tparam table request canonical
-- @tparam table provider
-- @tparam[opt] table|boolean unknown names that the dialect cannot express
-- @tparam[opt] table|boolean refused names that it does not take in this request
-- @treturn table the request, or a copy without what is left out
-- @treturn nil, problem
local function settle(request, provider, unknown, refused)
  local problem
  local quirks, row = provider.quirks or none, row_of(provider, request.model)
  if quirks.refuses then request, problem = leave_out(request, provider, quirks.refuses) end
  if request and row.refuses then
    request, problem = leave_out(request, provider, row.refuses)
  end
  if request and unknown then request, problem = leave_out(request, provider, unknown) end
  if request and refused then request, problem = leave_out(request, provider, refused) end
  return request, problem
end

return { row_of = row_of, settle = settle }
