return {
  api = 1, name = "xai", dialect = "openai_chat",
  base_url = "https://api.x.ai/v1", base_url_env = "XAI_BASE_URL",
  key_env = "XAI_API_KEY", auth = { bearer = true },
  default_model = "grok-latest",
  quirks = {
    max_tokens_field = "max_completion_tokens", reasoning_apart = true,
    refuses = { "presence_penalty", "frequency_penalty", "stop" },
    models = { { "^grok%-4%.20", refuses = { "reasoning_effort" } } },
  },
}
