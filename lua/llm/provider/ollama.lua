return {
  api = 1, name = "ollama", dialect = "openai_chat",
  base_url = "http://127.0.0.1:11434/v1", base_url_env = "OLLAMA_BASE_URL",
}
