return {
  api = 1, name = "llamacpp", dialect = "openai_chat",
  base_url = "http://127.0.0.1:9931/v1", base_url_env = "LLAMA_BASE_URL",
  key_env = "LLAMA_API_KEY", auth = { bearer = true },
}
