return {
  api = 1, name = "groq", dialect = "openai_chat",
  base_url = "https://api.groq.com/openai/v1", base_url_env = "GROQ_BASE_URL",
  key_env = "GROQ_API_KEY", auth = { bearer = true },
  quirks = {
    max_tokens_field = "max_completion_tokens",
    refuses = { "logprobs", "top_logprobs", "logit_bias" },
  },
}
