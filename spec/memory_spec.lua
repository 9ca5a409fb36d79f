-- How much memory a reply may take: what the cap allows and little more. hardening: T09, T10.
local faults = require "spec.support.faults"
local llm = require "llm"

describe("memory", function()
  local server

  setup(function() server = faults.start() end)
  teardown(function() server.stop() end)
  after_each(function() assert.equal(0, llm.live()) end)

  local function client_of(fault, max_response_bytes)
    return llm.client { provider = "openai", api_key = "sk-memory", base_url = server.url(fault),
      timeout = 20, max_response_bytes = max_response_bytes, model = "m", retry = false }
  end

  local MEBI = 1024 * 1024

  local function read_kb(field)
    for line in io.lines("/proc/self/status") do
      local kb = line:match("^" .. field .. ":%s+(%d+) kB")
      if kb then return tonumber(kb) end
    end
  end

  -- Bytes by which the process grew at most while work ran.
  local function growth(work)
    collectgarbage()
    collectgarbage()
    local file = assert(io.open("/proc/self/clear_refs", "w"))
    file:write("5") -- the peak is counted from here
    file:close()
    local before = read_kb("VmRSS")
    work()
    return (read_kb("VmHWM") - before) * 1024
  end

  local is_sanitized = (os.getenv("LD_PRELOAD") or ""):find("asan", 1, true)

  for _, fault in ipairs { "gzip-bomb", "endless-body", "endless-line" } do
    for _, stream in ipairs { true, false } do
      it("is bounded by the cap: " .. fault .. (stream and ", stream" or ", plain"), function()
        local client = client_of(fault, 32 * MEBI)
        local err
        local grown = growth(function()
          err = select(2, client:generate_text("Say hello", { stream = stream }))
        end)
        assert.equal("protocol", err.kind)
        if not is_sanitized then assert.is_true(grown < 48 * MEBI, grown / MEBI .. " MiB") end
      end)
    end
  end

  it("holds one event of 64 MiB, and the cap can be set", function()
    local client = client_of("big-event-64", 65 * MEBI)
    assert.equal(64 * MEBI, #assert(client:generate_text("Say hello")).content)
    client = client_of("big-event-65", 65 * MEBI)
    local err = select(2, client:generate_text("Say hello"))
    assert.equal("protocol", err.kind)
  end)
end)
