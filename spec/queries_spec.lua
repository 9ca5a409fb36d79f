--- Embeddings, lists of models, counts of tokens and keys: over real sockets, what providers send.
local conformance = require "spec.support.conformance"
local core = require "llm.core"
local environment = require "spec.support.environment"
local llm = require "llm"
local providers = require "llm.provider"

local json, read = core.json, conformance.read

conformance.describe("openai_embeddings", function() return assert(providers.find "openai") end)

-- A server that gives the answers one after the other, and remembers what it was asked.
local function serve(answers)
  local server = assert(core.server.listen(llm.task.loop(), {}))
  local seen = { url = "http://127.0.0.1:" .. server:port() }
  local serving = llm.spawn(function()
    for _, answer in ipairs(answers) do
      local request = server:accept()
      while not request do
        llm.task.wait(server:id())
        request = server:accept()
      end
      seen[#seen + 1] = { path = request:path(), body = json.decode(request:body()) }
      local headers = { ["Content-Type"] = answer.type or "application/json" }
      request:respond(answer.status or 200, headers,
        type(answer.body) == "table" and json.encode(answer.body) or answer.body)
      request:close()
    end
  end)
  function seen.close()
    serving:cancel()
    server:close()
  end
  return seen
end

describe("queries", function()
  local server
  before_each(function() environment.set { GOOGLE_CLOUD_PROJECT = "p", AWS_REGION = "r",
    GOOGLE_CLOUD_LOCATION = "l" } end)
  after_each(function()
    environment.restore()
    if server then server.close() end
    server = nil
    collectgarbage()
    collectgarbage()
    assert.equal(0, llm.live())
  end)

  local function client_of(provider, answers, path)
    server = serve(answers)
    return llm.client { provider = provider, api_key = "key", base_url = server.url .. (path or ""),
      retry = false }
  end

  local pair = { { 0.5, -0.5, 0.5, 0.5 }, { 0.1, 0.7, -0.1, 0.7 } }

  describe("embed", function()
    it("reads OpenAI's vectors in the order of the texts", function()
      local shuffled = json.decode(read "openai_embeddings/float.json")
      shuffled.data[1], shuffled.data[2] = shuffled.data[2], shuffled.data[1]
      for _, body in ipairs { read "openai_embeddings/float.json", shuffled } do
        local client = client_of("openai", { { body = body } })
        local found = assert(client:embed({ "a", "b" },
          { model = "text-embedding-3-small", dimensions = 4, user = "u" }))
        assert.same(pair, found.embeddings)
        assert.equal(7, found.usage.input_tokens)
        assert.equal("text-embedding-3-small", found.model)
        assert.is_near(7 * 0.02e-6, found.cost_estimate, 1e-12)
        assert.equal("/embeddings", server[1].path)
        assert.same({ model = "text-embedding-3-small", input = { "a", "b" }, dimensions = 4,
          encoding_format = "base64", user = "u" }, server[1].body)
        server.close()
      end
    end)

    it("reads base64", function()
      local vector = core.base64.encode_floats { 0.5, -2, 1e30, 0 }
      assert.equal("AAAAPwAAAMDK8klxAAAAAA==", vector)
      local client = client_of("openai", { { body = { data = { { index = 0, embedding = vector } },
        usage = { prompt_tokens = 1 } } } })
      local found = assert(client:embed("a", { model = "m" })).embeddings[1]
      assert.same({ 0.5, -2, 0 }, { found[1], found[2], found[4] })
      assert.is_near(1e30, found[3], 1e24)
      assert.is_nil(core.base64.decode_floats("AAAA"))
      assert.is_nil(core.base64.decode_floats("?"))
      assert.same({}, core.base64.decode_floats(""))
      assert.error_matches(function() core.base64.encode_floats { 1, "x" } end, "element 2")
    end)

    it("reads Google's, Vertex's and Ollama's", function()
      local client = client_of("google", { { body = read "gemini/batch_embed.json" } })
      local found = assert(client:embed({ "a", "b" }, { model = "gemini-embedding-001",
        dimensions = 4, extra = { taskType = "CLUSTERING" } }))
      assert.same(pair, found.embeddings)
      assert.is_true(found.usage.estimated)
      assert.equal("/models/gemini-embedding-001:batchEmbedContents", server[1].path)
      assert.same({ model = "models/gemini-embedding-001", outputDimensionality = 4,
        content = { parts = { { text = "b" } } }, taskType = "CLUSTERING" },
        server[1].body.requests[2])
      server.close()

      client = client_of("google", { { body = read "gemini/embed.json" } })
      assert.same({ pair[1] }, assert(client:embed("a", { model = "m" })).embeddings)
      server.close()

      local function prediction(vector)
        return { body = { predictions = { { embeddings = { values = vector,
          statistics = { token_count = 2 } } } } } }
      end
      client = client_of("vertex", { prediction(pair[1]), prediction(pair[2]) })
      found = assert(client:embed({ "a", "b" }, { model = "m" }))
      assert.same(pair, found.embeddings)
      assert.equal(4, found.usage.input_tokens)
      assert.equal("/models/m:predict", server[2].path)
      assert.same({ { content = "b" } }, server[2].body.instances)
      server.close()

      client = client_of("ollama", { { body = { model = "bge", embeddings = pair,
        prompt_eval_count = 3 } } })
      found = assert(client:embed({ "a", "b" }, { model = "bge" }))
      assert.same(pair, found.embeddings)
      assert.equal(3, found.usage.input_tokens)
      assert.same({ model = "bge", input = { "a", "b" } }, server[1].body)
    end)

    it("asks in as many requests as the limits need", function()
      local mock = llm.mock {}
      local quirks = { embed_batch = 2, embed_tokens = 10 }
      local provider = llm.extend(mock.provider, { quirks = quirks })
      local client = llm.client { provider = provider }
      local long = ("x"):rep(44)
      local texts = { "a", "b", "c", long, "d", "e" }
      local found = assert(client:embed(texts))
      local sizes = {}
      for i, request in ipairs(mock.requests) do sizes[i] = #request.texts end
      assert.same({ 2, 1, 1, 2 }, sizes)
      assert.equal(6, #found.embeddings)
      assert.same(found.embeddings[3], assert(client:embed("c")).embeddings[1])
      mock:close()
    end)

    it("keeps what came before a failure", function()
      local client = client_of("vertex", {
        { body = { predictions = { { embeddings = { values = pair[1] } } } } },
        { status = 429, body = { error = { status = "RESOURCE_EXHAUSTED" } } },
      })
      local found, err = client:embed({ "a", "b" }, { model = "m" })
      assert.is_nil(found)
      assert.equal("rate_limit", err.kind)
      assert.same({ pair[1] }, err.partial.embeddings)
    end)

    it("is an error when a vector is missing", function()
      local client = client_of("openai", { { body = { object = "list" } },
        { body = { data = { { index = 1, embedding = { 1 } } } } },
        { body = { data = { { index = 0, embedding = "?" } } } } })
      for _ = 1, 3 do
        local found, err = client:embed({ "a" }, { model = "m" })
        assert.is_nil(found)
        assert.equal("protocol", err.kind)
      end
    end)

    it("refuses what nobody can embed", function()
      local client = client_of("anthropic", {})
      for _, texts in ipairs { "", {}, { "a", " " }, { 1 }, 5 } do
        assert.has_error(function() client:embed(texts) end)
      end
      assert.has_error(function() client:embed("a", { modell = "m" }) end)
      local _, err = client:embed("a")
      assert.equal("invalid_request", err.kind)
      assert.matches("anthropic has no embeddings", err.message)
    end)
  end)

  describe("list_models", function()
    it("reads every provider's rows", function()
      local client = client_of("google", { { body = read "gemini/models.json" },
        { body = { models = { { name = "models/b" } } } } })
      assert.same({ { id = "gemini-3.8-flash", name = "Gemini 3.8 Flash", context = 1048576,
        max_output = 65536 }, { id = "b" } }, client:list_models())
      assert.equal("/models?pageSize=1000", server[1].path)
      assert.equal("/models?pageSize=1000&pageToken=fxNEXT", server[2].path)
      server.close()

      client = client_of("anthropic", {
        { body = { data = { { id = "a", display_name = "A", created_at = "2025-10-01T00:00:00Z",
          max_input_tokens = 200000, max_tokens = 64000 } }, has_more = true, last_id = "a" } },
        { body = { data = { { id = "b" } }, has_more = false, last_id = "b" } } })
      assert.same({ { id = "a", name = "A", created = 1759276800, context = 200000,
        max_output = 64000 }, { id = "b" } }, client:list_models())
      assert.equal("/v1/models?limit=1000&after_id=a", server[2].path)
      server.close()

      client = client_of("together", { { body = read "openai_compatible/together_models.json" } })
      assert.same({ { id = "meta-llama/Llama-3.3-70B-Instruct-Turbo", name = "Llama 3.3 70B",
        context = 131072, created = 0 } }, client:list_models())
      server.close()

      client = client_of("ollama", { { body = read "ollama/tags.json" } })
      assert.same({ { id = "qwen3:8b" } }, client:list_models())
    end)

    it("takes a body for what it is, whatever it is called", function()
      local answer = { type = "text/plain", body = read "ollama/tags.json" }
      local client = client_of("ollama", { answer })
      assert.equal("qwen3:8b", assert(client:list_models())[1].id)
    end)

    it("says where there is no list", function()
      local client = client_of("vertex", {})
      local models, err = client:list_models()
      assert.is_nil(models)
      assert.matches("vertex has no list of models", err.message)
    end)
  end)

  describe("validate_key", function()
    local refused = { status = 401, body = { error = { message = "Incorrect API key provided" } } }

    it("tells a good key from one that is refused", function()
      local client = client_of("openai", { { body = { data = {} } }, refused, { status = 500,
        body = {} } })
      assert.is_true(client:validate_key())
      local ok, err = client:validate_key()
      assert.is_false(ok)
      assert.equal("authentication", err.kind)
      ok, err = client:validate_key()
      assert.is_false(ok)
      assert.equal("provider_unavailable", err.kind)
    end)

    it("asks nothing more when the question was refused", function()
      local client = client_of("openai", { { status = 400, body = { error = { message = "No." } } },
        { body = read "openai_chat/plain.json" } })
      local ok, err = client:validate_key()
      assert.is_false(ok)
      assert.equal("invalid_request", err.kind)
      assert.equal(1, #server)
    end)

    it("asks where the list of models is open to all", function()
      local client = client_of("openrouter", { refused })
      assert.is_false(client:validate_key())
      assert.equal("/key", server[1].path)
    end)

    it("asks for a word where there is no list", function()
      local client = client_of("bedrock", { { body = read "bedrock/converse_plain.json" },
        { status = 403, body = { message = "The security token is invalid" } } })
      client.options.model = "amazon.nova-lite-v1:0"
      assert.is_true(client:validate_key())
      assert.equal(16, server[1].body.inferenceConfig.maxTokens)
      local ok, err = client:validate_key()
      assert.is_false(ok)
      assert.equal("permission", err.kind)
    end)
  end)

  describe("count_tokens", function()
    local tools = { { name = "t", parameters = { type = "object", properties = {} } } }

    it("asks Anthropic", function()
      local client = client_of("anthropic", { { body = { input_tokens = 14 } }, { body = {} } })
      assert.equal(14, client:count_tokens("Hi", { system = nil, tools = tools, stop = "x" }))
      assert.equal("/v1/messages/count_tokens", server[1].path)
      local names = {}
      for name in pairs(server[1].body) do names[#names + 1] = name end
      table.sort(names)
      assert.same({ "messages", "model", "tools" }, names)
      local count, err = client:count_tokens("Hi")
      assert.is_nil(count)
      assert.equal("protocol", err.kind)
    end)

    it("asks Google, on both of its hosts", function()
      local client = client_of("google", { { body = { totalTokens = 5 } } })
      assert.equal(5, client:count_tokens("Hi", { model = "gemini-3.5-flash" }))
      assert.equal("/models/gemini-3.5-flash:countTokens", server[1].path)
      assert.equal("models/gemini-3.5-flash", server[1].body.generateContentRequest.model)
      server.close()

      client = client_of("vertex", { { body = { totalTokens = 5 } } })
      assert.equal(5, client:count_tokens("Hi"))
      assert.same({ contents = { { role = "user", parts = { { text = "Hi" } } } } }, server[1].body)
      server.close()

      client = client_of("vertex_anthropic", { { body = { input_tokens = 3 } } })
      assert.equal(3, client:count_tokens("Hi"))
      assert.equal("/publishers/anthropic/models/count-tokens:rawPredict", server[1].path)
      assert.equal("claude-haiku-5-5", server[1].body.model)
    end)

    it("asks OpenAI's Responses", function()
      local client = client_of("openai_responses", { { body = { input_tokens = 9 } } })
      local count, exact = client:count_tokens("Hi", { max_tokens = 100 })
      assert.equal(9, count)
      assert.is_true(exact)
      assert.equal("/responses/input_tokens", server[1].path)
      assert.is_nil(server[1].body.max_output_tokens)
    end)

    it("counts here where nobody can be asked", function()
      local client = client_of("openai", {})
      assert.equal(llm.count_tokens("Hi there", "gpt-4o") + 7,
        (client:count_tokens("Hi there", { model = "gpt-4o" })))
    end)
  end)

  it("are refused of half a pair", function()
    assert.has_error(function()
      llm.extend("openai", { dialect = { frame = "sse", encode_request = print,
        decode_event = print, encode_embed = print } })
    end)
  end)
end)
