/* llm.core.regex: new(pattern) -> regex | nil, message; regex:matches(text). */
#include "../regex.h"

#include "core.h"

static const char class_name[] = "llm.regex";

static int destroy(lua_State *L) {
    void **slot = luaL_checkudata(L, 1, class_name);
    llm_regex_free(*slot);
    *slot = NULL;
    return 0;
}

/* new(pattern) -> regex | nil, message */
static int regex_new(lua_State *L) {
    size_t len;
    const char *pattern = luaL_checklstring(L, 1, &len);
    void **slot = llm_lua_box(L, class_name, 0);
    llm_err err;
    *slot = llm_regex_new(pattern, len, &err);
    return *slot ? 1 : llm_lua_failure(L, &err);
}

/* r:matches(text) -> boolean | nil, message */
static int regex_matches(lua_State *L) {
    llm_regex *regex = llm_lua_self(L);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    llm_err err;
    int rc = llm_regex_matches(regex, text, len, &err);
    if (rc < 0) return llm_lua_failure(L, &err);
    lua_pushboolean(L, rc);
    return 1;
}

int llm_lua_regex(lua_State *L) {
    static const luaL_Reg methods[] = {{"matches", regex_matches}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", regex_new}, {NULL, NULL}};
    llm_lua_class(L, class_name, methods, destroy);
    luaL_newlib(L, functions);
    return 1;
}
