return {
  api = 1, name = "openai", dialect = "openai_chat", batches = "openai_batches",
  base_url = "https://api.openai.com/v1", base_url_env = "OPENAI_BASE_URL",
  key_env = "OPENAI_API_KEY", auth = { bearer = true },
  default_model = "gpt-5-mini",
  quirks = {
    max_tokens_field = "max_completion_tokens", embed_encoding = "base64", embed_batch = 2048,
    models = {
      { "^gpt%-%d[%w.]*%-chat" },
      { "^o%d", reasoning = true },
      { "^gpt%-[5-9]", reasoning = true },
      { "gpt%-[34]" },
    },
  },
}
