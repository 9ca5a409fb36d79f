-- Credentials: where they come from, and that they are masked.
local core = require "llm.core"
local environment = require "spec.support.environment"
local llm = require "llm"
local secret = require "llm.secret"

describe("llm.secret", function()
  local path

  before_each(function() path = os.tmpname() end)

  after_each(function()
    environment.restore()
    os.remove(path)
  end)

  teardown(function() assert.equal(0, llm.live()) end)

  local function write(text, mode)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    os.execute("chmod " .. (mode or "600") .. " " .. path)
  end

  describe("resolve", function()
    it("takes a literal key as it is", function()
      for _, key in ipairs { "sk-abc", "a:b", "http://x", "", "ENV:NAME", "1env:x" } do
        assert.equal(key, secret.resolve(key))
      end
    end)

    it("reads a variable; one that is not set or empty is an error", function()
      environment.set { MY_KEY = "sk-from-env", EMPTY = "" }
      assert.equal("sk-from-env", secret.resolve("env:MY_KEY"))
      assert.same({ nil, "the environment variable NONE is not set" },
        { secret.resolve("env:NONE") })
      assert.same({ nil, "the environment variable EMPTY is not set" },
        { secret.resolve("env:EMPTY") })
    end)

    it("reads a file and drops the blanks around the key", function()
      write("  sk-from-file \r\n\n")
      assert.equal("sk-from-file", secret.resolve("file:" .. path))
    end)

    it("refuses a file that is missing, empty or a folder", function()
      write(" \n")
      local key, message = secret.resolve("file:" .. path)
      assert.is_nil(key)
      assert.matches("is empty", message)
      key, message = secret.resolve("file:/nowhere/key")
      assert.is_nil(key)
      assert.matches("/nowhere/key", message)
      assert.is_nil((secret.resolve("file:/")))
    end)

    it("runs a command", function()
      assert.equal("sk-from-command", secret.resolve("cmd:printf 'sk-from-command\\n'"))
      local key, message = secret.resolve("cmd:true")
      assert.is_nil(key)
      assert.equal("the key command printed nothing", message)
    end)

    -- What a failed command had printed was taken for the key and sent.
    it("does not take what a failed command printed for a key", function()
      if _VERSION == "Lua 5.1" then return end -- its close() does not tell
      local key, message = secret.resolve("cmd:echo usage: pass NAME; exit 3")
      assert.is_nil(key)
      assert.equal("the key command failed", message)
    end)

    it("remembers what it found, so that it is masked", function()
      write("sk-CANARY-from-file")
      secret.resolve("file:" .. path)
      secret.resolve("cmd:echo sk-CANARY-from-command")
      secret.resolve("sk-CANARY-literal")
      assert.equal("[redacted] [redacted] [redacted]",
        secret.scrub("sk-CANARY-from-file sk-CANARY-from-command sk-CANARY-literal"))
    end)
  end)

  describe("scrub", function()
    it("masks plain, percent-encoded and base64", function()
      local key = "sk-a/b+c=d e\"%"
      secret.remember(key)
      local texts = {
        "x" .. key .. "y", "x" .. secret.percent(key) .. "y",
        "x" .. core.base64.encode(key):gsub("=", "") .. "y",
      }
      for _, text in ipairs(texts) do assert.equal("x[redacted]y", secret.scrub(text)) end
    end)

    it("masks every occurrence, also side by side", function()
      secret.remember("sk-twice")
      assert.equal("[redacted][redacted] [redacted]", secret.scrub("sk-twicesk-twice sk-twice"))
    end)

    -- The order was that of pairs: with a short key masked first, the rest of a longer one that
    -- begins like it stood there in clear.
    it("masks the longer one of two keys of which one is within the other", function()
      for i = 1, 20 do
        local short = "sk-project-" .. i .. "."
        secret.remember(short .. "secret-tail")
        secret.remember(short)
        secret.remember("head-" .. short)
        assert.equal("[redacted] [redacted] [redacted]",
          secret.scrub(short .. "secret-tail " .. short .. " head-" .. short))
      end
    end)

    it("leaves words alone that are too short for a key", function()
      secret.remember("abc")
      secret.remember("")
      assert.equal("abc", secret.scrub("abc"))
    end)

    it("takes no key for a pattern", function()
      secret.remember("sk-%d+.*[x]")
      assert.equal("sk-12ab [redacted]", secret.scrub("sk-12ab sk-%d+.*[x]"))
    end)
  end)

  it("percent-encodes all but the unreserved characters", function()
    assert.equal("aZ09-._~", secret.percent("aZ09-._~"))
    assert.equal("%20%2F%3F%23%25%00%C3%A9", secret.percent(" /?#%\0é"))
  end)
end)
