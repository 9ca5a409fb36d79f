-- Gemini on Google's Vertex AI; the key is a token, as `gcloud auth print-access-token` prints it.
-- For the location "global" give base_url: its host is aiplatform.googleapis.com.
return {
  api = 1, name = "vertex", dialect = "gemini",
  base_url = "https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/" ..
    "{location}/publishers/google",
  base_url_env = "GOOGLE_VERTEX_BASE_URL", key_env = "VERTEX_ACCESS_TOKEN",
  variables = { project = "GOOGLE_CLOUD_PROJECT", location = "GOOGLE_CLOUD_LOCATION" },
  auth = { bearer = true }, default_model = "gemini-3.5-flash",
  quirks = {
    is_vertex = true, embed_batch = 1, refuses = { "service_tier" },
    models = require("llm.provider.google").quirks.models,
  },
}
