/* llmrun: the runtime for language models as a Lua library, for programs that host Lua.
 *
 *     lua_State *L = luaL_newstate();
 *     luaL_openlibs(L);
 *     llm_open(L);                       // from now on scripts may say: local llm = require "llm"
 *
 * One lua_State is used by one thread at a time, as always; several states in several threads are
 * independent of each other. Nothing here calls back into Lua. */
#ifndef LLMRUN_H
#define LLMRUN_H

struct lua_State;

/* Puts every module of the library (llm, llm.core, llm.client, …) into package.preload, so that
 * require finds them without any file. Leaves the stack as it was. Returns 0; raises a Lua error
 * only when memory is out. */
int llm_open(struct lua_State *L);

/* Opens the C core alone; what require "llm.core" calls. Leaves one table on the stack. */
int luaopen_llm_core(struct lua_State *L);

#endif
