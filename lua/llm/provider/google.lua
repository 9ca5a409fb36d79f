local penalties = { "presence_penalty", "frequency_penalty" }
return {
  api = 1, name = "google", dialect = "gemini",
  base_url = "https://generativelanguage.googleapis.com/v1beta", base_url_env = "GEMINI_BASE_URL",
  key_env = { "GOOGLE_AI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY" },
  auth = { header = "x-goog-api-key" },
  default_model = "gemini-3.5-flash",
  quirks = { models = {
    { "gemini%-2%.5%-pro", thinking = "budget", least = 128, refuses = penalties },
    { "gemini%-2%.5", thinking = "budget", refuses = penalties },
    { "gemini%-3.*%-pro", signed = true, own_temperature = true, least = "low" },
    { "gemini%-3%.[7-9]", signed = true, own_temperature = true, least = "low" },
    { "gemini%-3", signed = true, own_temperature = true },
    { "gemini%-[4-9]", signed = true, own_temperature = true, least = "low" },
    { "^gemma", no_system = true },
  } },
}
