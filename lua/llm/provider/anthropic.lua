local sampling = { "temperature", "top_p" }
-- What each generation of models takes; the first row that matches holds.
local models = {
  { "opus%-5%-5", refuses = sampling, cannot_stop = true, free_tools = true },
  { "fable%-5%-[12]", refuses = sampling, cannot_stop = true, free_tools = true },
  { "sonnet%-5%-5", refuses = sampling, cannot_stop = true, free_tools = true },
  { "fable%-5", refuses = sampling, cannot_stop = true }, { "%-5%-5", refuses = sampling },
  { "opus%-5", refuses = sampling }, { "sonnet%-5", refuses = sampling, thinking = "adaptive" },
  { "opus%-4%-[78]", refuses = sampling, thinking = "adaptive" },
  { "%-4%-6", thinking = "adaptive" }, { "", thinking = "budget" },
}
return {
  api = 1, name = "anthropic", dialect = "anthropic_messages", batches = "anthropic_batches",
  base_url = "https://api.anthropic.com", base_url_env = "ANTHROPIC_BASE_URL",
  key_env = "ANTHROPIC_API_KEY", auth = { header = "x-api-key" },
  headers = { ["anthropic-version"] = "2023-06-01" }, default_model = "claude-haiku-5-5",
  quirks = { max_tokens = 4096, models = models },
}
