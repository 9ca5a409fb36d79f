-- The region is AWS_REGION; the key is a Bedrock API key, else AWS_ACCESS_KEY_ID and the rest sign.
local sampling = { "temperature", "top_p" }
local effort = { output_config = { effort = "$effort" } }
local adaptive = { output_config = { effort = "$effort" }, thinking = { type = "adaptive" } }
local nova = { reasoningConfig = { type = "enabled", maxReasoningEffort = "$effort" } }
-- The first row that matches holds. effort: how a model is told; tool_status: of tool results.
local models = {
  { "anthropic%..*sonnet%-5$", refuses = sampling, effort = adaptive, tool_status = true },
  { "anthropic%..*opus%-4%-[78]", refuses = sampling, effort = adaptive, tool_status = true },
  { "anthropic%..*%-5", refuses = sampling, effort = effort, tool_status = true },
  { "anthropic%..*%-4%-6", effort = adaptive, tool_status = true },
  { "anthropic%.", tool_status = true }, { "amazon%.nova", effort = nova, tool_status = true },
  { "openai%.gpt%-oss", refuses = { "stop" }, effort = { reasoning_effort = "$effort" } },
  { "openai%.", refuses = { "stop", "temperature", "top_p" },
    effort = { reasoning = { effort = "$effort" } } },
}
return {
  api = 1, name = "bedrock", dialect = "bedrock_converse",
  base_url = "https://bedrock-runtime.{region}.amazonaws.com",
  base_url_env = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
  variables = { region = { "AWS_REGION", "AWS_DEFAULT_REGION" } },
  key_env = "AWS_BEARER_TOKEN_BEDROCK", auth = { bearer = true, sigv4 = "bedrock" },
  quirks = { models = models },
}
