-- The model is the name of the deployment; AZURE_OPENAI_ENDPOINT is https://NAME.openai.azure.com
return {
  api = 1, name = "azure", dialect = "openai_chat",
  base_url = "{endpoint}/openai/v1",
  variables = { endpoint = "AZURE_OPENAI_ENDPOINT" },
  key_env = "AZURE_OPENAI_API_KEY", auth = { header = "api-key" },
}
