/* compat: the Lua 5.4 C API names that 5.3 and LuaJIT lack, nothing more.
 * Law: core never calls Lua, so what calls or resumes a function is not here or anywhere. */
#ifndef LLM_LUA_COMPAT_H
#define LLM_LUA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <math.h>

#if LUA_VERSION_NUM < 504
#define lua_newuserdatauv(L, size, values) lua_newuserdata(L, size)
#endif

#if LUA_VERSION_NUM < 503
#define lua_rawlen lua_objlen
#ifndef LUA_OK
#define LUA_OK 0
#endif
static inline int lua_absindex(lua_State *L, int index) {
    return index > 0 || index <= LUA_REGISTRYINDEX ? index : lua_gettop(L) + index + 1;
}
/* True for numbers that hold an integer exactly: LuaJIT numbers are doubles. */
static inline int lua_isinteger(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TNUMBER) return 0;
    lua_Number n = lua_tonumber(L, index);
    return n == floor(n) && fabs(n) <= 9007199254740992.0;
}
#endif

/* Pops a value and keeps it alive as long as the userdata at index lives. */
static inline void llm_lua_setkeep(lua_State *L, int index) {
#if LUA_VERSION_NUM >= 504
    lua_setiuservalue(L, index, 1);
#elif LUA_VERSION_NUM == 503
    lua_setuservalue(L, index);
#else
    index = lua_absindex(L, index);
    lua_createtable(L, 1, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, index);
#endif
}

/* Pushes what llm_lua_setkeep keeps. Allocates nothing, raises nothing. */
static inline void llm_lua_pushkeep(lua_State *L, int index) {
#if LUA_VERSION_NUM >= 504
    lua_getiuservalue(L, index, 1);
#elif LUA_VERSION_NUM == 503
    lua_getuservalue(L, index);
#else
    lua_getfenv(L, index);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
#endif
}

#if LUA_VERSION_NUM < 502
/* With upvalues, which luaL_register does not know. */
static inline void llm_lua_setfuncs(lua_State *L, const luaL_Reg *functions, int upvalues) {
    for (; functions->name; functions++) {
        for (int i = 0; i < upvalues; i++) lua_pushvalue(L, -upvalues);
        lua_pushcclosure(L, functions->func, upvalues);
        lua_setfield(L, -upvalues - 2, functions->name);
    }
    lua_pop(L, upvalues);
}
#undef luaL_setfuncs
#define luaL_setfuncs llm_lua_setfuncs
#undef luaL_newlib
#define luaL_newlib(L, functions) (lua_newtable(L), llm_lua_setfuncs(L, functions, 0))
#endif

#endif
