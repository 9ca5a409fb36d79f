--- Mock: a scripted model behind a real HTTP server on loopback, for tests of other people's
-- scripts, and the answer of last resort when nothing else is configured. It speaks Chat
-- Completions, Responses, Anthropic's Messages and OpenAI's embeddings.
-- @module llm.mock
local answers = require "llm.mock_answer"
local core = require "llm.core"
local failure = require "llm.failure"
local options = require "llm.options"
local task = require "llm.task"

local encode, decode = core.json.encode, core.json.decode

local Mock = {}
Mock.__index = Mock

local fields = {
  text = "string", reasoning = "string", refusal = "string", tool_calls = "table",
  finish_reason = "string", usage = "table", delay = "number", pace = "number", pieces = "table",
  status = "number", headers = "table", message = "string", code = "string", type = "string",
  embeddings = "table", cut_after = "number", keep_alive_only = "boolean", garbage = "string",
}

-- What is asked by the end of a path: the dialect's server half, and what its ids begin with.
local speakers = {
  { "/chat/completions$", "openai_chat_server", "chatcmpl-mock-" },
  { "/responses$", "openai_responses_server", "resp_mock_" },
  { "/messages$", "anthropic_server", "msg_mock_" },
  { "/embeddings$", "openai_embed_server", "embed-mock-" },
}

-- An event that has a type is called by it.
local function frame(data)
  if type(data) == "string" then return "data: " .. data .. "\n\n" end
  local name = data.type and "event: " .. data.type .. "\n" or ""
  return name .. "data: " .. encode(data) .. "\n\n"
end

-- Sleeps, but not longer than the client stays.
local function pause(request, seconds)
  local until_then = core.loop.clock() + seconds
  while not request:gone() do
    local left = until_then - core.loop.clock()
    if left <= 0 then return true end
    task.sleep(math.min(left, 0.02))
  end
end

local function keep_alive(request)
  while not request:gone() do
    request:write(": keep-alive\n\n")
    task.sleep(0.02)
  end
end

-- Ends the connection once all that was written has left.
local function cut(request)
  while not request:ready() do task.wait(request:id()) end
  pause(request, 0.01) -- or the reset overtakes it
  request:abort()
end

