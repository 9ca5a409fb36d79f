return {
  api = 1, name = "mistral", dialect = "openai_chat",
  base_url = "https://api.mistral.ai/v1", base_url_env = "MISTRAL_BASE_URL",
  key_env = "MISTRAL_API_KEY", auth = { bearer = true },
  default_model = "mistral-small-latest",
  quirks = {
    seed_field = "random_seed", no_stream_options = true, tool_id_length = 9, echo_thinking = true,
    refuses = { "logit_bias" }, dimensions_field = "output_dimension",
  },
}
