-- The built-in mock as recordings know it: nothing listens here, llm.mock brings its own address.
return {
  api = 1, name = "mock", dialect = "openai_chat", base_url = "http://127.0.0.1:9/v1",
  default_model = "mock",
}
