-- The chain: what stands in it, and that a reply tells its end.
local environment = require "spec.support.environment"
local llm = require "llm"
local settled = require "spec.support.settled"

describe("llm.policies", function()
  local mock, client

  before_each(function()
    environment.set {}
    mock = llm.mock { function() return "one two three" end }
  end)

  after_each(function()
    environment.restore()
    if client then client:close() end
    mock:close()
    client = nil
    assert.equal(0, settled())
  end)

  local function start(opts)
    opts.provider = mock.provider
    client = llm.client(opts)
    return client
  end

  it("are options of a client under their names, and of its own", function()
    local seen = {}
    local function note(name)
      return function(request, next)
        seen[#seen + 1] = name
        return next(request)
      end
    end
    start { limit = note "limit", budget = note "budget", policies = { note "own" } }
    client:use(note "used")
    assert(client:generate_text("hi"))
    assert.same({ "used", "own", "budget", "limit" }, seen)
  end)

  it("are refused when they are no functions", function()
    local ok, err = pcall(start, { policies = { 7 } })
    assert.is_false(ok)
    assert.match("policies%[1%] must be a function", tostring(err))
  end)

  it("see a reply's end once, whatever the end", function()
    local ends = {}
    local function watch(request, next)
      local reply, err = next(request)
      if reply then
        reply:finally(function(ended) ends[#ends + 1] = ended:response().content end)
      end
      return reply, err
    end
    start { policies = { watch } }
    assert(client:generate_text("hi"))
    assert.same({ "one two three" }, ends)
    local next_text, stream = client:stream_text("hi")
    next_text(stream)
    stream:close()
    stream:close()
    assert.equal(2, #ends)
    next_text, stream = client:stream_text("hi")
    next_text(stream)
    next_text, stream = nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal(3, #ends)
  end)
end)
