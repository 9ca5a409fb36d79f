--- The installed scripts, as `llmrun NAME` finds them.
-- @module llm.scripts
return {
  "adapter-test",
  "batch",
  "bench",
  "chat",
  "compare",
  "cost",
  "count",
  "models",
  "prices",
  "sentiment",
  "summarize",
}
