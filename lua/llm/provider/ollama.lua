return {
  api = 1, name = "ollama", dialect = "ollama",
  base_url = "http://127.0.0.1:11434", base_url_env = "OLLAMA_BASE_URL",
  key_env = "OLLAMA_API_KEY", auth = { bearer = true }, -- on https://ollama.com
}
