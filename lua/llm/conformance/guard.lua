--- Guard: while a function of an adapter runs, what adapters must not use raises. `require "llm"`
-- works; what it loads is not guarded, and its parts that do I/O are refused.
-- @module llm.conformance.guard
local unpack = table.unpack or unpack -- luacheck: ignore

local impure = {
  ["llm.client"] = true, ["llm.config"] = true, ["llm.exchange"] = true, ["llm.mock"] = true,
  ["llm.output"] = true, ["llm.recording"] = true, ["llm.task"] = true,
}

local saved -- list of {table, name, function} while the guard is up

local function replace(target, name, value)
  saved[#saved + 1] = { target, name, target[name] }
  rawset(target, name, value)
end

local function leave()
  local before = saved
  saved = nil
  for _, entry in ipairs(before) do rawset(entry[1], entry[2], entry[3]) end
end

local function refuse(name)
  return function()
    error("the adapter uses " .. name .. "; adapters do no I/O, read no clock, do not yield", 0)
  end
end

local enter

local function guarded_require(name)
  if name ~= "llm" and not name:find("^llm%.") or impure[name] then
    error(("the adapter requires %q; adapters may require \"llm\" and do no I/O"):format(name), 0)
  end
  leave()
  local ok, value = pcall(require, name)
  enter()
  if not ok then error(value, 0) end
  return value
end

function enter()
  saved = {}
  for library, functions in pairs { io = io, os = os, debug = debug } do
    local names = {}
    for name, value in pairs(functions) do
      if type(value) == "function" then names[#names + 1] = name end
    end
    for _, name in ipairs(names) do replace(functions, name, refuse(library .. "." .. name)) end
  end
  replace(coroutine, "yield", refuse "coroutine.yield")
  replace(_G, "require", guarded_require)
end

--- Calls a function under the guard.
-- @tparam function body
-- @param ... its arguments
-- @return its results; what it raises is raised
local function call(body, ...)
  enter()
  local results = { pcall(body, ...) }
  leave()
  if not results[1] then error(results[2], 0) end
  return unpack(results, 2, 5)
end

--- A provider whose dialect's functions run under the guard.
-- @tparam table provider
-- @treturn table
local function watch(provider)
  local dialect = {}
  for name, value in pairs(provider.dialect) do
    dialect[name] = type(value) == "function" and function(...) return call(value, ...) end or value
  end
  return setmetatable({ dialect = dialect }, { __index = provider })
end

return { call = call, watch = watch }