-- The answer as canonical events in the order in which a model would send them.
local function events_of(answer)
  local events = { { "start" } }
  local function add(kind, value) events[#events + 1] = { kind, value } end
  if answer.reasoning then add("reasoning", answer.reasoning) end
  if answer.refusal then add("refusal", answer.refusal) end
  for _, piece in ipairs(answer.pieces) do add("text", piece) end
  for i, call in ipairs(answer.tool_calls or {}) do
    add("tool_call", { index = i, id = call.id, name = call.name, arguments = call.arguments })
  end
  add("finish", answer.finish_reason)
  add("usage", answer.usage)
  add("complete")
  return events
end

local function stream(request, answer, dialect, context)
  request:begin(200, { ["Content-Type"] = "text/event-stream", ["Cache-Control"] = "no-cache" })
  if answer.keep_alive_only then return keep_alive(request) end
  for i, event in ipairs(events_of(answer)) do
    if answer.cut_after and i > answer.cut_after then return cut(request) end
    if answer.pace and i > 1 and not pause(request, answer.pace) then return end
    for _, data in ipairs(dialect.encode_event(event[1], event[2], context)) do
      if not request:write(frame(data)) then return end
    end
  end
  request:finish()
end

local json_type = { ["Content-Type"] = "application/json" }

local function fail(request, answer, dialect)
  local body = dialect.encode_event("failure", {
    message = answer.message or "scripted failure", type = answer.type, code = answer.code,
    kind = failure.kind_of_status(answer.status),
  })[1]
  local headers = { ["Content-Type"] = "application/json" }
  for name, value in pairs(answer.headers or {}) do headers[name] = tostring(value) end
  request:respond(answer.status, headers, encode(body))
end

local function respond(request, answer, asked, dialect, context)
  if answer.delay and not pause(request, answer.delay) then return end
  if answer.garbage then return request:respond(200, json_type, answer.garbage) end
  if answer.status and answer.status ~= 200 then return fail(request, answer, dialect) end
  if asked.stream then return stream(request, answer, dialect, context) end
  request:respond(200, json_type, encode(dialect.encode_event("body", answer, context)[1]))
end

local function complete(self, answer, asked)
  if type(answer) == "string" then answer = { text = answer } end
  options.check(answer, fields, "the mock's answer")
  local whole = {}
  for key, value in pairs(self.faults) do whole[key] = value end
  for key, value in pairs(answer) do whole[key] = value end
  if not whole.text and not whole.tool_calls and not whole.refusal then
    whole.text = answers.text(asked)
  end
  if asked.texts then whole.embeddings = whole.embeddings or answers.embeddings(asked) end
  whole.pieces = whole.pieces or answers.pieces(whole.text or "")
  whole.finish_reason = whole.finish_reason or whole.tool_calls and "tool_calls" or "stop"
  whole.usage = whole.usage or answers.usage(asked, whole)
  return whole
end

local function scripted(self, asked, request)
  local function header(name) return request:header(name) end
  return complete(self, self.handler and self.handler(asked, header) or {}, asked)
end

-- A script that fails must not leave its client waiting.
local function mistake(problem)
  return { status = 500, message = "the mock's handler failed: " .. tostring(problem),
    headers = { ["x-should-retry"] = "false" } }
end

local function converse(self, request, speaker, body)
  local dialect = require("llm.dialect." .. speaker[2])
  local asked = dialect.decode_request(body)
  self.count = self.count + 1
  self.requests[self.count] = asked
  local context = { id = speaker[3] .. self.count, created = os.time(), model = asked.model,
    encoding = asked.encoding }
  local ok, answer = pcall(scripted, self, asked, request)
  respond(request, ok and answer or mistake(answer), asked, dialect, context)
end

-- As OpenAI and as Anthropic describe a model.
local models = { object = "list", has_more = false, data = { {
  id = "mock", object = "model", created = 0, owned_by = "llmrun", type = "model",
  display_name = "Mock", created_at = "1970-01-01T00:00:00Z",
} } }

local counters = {
  { "/messages/count_tokens$", "anthropic_server" },
  { "/responses/input_tokens$", "openai_responses_server" },
}

local function count_tokens(request, counter, body)
  local asked = require("llm.dialect." .. counter[2]).decode_request(body)
  request:respond(200, json_type, encode { input_tokens = answers.usage(asked, {}).input_tokens })
end

local function row_of(rows, path)
  for _, row in ipairs(rows) do
    if path:find(row[1]) then return row end
  end
end

local function answer(self, request)
  local path = request:path():gsub("%?.*", "")
  local body = decode(request:body())
  local is_asked = type(body) == "table"
  local speaker, counter = is_asked and row_of(speakers, path), is_asked and row_of(counters, path)
  if speaker then
    converse(self, request, speaker, body)
  elseif counter then
    count_tokens(request, counter, body)
  elseif path:find("/models$") then
    request:respond(200, json_type, encode(models))
  else
    request:respond(404, json_type, encode { error = { message = "the mock knows no " .. path,
      type = "invalid_request_error", code = "not_found" } })
  end
  request:close()
end

local function serve(self)
  while not self.closed do
    local request = self.server:accept()
    if request then
      task.spawn(answer, self, request)
    else
      task.wait(self.server:id())
    end
  end
end

local known = {}
for name, kind in pairs(fields) do known[name] = kind end
known[1], known.port = "function", "number"

--- Starts a mock model on 127.0.0.1.
-- @tparam[opt] table opts `[1]`: `function(request, header) -> text | answer`, where `header(name)`
-- is one of the headers that came; every field of an answer may stand here for all answers: text,
-- pieces, reasoning, refusal, tool_calls, embeddings, finish_reason, usage, delay (seconds before
-- the answer), pace (seconds between events), and the faults status (with message, code, headers),
-- cut_after (events, then the connection is cut), keep_alive_only, garbage (a body)
-- @treturn Mock with `base_url`, `provider` (for llm.client), `requests`, `count`, `close()`
-- @usage local mock = llm.mock { function(request) return "Hello" end }
-- local client = llm.client { provider = mock.provider }
local function new(opts)
  opts = options.check(opts, known, "llm.mock")
  local self = setmetatable({ handler = opts[1], faults = {}, requests = {}, count = 0 }, Mock)
  for name in pairs(fields) do self.faults[name] = opts[name] end
  self.server = assert(core.server.listen(task.loop(), { port = opts.port }))
  self.base_url = "http://127.0.0.1:" .. self.server:port() .. "/v1"
  self.provider = { api = 1, name = "mock", dialect = "openai_chat", base_url = self.base_url,
    default_model = "mock" }
  self.serving = task.spawn(serve, self)
  return self
end

--- The provider of this mock in another dialect than Chat Completions.
-- @tparam string dialect `"openai_responses"` or `"anthropic_messages"`
-- @treturn table for llm.client
-- @usage local client = llm.client { provider = mock:provider_for "anthropic_messages" }
function Mock:provider_for(dialect)
  local is_anthropic = dialect == "anthropic_messages"
  return { api = 1, name = "mock", dialect = dialect, default_model = "mock",
    base_url = is_anthropic and self.base_url:gsub("/v1$", "") or self.base_url }
end

--- Stops the server; answers in flight are cut off. Idempotent.
function Mock:close()
  if self.closed then return end
  self.closed = true
  self.serving:cancel()
  self.server:close()
end
Mock.__close = Mock.close

local default

--- The provider of last resort; says once on standard error that it is one.
-- @tparam[opt] boolean is_named it was asked for by its name, and nothing needs to be said
-- @treturn table provider
local function default_provider(is_named)
  if not default then
    default = new {}
    if is_named then return default.provider end
    io.stderr:write("llmrun: no provider is configured, so a built-in mock answers; ",
      "set OPENAI_API_KEY (or start Ollama) to ask a real model\n")
  end
  return default.provider
end

return { new = new, default_provider = default_provider }
