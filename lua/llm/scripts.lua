--- The installed scripts, as `llmrun NAME` finds them.
-- @module llm.scripts
return {
  "adapter-test",
  "batch",
  "bench",
  "chat",
  "classify",
  "code",
  "compare",
  "cost",
  "count",
  "describe-task",
  "embed",
  "extract",
  "mcp",
  "models",
  "prices",
  "rewrite",
  "sentiment",
  "summarize",
  "translate",
}
