-- OpenAI by its newer protocol: the only one that carries reasoning through a tool loop.
return require("llm.provider").extend("openai", { dialect = "openai_responses" })
