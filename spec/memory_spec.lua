-- How much memory a reply may take: what the cap allows and little more. hardening: T09, T10.
local faults = require "spec.support.faults"
local llm = require "llm"
local process = require "spec.support.process"

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

  -- Asks once in a process of its own, since a used heap grows by other steps than a new one, and
  -- prints the error's kind and by how many KiB the process grew at most.
  local script = [[
    local function read_kb(field)
      for line in io.lines("/proc/self/status") do
        local kb = line:match("^" .. field .. ":%%s+(%%d+) kB")
        if kb then return tonumber(kb) end
      end
    end
    local client = llm.client { provider = "openai", api_key = "sk-memory", base_url = %q,
      timeout = 20, max_response_bytes = %d, model = "m", retry = false }
    local before = read_kb("VmRSS")
    local _, err = client:generate_text("Say hello", { stream = %s })
    print(err.kind, read_kb("VmHWM") - before)
  ]]

  local is_sanitized = (os.getenv("LD_PRELOAD") or ""):find("asan", 1, true)

  for _, fault in ipairs { "gzip-bomb", "endless-body", "endless-line" } do
    for _, stream in ipairs { "true", "false" } do
      it("is bounded by the cap: " .. fault .. ", stream = " .. stream, function()
        local command = os.getenv("LLMRUN") or "build/llmrun"
        local result = process.run({ command, "-e",
          script:format(server.url(fault), 32 * MEBI, stream) })
        local kind, grown_kb = result.stdout:match("^(%S+)%s+(%d+)")
        assert.equal("protocol", kind, result.stderr)
        if not is_sanitized then
          assert.is_true(tonumber(grown_kb) < 48 * 1024, grown_kb .. " KiB")
        end
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
