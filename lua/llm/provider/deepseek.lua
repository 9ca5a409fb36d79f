return {
  api = 1, name = "deepseek", dialect = "openai_chat",
  base_url = "https://api.deepseek.com", base_url_env = "DEEPSEEK_BASE_URL",
  key_env = "DEEPSEEK_API_KEY", auth = { bearer = true },
  default_model = "deepseek-flash",
  quirks = { echo_reasoning = true, refuses = { "seed", "logit_bias" } },
}
