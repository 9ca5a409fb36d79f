--- Parameters that a provider or a model does not take: named, or dropped when that is asked for.
local log = require "llm.log"
local providers = require "llm.provider"

-- provider, model, parameter, value
local cases = {
  { "openai", "gpt-6-sol", "temperature", 0.2 },
  { "openai", "o3", "stop", "END" },
  { "openai", "gpt-5-mini", "logit_bias", { ["1"] = 2 } },
  { "openai_responses", "gpt-5.6", "temperature", 0.2 },
  { "openai_responses", "gpt-4.1", "seed", 1 },
  { "openai_responses", "gpt-4.1", "stop", "END" },
  { "anthropic", "claude-opus-5-5", "temperature", 0.2 },
  { "anthropic", "claude-sonnet-4-5", "seed", 1 },
  { "anthropic", "claude-sonnet-4-5", "logit_bias", { ["1"] = 2 } },
  { "vertex_anthropic", "claude-opus-5-5", "top_p", 0.2 },
  { "google", "gemini-3.5-flash", "logit_bias", { ["1"] = 2 } },
  { "google", "gemini-2.5-pro", "presence_penalty", 0.5 },
  { "vertex", "gemini-3.5-flash", "service_tier", "flex" },
  { "ollama", "qwen3:8b", "logit_bias", { ["1"] = 2 } },
  { "ollama", "qwen3:8b", "tool_choice", "required" },
  { "bedrock", "openai.gpt-oss-120b-1:0", "stop", "END" },
  { "bedrock", "anthropic.claude-opus-5-5-v1:0", "temperature", 0.2 },
  { "bedrock", "amazon.nova-lite-v1:0", "seed", 1 },
  { "mistral", "mistral-small-latest", "logit_bias", { ["1"] = 2 } },
}

local function encode(case, value, fields)
  local provider = assert(providers.find(case[1]))
  local request = { model = case[2], messages = { { role = "user", content = "Hi" } },
    tools = { { name = "t", parameters = { type = "object", properties = {} } } },
    stream = true, defaulted = {}, max_tokens = 20000, [case[3]] = value }
  for name, field in pairs(fields or {}) do request[name] = field end
  return provider.dialect.encode_request(request, provider)
end

describe("a parameter that is not taken", function()
  after_each(function() log.configure("warn") end)

  for _, case in ipairs(cases) do
    it(("is named by %s: %s of %s"):format(case[1], case[3], case[2]), function()
      local wire, problem = encode(case, case[4])
      assert.is_nil(wire)
      assert.matches(case[3], problem)
      assert.matches("unsupported = \"drop\"", problem, 1, true)
    end)

    it(("is dropped with a warning by %s: %s of %s"):format(case[1], case[3], case[2]), function()
      local lines = {}
      log.configure("warn", function(_, _, line) lines[#lines + 1] = line end)
      local model = case[2] .. "-unheard-of" -- a warning is given once
      local wire = assert(encode(case, case[4], { unsupported = "drop", model = model }))
      assert.equal(1, #lines)
      assert.matches(case[3], lines[1])
      assert.same(assert(encode(case, nil, { model = model })), wire)
    end)

    it(("is left out by %s when nobody chose it: %s of %s"):format(case[1], case[3], case[2]),
      function()
        local wire = assert(encode(case, case[4], { defaulted = { [case[3]] = true } }))
        assert.same(assert(encode(case, nil)), wire)
      end)
  end
end)

local chosen = {
  temperature = 0.2, top_p = 0.5, max_tokens = 77, stop = "END", seed = 3, presence_penalty = 0.5,
  frequency_penalty = 0.5, logprobs = true, top_logprobs = 2, logit_bias = { ["1"] = 2 },
  parallel_tool_calls = false, response_schema = { type = "object", properties = {} },
  reasoning_effort = "high", user = "u", metadata = { a = "b" }, prompt_cache_key = "k",
  service_tier = "flex", tool_choice = "none",
}

local models = {
  openai = "gpt-4o", openai_responses = "gpt-4o", anthropic = "claude-sonnet-4-5",
  vertex_anthropic = "claude-sonnet-4-5", google = "gemini-3.5-flash", vertex = "gemini-3.5-flash",
  ollama = "qwen3:8b", bedrock = "amazon.nova-lite-v1:0", mistral = "mistral-small-latest",
  deepseek = "deepseek-v4-pro", groq = "openai/gpt-oss-120b", xai = "grok-4.7",
}

describe("no parameter is lost in silence", function()
  for provider, model in pairs(models) do
    it("by " .. provider, function()
      for name, value in pairs(chosen) do
        local case = { provider, model, name }
        local wire, problem = encode(case, value)
        if wire then
          local ok = pcall(assert.not_same, assert(encode(case, nil)).body, wire.body)
          assert.is_true(ok, name .. " makes no difference to " .. provider)
        else
          assert.matches(name, problem)
        end
      end
    end)
  end
end)
