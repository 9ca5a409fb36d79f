/* What the binding files share: each pushes one table of functions; the loop is passed around. */
#ifndef LLM_LUA_CORE_H
#define LLM_LUA_CORE_H

#include "compat.h"
#include "error.h"
#include "loop.h"
#include "skim.h"

/* Every one of them pushes one table. */
int llm_lua_base64(lua_State *L);
int llm_lua_framer(lua_State *L);
int llm_lua_histogram(lua_State *L);
int llm_lua_http(lua_State *L);
int llm_lua_json(lua_State *L);
int llm_lua_loop(lua_State *L);
int llm_lua_prices(lua_State *L);
int llm_lua_process(lua_State *L);
int llm_lua_regex(lua_State *L);
int llm_lua_server(lua_State *L);
int llm_lua_sigv4(lua_State *L);
int llm_lua_sqlite(lua_State *L);
int llm_lua_system(lua_State *L);
int llm_lua_tokenizer(lua_State *L);

/* The open loop at index, else an error is raised. */
llm_loop *llm_lua_check_loop(lua_State *L, int index);

/* Makes the metatable name: methods, __index to itself, the destructor as __gc, __close and close.
 * Every method has the metatable as its upvalue, for llm_lua_self. Leaves the stack as it was. */
void llm_lua_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction destroy);

/* A new userdata of the class that owns *slot, which is NULL until the caller fills it, and that
 * keeps the value at keep (an index, 0 for none) alive. */
void **llm_lua_box(lua_State *L, const char *class_name, int keep);
/* What the box at index owns; an error is raised when it is closed or of another class. */
void *llm_lua_unbox(lua_State *L, int index, const char *class_name);

/* The same for the object whose method runs, without a lookup by name: for what is called often. */
void *llm_lua_self(lua_State *L);

/* Pushes nil and the text of err; returns 2. */
int llm_lua_failure(lua_State *L, const llm_err *err);

/* Members of the options table at index; an absent one is the given default. A wrong type raises. */
double llm_lua_number(lua_State *L, int index, const char *key, double otherwise);
const char *llm_lua_string(lua_State *L, int index, const char *key, const char *otherwise);

#endif
