-- Proxies from the environment: never for http://, so that no key goes through them in clear; for
-- https:// only as a tunnel. hardening: C06, C09. The server's other port plays the proxy: it sees
-- what a proxy would see, and refuses.
local canary = require "spec.support.canary"
local faults = require "spec.support.faults"

local LLMRUN = os.getenv("LLMRUN")

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- What a script prints that asks once, in a process with these environment variables.
local function ask(url, environment)
  local command = { "unset LD_PRELOAD; env -u http_proxy -u https_proxy -u all_proxy -u no_proxy",
    "LLM_LOG=debug", "XDG_CONFIG_HOME=/nonexistent" }
  for name, value in pairs(environment) do command[#command + 1] = name .. "=" .. quote(value) end
  command[#command + 1] = quote(LLMRUN) .. " -e " .. quote(([[
    local client = llm.client { provider = "openai", base_url = %q, api_key = %q, model = "m",
      retry = false, connect_timeout = 0.3, proxy = os.getenv("PROXY_OPTION") }
    local response, err = client:generate_text("Say hello")
    print(response or err.kind .. " " .. tostring(err.status) .. " " .. tostring(err.maybe_billed))
    print(err)
    client:close()
  ]]):format(url, canary.key)) .. " 2>&1"
  local pipe = assert(io.popen(table.concat(command, " "), "r"))
  local output = pipe:read("*a")
  pipe:close()
  canary:show(output)
  return output
end

describe("a proxy", function()
  if not LLMRUN then
    print("LLMRUN does not say where the command is: the proxies were left out")
    return
  end

  local server, proxy

  setup(function()
    server = faults.start()
    proxy = "http://127.0.0.1:" .. server.other_port
  end)

  teardown(function() server.stop() end)
  before_each(function() server.reset() end)

  for _, name in ipairs { "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY" } do
    it("in " .. name .. " is not used for http://", function()
      assert.matches("Hello, world", ask(server.url("ok"), { [name] = proxy }))
      assert.equal(0, server.count("other"))
      assert.equal(1, server.count("ok"))
    end)
  end

  it("given by name is not given a key in clear", function()
    local llm = require "llm"
    local ok, err = pcall(llm.client, { api_key = "sk-CANARY-proxy", base_url = server.url("ok"),
      model = "m", proxy = proxy })
    assert.is_false(ok)
    assert.matches("plain http to a proxy", err.message)
    assert.equal(0, server.count("other"))
  end)

  local function https_url() return (server.url("ok"):gsub("^http:", "https:")) end

  -- The status of the proxy's answer was taken for the provider's.
  for _, name in ipairs { "https_proxy", "HTTPS_PROXY", "all_proxy", "PROXY_OPTION" } do
    it("in " .. name .. " is asked for a tunnel and sees no key", function()
      assert.matches("network nil false", ask(https_url(), { [name] = proxy }))
      local seen = server.last("other")
      assert.matches("^CONNECT 127%.0%.0%.1:" .. server.port .. " HTTP/1%.1\r\n", seen)
      assert.is_nil(seen:find("Bearer", 1, true))
      assert.is_nil(seen:find("hello", 1, true))
      assert.equal(0, server.count("ok"))
    end)
  end

  it("is not used for what no_proxy names", function()
    for _, name in ipairs { "no_proxy", "NO_PROXY" } do
      ask(https_url(), { https_proxy = proxy, [name] = "example.org,127.0.0.1" })
      assert.equal(0, server.count("other"))
    end
  end)

  it("does not have its password told", function()
    local with_password = proxy:gsub("//", "//user:" .. canary.key:gsub("[/+=]", "") .. "@")
    ask(https_url(), { https_proxy = with_password })
    ask(https_url(), { https_proxy = with_password:gsub("127.0.0.1:%d+", "127.0.0.1:1") })
    assert.matches("Proxy%-Authorization: Basic", server.last("other"))
    assert.is_nil(canary:found())
  end)
end)
