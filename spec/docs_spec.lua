-- The manual's pages whose Lua blocks stand alone.
local docs = require "spec.support.docs"

for page, count in pairs { ["docs/objects.md"] = 4, ["docs/policies.md"] = 9 } do
  describe(page, function()
    local checks = docs.checks(page)
    for number, check in ipairs(checks) do
      it("has a block " .. number .. " that runs and prints what it says", check)
    end
    it("has blocks", function() assert.is_true(#checks >= count) end)
  end)
end
