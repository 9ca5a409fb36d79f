/* llm.core: the table of all bindings, and the few helpers that they share. */
#include "core.h"

#include <math.h>

void llm_lua_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction destroy) {
    if (luaL_newmetatable(L, name)) {
        lua_pushvalue(L, -1);
        luaL_setfuncs(L, methods, 1);
        lua_pushvalue(L, -1);
        lua_setfield(L, -2, "__index");
        static const char *const names[] = {"__gc", "__close", "close"};
        for (int i = 0; i < 3; i++) {
            lua_pushcfunction(L, destroy);
            lua_setfield(L, -2, names[i]);
        }
    }
    lua_pop(L, 1);
}

void **llm_lua_box(lua_State *L, const char *class_name, int keep) {
    if (keep) keep = lua_absindex(L, keep);
    void **slot = lua_newuserdatauv(L, sizeof *slot, 1);
    *slot = NULL;
    luaL_getmetatable(L, class_name);
    lua_setmetatable(L, -2);
    if (keep) {
        lua_pushvalue(L, keep);
        llm_lua_setkeep(L, -2);
    }
    return slot;
}

void *llm_lua_unbox(lua_State *L, int index, const char *class_name) {
    void **slot = luaL_checkudata(L, index, class_name);
    if (!*slot) luaL_error(L, "this %s is closed", class_name);
    return *slot;
}

void *llm_lua_self(lua_State *L) {
    void **slot = lua_touserdata(L, 1);
    bool is_ours = slot && lua_getmetatable(L, 1) && lua_rawequal(L, -1, lua_upvalueindex(1));
    if (!is_ours) luaL_argerror(L, 1, "expected the object of this method");
    if (!*slot) luaL_error(L, "this object is closed");
    lua_pop(L, 1);
    return *slot;
}

int llm_lua_failure(lua_State *L, const llm_err *err) {
    lua_pushnil(L);
    lua_pushstring(L, err->msg);
    return 2;
}

double llm_lua_number(lua_State *L, int index, const char *key, double otherwise) {
    lua_getfield(L, index, key);
    double value = otherwise;
    if (!lua_isnil(L, -1)) {
        if (lua_type(L, -1) != LUA_TNUMBER) luaL_error(L, "%s must be a number", key);
        value = lua_tonumber(L, -1);
        if (isnan(value) || value < 0) luaL_error(L, "%s must not be negative", key);
    }
    lua_pop(L, 1);
    return value;
}

const char *llm_lua_string(lua_State *L, int index, const char *key, const char *otherwise) {
    lua_getfield(L, index, key);
    const char *value = otherwise;
    if (!lua_isnil(L, -1)) {
        if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "%s must be a string", key);
        value = lua_tostring(L, -1); /* the table keeps it alive */
    }
    lua_pop(L, 1);
    return value;
}

__attribute__((visibility("default"))) int luaopen_llm_core(lua_State *L);

int luaopen_llm_core(lua_State *L) {
#if LUA_VERSION_NUM >= 504
    luaL_checkversion(L);
#endif
    static const struct {
        const char *name;
        int (*open)(lua_State *L);
    } modules[] = {
        {"base64", llm_lua_base64},
        {"framer", llm_lua_framer},
        {"histogram", llm_lua_histogram},
        {"http", llm_lua_http},
        {"json", llm_lua_json},
        {"loop", llm_lua_loop},
        {"prices", llm_lua_prices},
        {"process", llm_lua_process},
        {"regex", llm_lua_regex},
        {"server", llm_lua_server},
        {"sigv4", llm_lua_sigv4},
        {"sqlite", llm_lua_sqlite},
        {"system", llm_lua_system},
        {"tokenizer", llm_lua_tokenizer},
    };
    lua_newtable(L);
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        modules[i].open(L);
        lua_setfield(L, -2, modules[i].name);
    }
    lua_pushliteral(L, LLM_VERSION);
    lua_setfield(L, -2, "version");
    return 1;
}
