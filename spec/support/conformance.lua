--- llm.conformance over spec/fixtures, one `it` for each check.
-- @usage conformance.describe("anthropic", function() return providers.find "anthropic" end)
local assert = require "luassert"
local busted = require "busted"
local kit = require "llm.conformance"

local json = require("llm.core").json
local conformance = { play = kit.play }

--- Reads a file of spec/fixtures.
-- @tparam string path
-- @treturn string
function conformance.read(path)
  local file = assert(io.open("spec/fixtures/" .. path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

--- Describes every fixture of a folder of spec/fixtures by its manifest.
-- @tparam string folder
-- @tparam function provider_of `function(file) -> provider`, as llm.provider gives it
function conformance.describe(folder, provider_of)
  for _, checks in ipairs(kit.fixtures("spec/fixtures/" .. folder, provider_of)) do
    busted.describe(folder .. "/" .. checks.file, function()
      for _, check in ipairs(checks) do busted.it(check.name, check.run) end
    end)
  end
end

--- Checks that a canonical request becomes a documented body.
-- @tparam table provider as llm.provider gives it
-- @tparam string path of the documented body
-- @tparam table request canonical
function conformance.encodes(provider, path, request)
  local wire = assert(provider.dialect.encode_request(request, provider))
  assert.same(json.decode(conformance.read(path)), json.decode(json.encode(wire.body)))
end

return conformance
