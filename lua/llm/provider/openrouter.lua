return {
  api = 1, name = "openrouter", dialect = "openai_chat",
  base_url = "https://openrouter.ai/api/v1", base_url_env = "OPENROUTER_BASE_URL",
  key_env = "OPENROUTER_API_KEY", auth = { bearer = true },
  quirks = { echo_details = true, key_path = "/key" }, -- its list of models is open to all
}
