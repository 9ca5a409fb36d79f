rockspec_format = "3.0"
package = "llmrun"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "Talk to language models from Lua: streaming, retries, tokens and costs",
  license = "MIT",
}
dependencies = { "lua >= 5.1, < 5.5" }
external_dependencies = { CURL = { library = "curl" } }
build = {
  type = "cmake",
  variables = {
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    LLM_LUA = "none",
    LUA_INCDIR = "$(LUA_INCDIR)",
    LIBDIR = "$(LIBDIR)",
    LUADIR = "$(LUADIR)",
  },
}
test = { type = "busted" }
