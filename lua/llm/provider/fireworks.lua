return {
  api = 1, name = "fireworks", dialect = "openai_chat",
  base_url = "https://api.fireworks.ai/inference/v1", base_url_env = "FIREWORKS_BASE_URL",
  key_env = "FIREWORKS_API_KEY", auth = { bearer = true },
}
