/* Binding of core/base64: bytes in messages, embeddings in replies. */
#include "../base64.h"

#include "core.h"

/* A scratch string for len bytes that the collector owns. */
static char *scratch(lua_State *L, size_t len) { return lua_newuserdatauv(L, len ? len : 1, 0); }

/* encode(bytes) -> text */
static int base64_encode(lua_State *L) {
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);
    size_t text_len = llm_base64_encoded(len);
    char *text = scratch(L, text_len);
    llm_base64_encode(bytes, len, text);
    lua_pushlstring(L, text, text_len);
    return 1;
}

/* decode(text) -> bytes | nil, message */
static int base64_decode(lua_State *L) {
    size_t len, written;
    const char *text = luaL_checklstring(L, 1, &len);
    char *bytes = scratch(L, llm_base64_decoded(len));
    if (llm_base64_decode(text, len, bytes, &written) == 0) {
        lua_pushlstring(L, bytes, written);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "not base64");
    return 2;
}

int llm_lua_base64(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"encode", base64_encode},
        {"decode", base64_decode},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
