/* open: makes the carried Lua files visible to require, through one searcher. A searcher only loads
 * a chunk; it is require that runs it. */
#include <string.h>

#include "core.h"
#include "embedded.h"
#include "llmrun.h"

static const llm_embedded *find(const char *name) {
    int low = 0, high = llm_embedded_count - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        int order = strcmp(name, llm_embedded_chunks[middle].name);
        if (order == 0) return &llm_embedded_chunks[middle];
        if (order < 0) high = middle - 1;
        if (order > 0) low = middle + 1;
    }
    return NULL;
}

static int search(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    if (strcmp(name, "llm.core") == 0) {
        lua_pushcfunction(L, luaopen_llm_core);
        return 1;
    }
    const llm_embedded *chunk = find(name);
    if (!chunk) {
        lua_pushfstring(L, "\n\tnothing named '%s' is built in", name);
        return 1;
    }
    const char *bytes = (const char *)chunk->bytes;
    if (luaL_loadbufferx(L, bytes, chunk->len, name, "b") != LUA_OK) return lua_error(L);
    lua_pushstring(L, "built in");
    return 2;
}

int llm_open(lua_State *L) {
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, "searchers");
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i >= 2; i--) { /* second: after preload */
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushcfunction(L, search);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 2);
    return 0;
}
