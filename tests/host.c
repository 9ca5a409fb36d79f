/* A program that hosts Lua and carries llm inside: no file of the library is on any path. */
#include <stdio.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "llmrun.h"

static const char script[] = "package.path, package.cpath = '', ''\n"
                             "local llm = require 'llm'\n"
                             "local mock = llm.mock { function() return 'hello from inside' end }\n"
                             "local client = llm.client { provider = mock.provider }\n"
                             "local answer = assert(client:generate_text('hi')).content\n"
                             "mock:close()\n"
                             "assert(answer == 'hello from inside' and llm.live() == 0)\n"
                             "print(answer)\n";

int main(void) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    llm_open(L);
    int failed = luaL_dostring(L, script);
    if (failed) fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_close(L);
    return failed;
}
