local anthropic = require "llm.provider.anthropic"
-- Claude on Google's Vertex AI; the key is a token, as `gcloud auth print-access-token` prints it.
return {
  api = 1, name = "vertex_anthropic", dialect = "anthropic_messages",
  base_url = "https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/" ..
    "{location}",
  base_url_env = "ANTHROPIC_VERTEX_BASE_URL", key_env = "VERTEX_ACCESS_TOKEN",
  auth = { bearer = true }, default_model = "claude-haiku-5-5",
  variables = { project = { "ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT" },
    location = { "CLOUD_ML_REGION", "GOOGLE_CLOUD_LOCATION" } },
  quirks = {
    path = "/publishers/anthropic/models/{model}:rawPredict",
    count_path = "/publishers/anthropic/models/count-tokens:rawPredict",
    stream_path = "/publishers/anthropic/models/{model}:streamRawPredict",
    body = { anthropic_version = "vertex-2023-10-16" }, models = anthropic.quirks.models,
  },
}
