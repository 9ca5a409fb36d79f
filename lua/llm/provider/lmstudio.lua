return {
  api = 1, name = "lmstudio", dialect = "openai_chat",
  base_url = "http://127.0.0.1:1234/v1", base_url_env = "LMSTUDIO_BASE_URL",
  key_env = "LMSTUDIO_API_KEY", auth = { bearer = true },
}
