return {
  api = 1, name = "together", dialect = "openai_chat",
  base_url = "https://api.together.ai/v1", base_url_env = "TOGETHER_BASE_URL",
  key_env = "TOGETHER_API_KEY", auth = { bearer = true },
}
