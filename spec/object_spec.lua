-- Answers in a shape: how they are asked for in every dialect, read, asked for again, and streamed.
local core = require "llm.core"
local environment = require "spec.support.environment"
local llm = require "llm"
local settled = require "spec.support.settled"
local task = require "llm.task"

local json = core.json
local MOOD = "mood: good|bad, why"
local GOOD, BAD = '{"mood":"good","why":"it is"}', '{"mood":"odd"}'

describe("an object", function()
  local mock, client, answers, server, serving

  before_each(function()
    environment.set { AWS_REGION = "us-east-1", AWS_BEARER_TOKEN_BEDROCK = "k" }
    answers = {}
    mock = llm.mock { function() return table.remove(answers, 1) end }
  end)

  after_each(function()
    environment.restore()
    if client then client:close() end
    if server then
      serving:cancel()
      server:close()
    end
    mock:close()
    client, server = nil, nil
    assert.equal(0, settled())
  end)

  local function start(opts)
    opts = opts or {}
    opts.provider = opts.provider or mock.provider
    client = llm.client(opts)
    return client
  end

  local function ask(opts, ...)
    answers = { ... }
    opts.schema = opts.schema or MOOD
    return (client or start()):generate_object("How was it?", opts)
  end

  it("is asked for by the provider's own schema in the mock's three dialects", function()
    for _, dialect in ipairs { "openai_chat", "openai_responses", "anthropic_messages" } do
      client = llm.client { provider = mock:provider_for(dialect) }
      local response = assert(ask({}, GOOD))
      assert.same({ mood = "good", why = "it is" }, response.object, dialect)
      local asked = mock.requests[mock.count]
      assert.same({ "good", "bad" }, asked.response_schema.properties.mood.enum, dialect)
      client:close()
    end
  end)

  -- A server that always says the same, for dialects that the mock does not speak.
  local function serve(body)
    local seen = {}
    server = assert(core.server.listen(task.loop(), {}))
    serving = task.spawn(function()
      while true do
        local request = server:accept()
        if request then
          seen[#seen + 1] = json.decode(request:body())
          request:respond(200, { ["Content-Type"] = "application/json" }, json.encode(body))
          request:close()
        else
          task.wait(server:id())
        end
      end
    end)
    return "http://127.0.0.1:" .. server:port(), seen
  end

  for name, case in pairs {
    ollama = { body = { model = "m", done = true, done_reason = "stop", prompt_eval_count = 3,
      eval_count = 4, message = { role = "assistant", content = GOOD } },
      schema_of = function(body) return body.format end },
    google = { body = { usageMetadata = { promptTokenCount = 3, candidatesTokenCount = 4 },
      candidates = { { finishReason = "STOP", content = { parts = { { text = GOOD } } } } } },
      schema_of = function(body) return body.generationConfig.responseJsonSchema end },
    bedrock = { body = { stopReason = "end_turn", usage = { inputTokens = 3, outputTokens = 4 },
      output = { message = { role = "assistant", content = { { text = GOOD } } } } },
      schema_of = function(body)
        return json.decode(body.outputConfig.textFormat.structure.jsonSchema.schema)
      end },
  } do
    it("is asked for by the provider's own schema of " .. name, function()
      local url, seen = serve(case.body)
      start { provider = name, model = "m", api_key = "k", base_url = url, stream = false }
      local response = assert(ask {})
      assert.equal("good", response.object.mood)
      assert.equal(7, response.tokens_used)
      assert.same({ "good", "bad" }, case.schema_of(seen[1]).properties.mood.enum)
    end)
  end

  it("is asked for as a tool call where a schema is refused, and remembers it", function()
    local refusal = { status = 400, message = "response_format is not supported" }
    local call = { tool_calls = { { id = "c1", name = "answer", arguments = GOOD } } }
    local schema = llm.schema.parse(MOOD)
    local response = assert(ask({ schema = schema }, refusal, call))
    assert.equal("good", response.object.mood)
    assert.equal(2, mock.count)
    assert.same({ name = "answer" }, mock.requests[2].tool_choice)
    assert.is_nil(mock.requests[2].response_schema)
    assert(ask({ schema = schema }, call))
    assert.equal(3, mock.count)
  end)

  it("is asked for in words where a tool is refused, too", function()
    local refusal = { status = 400, message = "no" }
    local response = assert(ask({}, refusal, refusal, GOOD))
    assert.equal("good", response.object.mood)
    local prompt = mock.requests[3].messages[1].content
    assert.matches("How was it?", prompt, 1, true)
    assert.matches('"enum":["good","bad"]', prompt, 1, true)
    assert.is_nil(mock.requests[3].tools)
    local _, err = ask({ schema = "a" }, refusal, refusal, refusal)
    assert.equal("invalid_request", err.kind)
  end)

  it("is asked for in words where the provider's data says so", function()
    local provider = { api = 1, name = "plain", dialect = "openai_chat", base_url = mock.base_url,
      default_model = "m", quirks = { refuses = { "response_schema", "tools" } } }
    start { provider = provider }
    assert.equal("good", assert(ask({}, GOOD)).object.mood)
    assert.equal(1, mock.count)
  end)

  it("is asked for in one way alone when the caller says which", function()
    local _, err = ask({ mode = "native" }, { status = 400, message = "no" })
    assert.equal("invalid_request", err.kind)
    assert.equal(1, mock.count)
    assert(ask({ mode = "prompt" }, GOOD))
    assert.has_error(function() ask { mode = "magic" } end)
  end)

  it("is found in fences, after prose and before it, and not in braces of prose", function()
    for _, text in ipairs {
      "```json\n" .. GOOD .. "\n```", "Sure:\n```\n" .. GOOD .. "\n```\nAnything else?",
      "The set {a, b} aside, here it is: " .. GOOD .. " Good luck {really}!",
      'First {"mood":"odd"} but then ' .. GOOD, "\n\n " .. GOOD .. "\n",
    } do
      assert.equal("good", assert(ask({ max_retries = 0 }, text)).object.mood, text)
    end
  end)

  it("is looked for in time in a reply of any kind", function()
    local start_time = os.clock()
    for _, text in ipairs { ("`"):rep(2 ^ 19), ("{"):rep(2 ^ 18), ("```\n"):rep(2 ^ 16),
      ('["'):rep(2 ^ 17), ("[1,"):rep(2 ^ 16) .. ("]"):rep(2 ^ 16) } do
      assert.equal("schema", select(2, ask({ max_retries = 0 }, text)).kind)
    end
    assert.is_true(os.clock() - start_time < 5)
  end)

  it("is asked for again with what is wrong, and the sum is told", function()
    local response = assert(ask({}, "I feel good.", BAD, GOOD))
    assert.equal("good", response.object.mood)
    local messages = mock.requests[3].messages
    assert.equal(5, #messages)
    assert.equal(BAD, messages[4].content)
    assert.matches('/mood must be one of "good", "bad"', messages[5].content, 1, true)
    assert.equal(3, response.attempts)
    local input = 0
    for _, asked in ipairs(mock.requests) do
      for _, source in ipairs(asked.messages) do
        input = input + math.max(1, math.floor(#source.content / 4))
      end
    end
    assert.equal(input, response.prompt_tokens)
    assert.equal(response.usage.input_tokens, response.prompt_tokens)
    assert.equal(response.prompt_tokens + response.completion_tokens, response.tokens_used)
  end)

  it("answers a tool call that does not fit as tools are answered", function()
    local function call(arguments)
      return { tool_calls = { { id = "c1", name = "answer", arguments = arguments } } }
    end
    assert(ask({ mode = "tool" }, call(BAD), call '{"mood":', call(GOOD)))
    local messages = mock.requests[3].messages
    assert.equal("tool", messages[5].role)
    assert.equal("c1", messages[5].tool_call_id)
  end)

  it("that never fits is an error with all there is to know", function()
    local response, err = ask({ max_retries = 1 }, BAD, BAD)
    assert.is_nil(response)
    assert.equal("schema", err.kind)
    assert.equal(BAD, err.raw)
    assert.equal(2, #err.errors)
    assert.equal("/mood", err.errors[2].path)
    assert.equal(2, err.attempts)
    assert.equal(BAD, err.partial.content)
    assert.equal(2, mock.count)
    assert.matches("does not fit the schema", tostring(err))
  end)

  it("that is refused or cut is an error at once", function()
    local _, err = ask({}, { refusal = "I will not." })
    assert.equal("content_filter", err.kind)
    assert.matches("I will not", tostring(err))
    _, err = ask({}, { text = '{"mood":"go', finish_reason = "length" })
    assert.equal("schema", err.kind)
    assert.matches("raise max_tokens", tostring(err))
    assert.equal(2, mock.count)
    assert(ask({}, { text = GOOD, finish_reason = "length" }))
  end)

  it("may be any value; providers see it as a member", function()
    local response = assert(ask({ schema = { type = "array", items = { type = "integer" } } },
      '{"value":[1,2]}'))
    assert.same({ 1, 2 }, response.object)
    assert.equal("array", mock.requests[1].response_schema.properties.value.type)
    assert.same({ 1 }, assert(ask({ schema = "{a: 1|2}[1..]" }, '[{"a":1}]')).object[1] and { 1 })
  end)

  it("is told to OpenAI as strict only if it is", function()
    local wire = require "llm.schema.wire"
    assert.is_true(wire.strict(llm.schema.parse "a, b: {c: integer 1..2}[]"))
    assert.is_false(wire.strict(llm.schema.parse "a, b?"))
    assert.is_false(wire.strict { type = "object" })
    assert.is_false(wire.strict(llm.schema.parse "a: {b: string 1..5}"))
    assert.equal("My_answer", wire.name { title = "My answer" })
    assert.equal("answer", wire.name { title = "…" })
  end)

  it("takes no options of another method, and no schema that makes no sense", function()
    for _, opts in ipairs { { tools = {} }, { schema = { type = "text" } }, { schema = "a:" } } do
      assert.has_error(function() ask(opts) end)
    end
    assert.has_error(function() start():generate_object("x", {}) end)
    assert.equal(0, mock.count)
  end)

  it("passes errors of the provider on", function()
    start { retry = false }
    local _, err = ask({}, { status = 500, message = "down" })
    assert.equal("provider_unavailable", err.kind)
    _, err = ask({}, BAD, { status = 400, message = "no" })
    assert.equal("invalid_request", err.kind)
    assert.equal(3, mock.count)
  end)

  it("comes piece by piece", function()
    answers = { { pieces = { '{"mood"', ':"go', 'od","wh', 'y":"it', ' is"}' }, pace = 0.01 } }
    local seen, wholes = {}, {}
    local iterator, stream = start():stream_object("How was it?", { schema = MOOD })
    for value, is_whole in iterator, stream do
      seen[#seen + 1], wholes[#wholes + 1] = json.encode(value), is_whole
    end
    local stages = { ["{}"] = 1, ['{"mood":"go"}'] = 2, ['{"mood":"good"}'] = 3,
      ['{"mood":"good","why":"it"}'] = 4, [GOOD] = 5 } -- some may come in one
    for i = 1, #seen do assert.is_true(stages[seen[i]] >= (stages[seen[i - 1]] or 0), seen[i]) end
    assert.equal(GOOD, seen[#seen])
    assert.is_true(wholes[#wholes])
    assert.is_false(wholes[#wholes - 1])
    assert.equal("good", stream:response().object.mood)
    assert.is_true(stream:response().tokens_used > 0)
  end)

  it("comes piece by piece from a tool call, and as a member", function()
    answers = { { tool_calls = { { id = "c", name = "answer", arguments = '{"value":[1,2]}' } } } }
    local last
    for value in start():stream_object("Count.", { schema = "(1|2)[]", mode = "tool" }) do
      last = value
    end
    assert.same({ 1, 2 }, last)
  end)

  it("that does not fit in the end is raised", function()
    answers = { BAD }
    local ok, err = pcall(function()
      for _ in start():stream_object("How was it?", { schema = MOOD }) do assert(true) end
    end)
    assert.is_false(ok)
    assert.equal("schema", err.kind)
    assert.equal(BAD, err.raw)
    assert.has_error(function() client:stream_object("x", { schema = MOOD, max_retries = 1 }) end)
  end)

  it("that is left is cancelled", function()
    answers = { { pieces = { '{"mood":"good",', '"why":"it is"}' }, pace = 0.02 } }
    local iterator, stream = start():stream_object("How was it?", { schema = MOOD })
    assert.equal("good", iterator(stream).mood)
    stream:close()
    assert.has_error(function() iterator(start():stream_object("x", {})) end)
  end)
end)
