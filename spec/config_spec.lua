-- Configuration: call over client over environment over file over defaults.
local environment = require "spec.support.environment"
local llm = require "llm"

describe("llm.config", function()
  local config, folder, path

  before_each(function()
    package.loaded["llm.config"] = nil -- what an earlier spec read and set
    package.loaded["llm.client"], package.loaded["llm.discover"] = nil, nil
    config = require "llm.config"
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir -p " .. folder .. "/llmrun")
    path = folder .. "/llmrun/config.lua"
    environment.set { XDG_CONFIG_HOME = folder }
  end)

  after_each(function()
    environment.restore()
    os.execute("rm -rf " .. folder)
    collectgarbage()
    assert.equal(0, llm.live())
  end)

  local function write(text, mode)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    os.execute("chmod " .. (mode or "644") .. " " .. path)
  end

  local function refused(...)
    local ok, err = pcall(config.get, ...)
    assert.is_false(ok)
    assert.equal("invalid_request", err.kind)
    return err.message
  end

  describe("precedence", function()
    it("begins with defaults", function()
      local found = config.get()
      assert.same({ temperature = 0.7, timeout = 30, connect_timeout = 10 }, found.defaults)
      assert.same({}, found.providers)
      assert.is_nil(found.costs)
    end)

    it("puts the file over defaults", function()
      write [[return {
        providers = { openai = { api_key = "env:X", models = { "gpt-4" } } },
        defaults = { model = "gpt-4", temperature = 0.1, timeout = 7 },
        costs = { ["gpt-4"] = { input = 0.03, output = 0.06 } },
      }]]
      local found = config.get()
      assert.same({ model = "gpt-4", temperature = 0.1, timeout = 7, connect_timeout = 10 },
        found.defaults)
      assert.equal("env:X", found.providers.openai.api_key)
      assert.equal(0.06, found.costs["gpt-4"].output)
    end)

    it("puts the environment over the file, but not what is empty there", function()
      write 'return { defaults = { model = "a", temperature = 0.1, max_tokens = 5, timeout = 7 } }'
      environment.set { XDG_CONFIG_HOME = folder, LLM_DEFAULT_MODEL = "b", LLM_TIMEOUT = "9",
        LLM_DEFAULT_TEMPERATURE = "0", LLM_MAX_TOKENS = "" }
      assert.same({ model = "b", temperature = 0, max_tokens = 5, timeout = 9,
        connect_timeout = 10 }, config.get().defaults)
    end)

    it("puts the command line over the environment", function()
      environment.set { LLM_DEFAULT_MODEL = "b" }
      config.override { model = "c" }
      assert.equal("c", config.get().defaults.model)
    end)

    it("puts the client over that, and the call over the client", function()
      write 'return { defaults = { temperature = 0.1, max_tokens = 5 } }'
      environment.set { XDG_CONFIG_HOME = folder, LLM_MAX_TOKENS = "6" }
      local new = require("llm.client").new
      local function asked(client_options, call_options)
        client_options.base_url = "http://127.0.0.1:1"
        local client = new(client_options)
        local request = client:request("Hi", call_options)
        client:close()
        return { request.temperature, request.max_tokens, request.call.timeout }
      end
      assert.same({ 0.1, 6, 30 }, asked {})
      assert.same({ 0.1, 7, 31 }, asked { max_tokens = 7, timeout = 31 })
      assert.same({ 0.3, 8, 32 }, asked({ max_tokens = 7, timeout = 31 },
        { max_tokens = 8, temperature = 0.3, timeout = 32 }))
    end)

    -- The key of the file went before that of the environment.
    it("holds for keys and addresses too", function()
      write [[return { providers = { openai = {
        api_key = "sk-from-file", base_url = "http://127.0.0.1:1/file" } } }]]
      local new = require("llm.client").new
      local function found(opts)
        local client = new(opts)
        client:close()
        return { client.key, client.provider.base_url }
      end
      assert.same({ "sk-from-file", "http://127.0.0.1:1/file" }, found { provider = "openai" })
      environment.set { XDG_CONFIG_HOME = folder, OPENAI_API_KEY = "sk-from-environment",
        OPENAI_BASE_URL = "http://127.0.0.1:1/environment" }
      assert.same({ "sk-from-environment", "http://127.0.0.1:1/environment" },
        found { provider = "openai" })
      assert.same({ "sk-from-client", "http://127.0.0.1:1/client" }, found {
        provider = "openai", api_key = "sk-from-client", base_url = "http://127.0.0.1:1/client/" })
    end)

    -- The model of the environment counted only where neither provider nor address was said, and
    -- the error of a provider without a model of its own said to set just that variable.
    it("takes the model of the environment for the provider that it fits", function()
      local new = require("llm.client").new
      local function set_model(name)
        environment.set { LLM_DEFAULT_MODEL = name }
        config.override {}
      end
      local function model(opts)
        local client = new(opts)
        client:close()
        return client.options.model
      end
      local key = "sk-some-key"
      set_model "some-model"
      assert.equal("some-model", model { base_url = "http://127.0.0.1:1" })
      assert.equal("some-model", model { provider = "openai", api_key = key })
      assert.equal("own", model { provider = "openai", api_key = key, model = "own" })
      set_model "openai/gpt-4o"
      assert.equal("gpt-4o", model { provider = "openai", api_key = key })
      assert.equal("gpt-4o", model { api_key = key })
      set_model "ollama/llama3"
      assert.equal("gpt-5-mini", model { provider = "openai", api_key = key })
      set_model "claude-sonnet-4-5"
      assert.equal("gpt-5-mini", model { provider = "openai", api_key = key })
    end)
  end)

  describe("the file", function()
    it("is named by LLM_CONFIG, XDG_CONFIG_HOME or HOME, in this order", function()
      write 'return { defaults = { model = "here" } }'
      assert.equal("here", config.get().defaults.model)
      os.execute("mkdir -p " .. folder .. "/.config && cp -r " .. folder .. "/llmrun " .. folder ..
        "/.config")
      for _, variables in ipairs { { LLM_CONFIG = path }, { HOME = folder },
        { HOME = folder, XDG_CONFIG_HOME = "" }, { HOME = folder, LLM_CONFIG = "" } } do
        config.override {}
        environment.set(variables)
        assert.equal("here", config.get().defaults.model)
      end
    end)

    it("need not be there, unless it was named", function()
      assert.same({}, config.get().providers)
      environment.set {}
      config.override {}
      assert.same({}, config.get().providers)
      environment.set { LLM_CONFIG = "/nowhere/config.lua" }
      config.override {}
      assert.matches("/nowhere/config.lua", refused())
      environment.set {}
      config.override({}, "/nowhere/else.lua")
      assert.matches("/nowhere/else.lua", refused())
    end)

    -- A file that is there and cannot be read was passed over without a word.
    it("must be readable when it is there", function()
      os.execute("ln -s config.lua " .. path) -- a link to itself, since root may read all else
      assert.matches("config%.lua", refused())
    end)

    it("runs without any library", function()
      for _, name in ipairs { "os", "io", "require", "print", "string", "load", "_G", "arg" } do
        write("return { defaults = { model = type(" .. name .. ") } }")
        config.override {}
        assert.matches("global 'type'", refused())
        write("return { defaults = { model = " .. name .. " == nil and 'nothing' or 'some' } }")
        config.override {}
        assert.equal("nothing", config.get().defaults.model)
      end
    end)

    it("tells file and line of a mistake", function()
      write "return {\n  defaults = {\n    model = = 1 } }"
      assert.matches("llmrun/config%.lua:3:", refused())
      write "\nreturn { defaults = nowhere.x }"
      assert.matches("llmrun/config%.lua:2:", refused())
      write "local s = ('x'):rep(2)\nreturn s.y.z"
      assert.matches("llmrun/config%.lua:2:", refused())
    end)

    it("tells unknown keys and wrong types, with the nearest known one", function()
      for _, case in ipairs {
        { "default = {}", 'unknown option "default"; did you mean "defaults"' },
        { "defaults = { temprature = 1 }", 'defaults: unknown option "temprature"' },
        { "defaults = { timeout = '30' }", "defaults: timeout must be a number, not a string" },
        { "providers = { openai = { apikey = 'x' } }",
          'providers.openai: unknown option "apikey"; did you mean "api_key"' },
        { "providers = { openai = 'x' }", "providers.openai: options must be a table" },
        { "providers = 'openai'", "providers must be a table" },
      } do
        write("return { " .. case[1] .. " }")
        config.override {}
        assert.is_truthy(refused():find(case[2], 1, true))
      end
      for _, text in ipairs { "return 42", "return", "" } do
        write(text)
        config.override {}
        assert.matches("must return a table", refused())
      end
    end)

    it("may not be writable by everybody", function()
      write("return {}", "666")
      assert.matches("can be written by everybody; chmod o%-w it", refused())
      write("return {}", "664")
      assert.same({}, config.get().providers)
    end)

    it("may not be larger than 1 MiB", function()
      local text = "return {}"
      write(text .. (" "):rep(1024 * 1024 - #text))
      assert.same({}, config.get().providers)
      write(text .. (" "):rep(1024 * 1024 - #text + 1))
      config.override {}
      assert.matches("larger than 1 MiB", refused())
    end)

    it("may not be bytecode", function()
      write(string.dump(function() return {} end))
      assert.matches("must be Lua text, not bytecode", refused())
    end)

    it("is read once", function()
      write 'return { defaults = { model = "first" } }'
      assert.equal("first", config.get().defaults.model)
      write 'return { defaults = { model = "second" } }'
      assert.equal("first", config.get().defaults.model)
    end)
  end)

  it("refuses a number in the environment that is none", function()
    for _, name in ipairs { "LLM_TIMEOUT", "LLM_MAX_TOKENS", "LLM_DEFAULT_TEMPERATURE" } do
      environment.set { [name] = "lots" }
      config.override {}
      assert.equal(("environment: %s must be a number, not \"lots\""):format(name), refused())
    end
  end)

  it("takes no unset variable for an empty key", function()
    write 'return { providers = { openai = { api_key = "env:NOT_SET" } } }'
    local ok, err = pcall(require("llm.client").new, { provider = "openai" })
    assert.is_false(ok)
    assert.equal("authentication", err.kind)
    assert.matches("NOT_SET is not set", err.message)
  end)
end)
