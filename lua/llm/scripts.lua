--- The installed scripts, as `llmrun NAME` finds them.
-- @module llm.scripts
return { "batch", "chat", "sentiment", "summarize" }
