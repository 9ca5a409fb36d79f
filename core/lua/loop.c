/* Binding of core/loop: the event loop and timers. Lua owns the loop; operations are told apart by
 * their id, an integer that never comes twice in one loop. */
#include <stdlib.h>

#include "core.h"

static const char loop_class[] = "llm.loop";
static const char timer_class[] = "llm.timer";

static uint64_t to_ns(lua_State *L, int index) {
    if (lua_isnoneornil(L, index)) return LLM_NEVER;
    double seconds = luaL_checknumber(L, index);
    if (!(seconds >= 0)) luaL_argerror(L, index, "seconds must not be negative");
    return seconds > 1e9 ? LLM_NEVER : (uint64_t)(seconds * 1e9);
}

llm_loop *llm_lua_check_loop(lua_State *L, int index) {
    return llm_lua_unbox(L, index, loop_class);
}

static int loop_new(lua_State *L) {
    llm_err err;
    void **slot = llm_lua_box(L, loop_class, 0);
    *slot = llm_loop_new(&err);
    return *slot ? 1 : llm_lua_failure(L, &err);
}

static int loop_close(lua_State *L) {
    llm_loop **slot = luaL_checkudata(L, 1, loop_class);
    llm_loop_free(*slot);
    *slot = NULL;
    return 0;
}

static int push_next(lua_State *L, llm_loop *loop) {
    uint64_t id = llm_loop_next(loop);
    if (!id) return 0;
    lua_pushinteger(L, (lua_Integer)id);
    return 1;
}

/* step([seconds]) -> id of an operation that is ready | nil | nil, message.  Waits at most so long;
 * runs no Lua. */
static int loop_step(lua_State *L) {
    llm_err err;
    llm_loop *loop = llm_lua_self(L);
    if (llm_loop_step(loop, to_ns(L, 2), &err)) return llm_lua_failure(L, &err);
    return push_next(L, loop);
}

/* next() -> id of another operation that is ready | nil */
static int loop_next(lua_State *L) { return push_next(L, llm_lua_self(L)); }

static int loop_live(lua_State *L) {
    lua_pushinteger(L, llm_loop_live(llm_lua_self(L)));
    return 1;
}

/* pollfd() -> descriptor | nil where the system offers none */
static int loop_pollfd(lua_State *L) {
    int fd = llm_loop_pollfd(llm_lua_self(L));
    if (fd < 0) return 0;
    lua_pushinteger(L, fd);
    return 1;
}

/* timeout() -> seconds until a step is due | nil: only descriptors are waited for */
static int loop_timeout(lua_State *L) {
    uint64_t ns = llm_loop_timeout(llm_lua_self(L));
    if (ns == LLM_NEVER) return 0;
    lua_pushnumber(L, (double)ns / 1e9);
    return 1;
}

/* clock() -> seconds of the monotonic clock */
static int loop_clock(lua_State *L) {
    lua_pushnumber(L, (double)llm_clock_ns() / 1e9);
    return 1;
}

/* timer(seconds) -> timer, id */
static int loop_timer(lua_State *L) {
    llm_loop *loop = llm_lua_self(L);
    uint64_t ns = to_ns(L, 2);
    void **slot = llm_lua_box(L, timer_class, 0);
    llm_op *op = malloc(sizeof *op);
    if (!op || llm_op_init(op, loop, llm_op_ready)) {
        free(op);
        return luaL_error(L, "out of memory");
    }
    *slot = op;
    if (ns != LLM_NEVER) llm_op_due(op, llm_clock_ns() + ns);
    lua_pushinteger(L, (lua_Integer)op->id);
    return 2;
}

static int timer_ready(lua_State *L) {
    llm_op *op = llm_lua_self(L);
    lua_pushboolean(L, op->ready);
    return 1;
}

static int timer_close(lua_State *L) {
    llm_op **slot = luaL_checkudata(L, 1, timer_class);
    llm_op *op = *slot;
    *slot = NULL;
    if (!op) return 0;
    llm_op_clear(op);
    free(op);
    return 0;
}

int llm_lua_loop(lua_State *L) {
    static const luaL_Reg loop_methods[] = {
        {"step", loop_step},
        {"next", loop_next},
        {"live", loop_live},
        {"pollfd", loop_pollfd},
        {"timeout", loop_timeout},
        {"timer", loop_timer},
        {NULL, NULL},
    };
    static const luaL_Reg timer_methods[] = {{"ready", timer_ready}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", loop_new}, {"clock", loop_clock}, {NULL, NULL}};
    llm_lua_class(L, loop_class, loop_methods, loop_close);
    llm_lua_class(L, timer_class, timer_methods, timer_close);
    luaL_newlib(L, functions);
    return 1;
}
