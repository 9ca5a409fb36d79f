--- The installed scripts, as `llmrun NAME` finds them.
-- @module llm.scripts
return { "batch", "chat", "cost", "count", "models", "prices", "sentiment", "summarize" }
