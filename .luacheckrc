std = "min"
max_line_length = 100
files["spec"] = { std = "min+busted" }
files["scripts"] = { std = "lua54", globals = { "llm" } }
files["tests"] = { std = "max" }
exclude_files = { "build*", "node_modules" }
