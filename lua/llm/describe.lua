--- Describe: what the installed scripts say about themselves. Each begins with llm.args, whose
-- description is caught here before the script does anything.
-- @module llm.describe
local CAUGHT = {}

-- The description that a script gives to llm.args.
local function spec_of(chunk)
  local llm = require "llm"
  local real = llm.args
  llm.args = function(spec)
    CAUGHT.spec = spec
    error(CAUGHT, 0)
  end
  local ok, err = pcall(chunk)
  llm.args = real
  if not ok and err == CAUGHT then return CAUGHT.spec end
  error("a script does not begin with llm.args", 0)
end

--- The installed scripts.
-- @tparam function load_script `load_script(name)` gives the chunk of a script
-- @treturn table list of `{name=, spec=, summary=}`: the first sentence of what it is about
local function scripts(load_script)
  local list = {}
  for i, name in ipairs(require "llm.scripts") do
    local spec = spec_of(assert(load_script(name)))
    list[i] = { name = name, spec = spec, summary = spec.about:match("^[^.;:\n]+") }
  end
  return list
end

return { scripts = scripts }
