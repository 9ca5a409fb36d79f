-- Rows one after the other, several at once: order, what is read ahead, failures, leaving.
local llm = require "llm"
local settled = require "spec.support.settled"

describe("llm.each", function()
  after_each(function() assert.equal(0, settled()) end)

  local function collect(...)
    local seen = {}
    for i, result, err, row in llm.each(...) do
      seen[#seen + 1] = { i, result, err, row }
    end
    return seen
  end

  it("gives results in the order of the rows, whichever ends first", function()
    local running, most = 0, 0
    local seen = collect({ 3, 1, 2, 0 }, function(n, index)
      running = running + 1
      most = math.max(most, running)
      llm.sleep(n / 200)
      running = running - 1
      return n * 10 + index
    end, { concurrency = 2 })
    assert.same({ { 1, 31, nil, 3 }, { 2, 12, nil, 1 }, { 3, 23, nil, 2 }, { 4, 4, nil, 0 } }, seen)
    assert.equal(2, most)
  end)

  it("reads a source no further than it must", function()
    local read, given = 0, 0
    local function source()
      read = read + 1
      return read <= 1000 and read or nil
    end
    for i in llm.each(source, function() llm.sleep(0) end, { concurrency = 2 }) do
      given = i
      assert.is_true(read - given <= 2 * 16 + 1, read .. " " .. given)
    end
    assert.equal(1000, given)
  end)

  it("gives the error of a row beside it and goes on", function()
    local seen = collect({ 1, 2, 3 }, function(n)
      if n == 2 then error({ kind = "timeout" }, 0) end
      return n
    end)
    assert.same({ { 1, 1, nil, 1 }, { 2, nil, { kind = "timeout" }, 2 }, { 3, 3, nil, 3 } }, seen)
  end)

  it("has nothing to give for nothing", function()
    assert.same({}, collect({}, error))
    assert.same({}, collect(function() return nil end, error))
  end)

  it("cancels what runs when it is closed", function()
    local ended = 0
    local next_result, self = llm.each({ 0, 9, 9, 9 }, function(n)
      llm.sleep(n)
      ended = ended + 1
    end)
    assert.equal(1, next_result(self))
    self:close()
    self:close()
    llm.sleep(0.001)
    assert.equal(1, ended)
  end)

  it("refuses a concurrency that is none", function()
    for _, bad in ipairs { 0, -1, 0 / 0 } do
      local ok, err = pcall(llm.each, {}, print, { concurrency = bad })
      assert.is_false(ok)
      assert.matches("concurrency must be at least 1", tostring(err))
    end
  end)
end)
