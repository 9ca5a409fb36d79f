--- Providers: data that is checked, extended, found by name or path, addressed and authorised.
local core = require "llm.core"
local llm = require "llm"
local conformance = require "spec.support.conformance"
local providers = require "llm.provider"
local task = require "llm.task"

local json = core.json

-- Runs body with environment variables that os.getenv sees.
local function with_environment(variables, body)
  local real = os.getenv
  os.getenv = function(name) -- luacheck: ignore
    local value = variables[name]
    if value ~= nil then return value or nil end
    return real(name)
  end
  local ok, err = pcall(body)
  os.getenv = real -- luacheck: ignore
  if not ok then error(err, 0) end
end

local header_names = { "authorization", "api-key", "x-amz-date", "x-amz-security-token" }

-- A server that answers every request alike and remembers what it was asked.
local function serve(reply)
  local server = assert(core.server.listen(task.loop(), {}))
  local seen = { url = "http://127.0.0.1:" .. server:port() }
  local serving = task.spawn(function()
    while true do
      local request = server:accept()
      if request then
        local headers = {}
        for _, name in ipairs(header_names) do headers[name] = request:header(name) end
        seen[#seen + 1] = { path = request:path(), headers = headers, body = request:body() }
        request:respond(reply.status or 200,
          { ["Content-Type"] = reply.type or "application/json" }, reply.body)
        request:close()
      else
        task.wait(server:id())
      end
    end
  end)
  function seen.close()
    serving:cancel()
    server:close()
  end
  return seen
end

local chat_body = json.encode { model = "m", choices = { { index = 0, finish_reason = "stop",
  message = { role = "assistant", content = "Hello" } } } }

local function message_of(body, ...)
  local ok, err = pcall(body, ...)
  assert.is_false(ok)
  return tostring(err)
end

local function minimal(fields)
  local provider = { api = 1, name = "mine", base_url = "http://127.0.0.1:1",
    dialect = "openai_chat" }
  for name, value in pairs(fields or {}) do provider[name] = value end
  return provider
end

describe("providers that come along", function()
  local names = { "openai", "openai_responses", "azure", "bedrock", "mistral", "deepseek", "groq",
    "openrouter", "xai", "together", "fireworks", "vllm", "llamacpp", "lmstudio", "ollama" }

  for _, name in ipairs(names) do
    it(name .. " passes its check", function()
      local provider = assert(providers.find(name))
      assert.equal(name == "openai_responses" and "openai" or name, provider.name)
      assert.equal(name, (providers.split(name .. "/some/model")))
    end)
  end

  -- The fixtures of look-alikes, by the provider itself.
  conformance.describe("openai_compatible", function(file)
    local name = file:match("^[^_]+")
    return assert(providers.find(name == "proxy" and "openai" or name))
  end)
  conformance.describe("azure_openai", function() return assert(providers.find "azure") end)

  local function encode(name, request)
    request.messages, request.defaulted = { { role = "user", content = "Hi" } }, {}
    request.model = request.model or "m"
    local provider = providers.find(name)
    local wire, problem = provider.dialect.encode_request(request, provider)
    return wire and wire.body, problem
  end

  it("rename and refuse parameters by their data", function()
    local body = encode("mistral", { seed = 7, stream = true })
    assert.equal(7, body.random_seed)
    assert.is_nil(body.seed)
    assert.is_nil(body.stream_options)
    assert.equal(5, encode("groq", { max_tokens = 5 }).max_completion_tokens)
    assert.equal(5, encode("together", { max_tokens = 5 }).max_tokens)
    local _, problem = encode("groq", { logprobs = true })
    assert.matches("logprobs", problem)
    _, problem = encode("xai", { stop = "END" })
    assert.matches("stop", problem)
    _, problem = encode("xai", { model = "grok-4.20-reasoning", reasoning_effort = "low" })
    assert.matches("reasoning_effort", problem)
  end)

  it("need no key on one's own machine", function()
    with_environment({ VLLM_API_KEY = false, VLLM_BASE_URL = false }, function()
      llm.client({ provider = "vllm", model = "m" }):close()
    end)
    with_environment({ GROQ_API_KEY = false, GROQ_BASE_URL = false }, function()
      assert.matches("GROQ_API_KEY", message_of(llm.client, { provider = "groq", model = "m" }))
    end)
  end)
end)

describe("llm.provider", function()
  it("names the field that is wrong", function()
    assert.matches("api must be 1", message_of(llm.provider, minimal { api = 2 }))
    assert.matches("base_ulr.*base_url", message_of(llm.provider, minimal { base_ulr = "x" }))
    assert.matches("name must be a string", message_of(llm.provider, minimal { name = 1 }))
    assert.matches("there is no dialect", message_of(llm.provider, minimal { dialect = "x" }))
    assert.matches("bearrer", message_of(llm.provider, minimal { auth = { bearrer = true } }))
    assert.matches("decode_event must be a function",
      message_of(llm.provider, { api = 1, name = "n", base_url = "http://x", frame = "sse",
        encode_request = function() end }))
    assert.matches("frame must be", message_of(llm.provider, minimal { frame = "xml" }))
    assert.matches("expected a table", message_of(llm.provider, 5))
  end)

  it("puts the functions of a provider before those of its dialect", function()
    local function failure() return "quota", "mine" end
    local provider = llm.provider(minimal { failure = failure })
    assert.equal(failure, provider.dialect.failure)
    assert.equal(providers.find("openai").dialect.decode_event, provider.dialect.decode_event)
    assert.is_truthy(provider.dialect.skim)
    local reader = llm.provider(minimal { decode_event = function() end })
    assert.is_nil(reader.dialect.skim)
  end)
end)

describe("llm.extend", function()
  it("merges maps, and replaces lists, dialect and auth", function()
    local mine = llm.extend("openai", { name = "mine", auth = { header = "x-key" },
      quirks = { seed_field = "random", models = { { "^a" } } } })
    assert.equal("mine", mine.name)
    assert.same({ header = "x-key" }, mine.auth)
    assert.equal("max_completion_tokens", mine.quirks.max_tokens_field)
    assert.same({ { "^a" } }, mine.quirks.models)
    assert.is_nil(providers.find("openai").quirks.seed_field)
    assert.equal("https://api.openai.com/v1", mine.base_url)
  end)

  it("names what is wrong", function()
    assert.matches("bse_url.*base_url", message_of(llm.extend, "openai", { bse_url = "x" }))
    assert.matches("no provider", message_of(llm.extend, "openaai", {}))
  end)

  it("extends what was extended", function()
    local first = llm.extend("openai", { name = "first", headers = { a = "1" } })
    local second = llm.extend(first, { name = "second", headers = { b = "2" } })
    assert.same({ a = "1", b = "2" }, second.headers)
  end)
end)

describe("a provider in a file", function()
  local path

  local function write(text)
    path = os.tmpname() .. ".lua"
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
  end

  after_each(function() os.remove(path) end)

  it("answers as PATH/model", function()
    local server = serve { body = chat_body }
    write(([[return require("llm").extend("vllm", { name = "mine", base_url = %q })]]):format(
      server.url .. "/v1"))
    local client = llm.client { model = path .. "/org/some-model" }
    assert.equal("Hello", assert(client:generate_text("Hi")).content)
    assert(client:generate_text("Hi", { model = path .. "/other" }))
    assert.equal("org/some-model", json.decode(server[1].body).model)
    assert.equal("other", json.decode(server[2].body).model)
    client:close()
    server.close()
  end)

  it("says what is wrong with the file", function()
    write("return {api = 1,")
    assert.matches(path:match("[^/]+$"), message_of(llm.client, { model = path .. "/m" }), 1, true)
    write("return 5")
    assert.matches("must return a table", message_of(llm.client, { model = path .. "/m" }))
    write("\27Lua")
    assert.is_false((pcall(llm.client, { model = path .. "/m" })))
    assert.matches("nowhere", message_of(llm.client, { model = "./nowhere.lua/m" }))
  end)
end)

describe("addresses", function()
  it("are filled from the environment", function()
    with_environment({ AZURE_OPENAI_ENDPOINT = "https://res.openai.azure.com/",
      AZURE_OPENAI_API_KEY = "secret-key" }, function()
      local client = llm.client { model = "azure/my-deployment" }
      assert.equal("https://res.openai.azure.com/openai/v1", client.provider.base_url)
      client:close()
    end)
    with_environment({ AZURE_OPENAI_ENDPOINT = false }, function()
      assert.matches("AZURE_OPENAI_ENDPOINT",
        message_of(llm.client, { model = "azure/my-deployment" }))
    end)
  end)

  it("may have the deployment in the path, as classic Azure has", function()
    local server = serve { body = chat_body }
    local classic = llm.extend("azure", { base_url = server.url .. "/openai", paths = {
      ["/chat/completions"] = "/deployments/{model}/chat/completions?api-version=2024-10-21" } })
    local client = llm.client { provider = classic, model = "a/b", api_key = "secret-key" }
    assert(client:generate_text("Hi"))
    assert.matches("^/openai/deployments/a%%2Fb/chat/completions", server[1].path)
    assert.equal("secret-key", server[1].headers["api-key"])
    local _, err = client:generate_text("Hi", { model = ".." })
    assert.equal("invalid_request", err.kind)
    client:close()
    server.close()
  end)
end)

describe("auth", function()
  local keys = { AWS_ACCESS_KEY_ID = "AKIDEXAMPLE", AWS_REGION = "eu-west-1",
    AWS_SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    AWS_SESSION_TOKEN = "session-token", AWS_BEARER_TOKEN_BEDROCK = false }

  it("signs for AWS, what was sent and when", function()
    local server = serve { body = conformance.read "bedrock/converse_plain.json" }
    with_environment(keys, function()
      local client = llm.client { model = "bedrock/anthropic.claude-sonnet-4-6-v1:0",
        base_url = server.url }
      assert.equal("Lisbon is the capital of Portugal.",
        assert(client:generate_text("?", { stream = false })).content)
      client:close()
    end)
    local headers = server[1].headers
    local date = headers["x-amz-date"]
    assert.matches("^%d%d%d%d%d%d%d%dT%d%d%d%d%d%dZ$", date)
    assert.equal("session-token", headers["x-amz-security-token"])
    assert.equal(core.sigv4.sign {
      access_key = keys.AWS_ACCESS_KEY_ID, secret_key = keys.AWS_SECRET_ACCESS_KEY,
      session_token = keys.AWS_SESSION_TOKEN, region = "eu-west-1", service = "bedrock",
      date = date, method = "POST", content_type = "application/json", body = server[1].body,
      url = server.url .. "/model/anthropic.claude-sonnet-4-6-v1%3A0/converse",
    }, headers.authorization)
    server.close()
  end)

  it("streams from AWS", function()
    local server = serve { type = "application/vnd.amazon.eventstream",
      body = conformance.read "bedrock/stream_text.bin" }
    with_environment(keys, function()
      local client = llm.client { model = "bedrock/anthropic.claude-sonnet-4-6-v1:0",
        base_url = server.url }
      local response = assert(client:generate_text("?"))
      assert.equal("Hello, w\195\182rld \226\152\128!", response.content)
      assert.equal(33, response.tokens_used)
      client:close()
    end)
    server.close()
  end)

  it("prefers a key to a signature, and says what is missing", function()
    local server = serve { body = conformance.read "bedrock/converse_plain.json" }
    local options = { model = "bedrock/m", base_url = server.url }
    with_environment({ AWS_BEARER_TOKEN_BEDROCK = "bedrock-api-key" }, function()
      local client = llm.client(options)
      assert(client:generate_text("?"))
      client:close()
    end)
    assert.equal("Bearer bedrock-api-key", server[1].headers.authorization)
    with_environment({ AWS_BEARER_TOKEN_BEDROCK = false, AWS_ACCESS_KEY_ID = false }, function()
      local client = llm.client(options)
      local _, err = client:generate_text("?")
      assert.equal("authentication", err.kind)
      assert.matches("AWS_SECRET_ACCESS_KEY", err.message)
      client:close()
    end)
    server.close()
  end)

  it("asks a function, and keeps what it gives until it expires", function()
    local server = serve { body = chat_body }
    local asked = {}
    local expires_at
    local provider = minimal { base_url = server.url, auth = function(context)
      asked[#asked + 1] = context
      return { Authorization = "Bearer token-" .. #asked }, expires_at
    end }
    local client = llm.client { provider = provider, model = "m" }
    assert(client:generate_text("?"))
    expires_at = os.time() + 3600
    assert(client:generate_text("?"))
    assert(client:generate_text("?"))
    assert.equal(2, #asked)
    assert.equal("Bearer token-1", server[1].headers.authorization)
    assert.equal("Bearer token-2", server[3].headers.authorization)
    assert.equal(server.url .. "/chat/completions", asked[1].url)
    assert.equal(server[1].body, asked[1].body)
    client:close()
    server.close()
  end)

  it("reports a function that has nothing to give", function()
    local provider = minimal { auth = function() return nil, "run gcloud auth login" end }
    local client = llm.client { provider = provider, model = "m" }
    local _, err = client:generate_text("?")
    assert.equal("authentication", err.kind)
    assert.matches("gcloud", err.message)
    client:close()
    assert.equal(0, llm.live())
  end)
end)
