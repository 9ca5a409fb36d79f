-- Our dialects talk to a mock server of other people: llmrun dialects.lua URL
local llm = require "llm"

local url = arg[1]
-- aimock 1.43.0 has no batchEmbedContents of Google's; as Ollama it sends `reasoning_content` for
-- `thinking`, and one `embedding` for `embeddings`.
local speakers = {
  { "openai", "/v1", "gpt-4o", "converse fail think embed" },
  { "openai_responses", "/v1", "gpt-4o", "converse fail think embed" },
  { "anthropic", "", "claude-sonnet-4-5", "converse fail think" },
  { "google", "/v1beta", "gemini-2.5-flash", "converse fail think" },
  { "ollama", "", "llama3", "converse fail" },
}
local tools = { { name = "get_weather", description = "Weather of a city", parameters = {
  type = "object", properties = { city = { type = "string" } }, required = { "city" } } } }

local function check(ok, what) if not ok then error(what, 2) end end

local function stream(client, messages)
  local texts = {}
  for text in client:stream_text(messages, { tools = tools }) do texts[#texts + 1] = text end
  return table.concat(texts)
end

local tests = {}

function tests.converse(client)
  local messages = { { role = "user", content = "What is the weather in Porto?" } }
  local first = assert(client:generate_text(messages, { tools = tools }))
  check(first.finish_reason == "tool_calls", "no tool call, but " .. first.finish_reason)
  local call = first.tool_calls[1]
  check(call.name == "get_weather", "called " .. call.name)
  check(llm.json.decode(call.arguments).city == "Porto", "arguments " .. call.arguments)
  messages[2] = first:message()
  messages[3] = { role = "tool", tool_call_id = call.id, content = "21 degrees" }
  local text = stream(client, messages)
  check(text == "It is 21 degrees in Porto.", text)
  local whole = assert(client:generate_text(messages, { tools = tools, stream = false }))
  check(whole.content == text, whole.content)
  check(whole.finish_reason == "stop", whole.finish_reason)
end

function tests.think(client)
  local response = assert(client:generate_text("Please think."))
  check(response.content == "42.", response.content)
  check(response.reasoning == "Six by seven.", tostring(response.reasoning))
end

function tests.fail(client)
  local response, err = client:generate_text("Are you busy?")
  check(response == nil and err.kind == "rate_limit", tostring(err or response))
end

function tests.embed(client)
  local found = assert(client:embed({ "one", "two" }, { model = "text-embedding-3-small" }))
  check(#found.embeddings == 2, #found.embeddings .. " embeddings")
  check(found.embeddings[2][2] == -0.5, "the vector is another")
end

local failed = 0
for _, speaker in ipairs(speakers) do
  local client = llm.client { provider = speaker[1], base_url = url .. speaker[2],
    model = speaker[3], api_key = "key", retry = false, timeout = 10 }
  for name in speaker[4]:gmatch("%a+") do
    local ok, problem = pcall(tests[name], client)
    print(("%s - aimock: %s, %s"):format(ok and "ok" or "not ok", speaker[1], name))
    if not ok then
      failed = failed + 1
      print("# " .. tostring(problem))
    end
  end
end
os.exit(failed == 0 and 0 or 1)
