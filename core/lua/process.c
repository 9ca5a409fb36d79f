/* Binding of core/process: children and the parent as pull objects. A child keeps its loop alive
 * through its operation. */
#include <string.h>

#include "core.h"
#include "process.h"

extern char **environ;

static const char process_class[] = "llm.child";

/* The text at the top of the stack, which stays alive in the table at keep. */
static char *keep_text(lua_State *L, int keep, const char *what) {
    size_t len;
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "%s must be a string", what);
    const char *text = lua_tolstring(L, -1, &len);
    if (strlen(text) != len) luaL_error(L, "%s holds a zero byte", what);
    lua_rawseti(L, keep, (int)lua_rawlen(L, keep) + 1);
    return (char *)text;
}

/* A NULL-terminated array of room pointers, left on the stack. */
static char **new_array(lua_State *L, size_t room) {
    char **array = lua_newuserdatauv(L, (room + 1) * sizeof *array, 0);
    memset(array, 0, (room + 1) * sizeof *array);
    return array;
}

static char **read_words(lua_State *L, int index, int keep) {
    luaL_checktype(L, index, LUA_TTABLE);
    size_t count = lua_rawlen(L, index);
    char **array = new_array(L, count);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        array[i] = keep_text(L, keep, "each word of the command");
    }
    return array;
}

/* The member env: every variable of the child. */
static char **read_environment(lua_State *L, int index, int keep) {
    lua_getfield(L, index, "env");
    if (!lua_istable(L, -1)) luaL_error(L, "env must be a table");
    int env = lua_gettop(L);
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, env); lua_pop(L, 1)) count++;
    char **array = new_array(L, count);
    lua_pushnil(L);
    for (size_t i = 0; lua_next(L, env); i++) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) {
            luaL_error(L, "names and values of env must be strings");
        }
        lua_pushvalue(L, -2);
        lua_pushliteral(L, "=");
        lua_pushvalue(L, -3);
        lua_concat(L, 3);
        array[i] = keep_text(L, keep, "each variable of env");
        lua_pop(L, 1);
    }
    return array;
}

/* start(loop, {program, word …}, {env=, cwd=, stderr = "capture"}) -> child | nil, message.  env is
 * the whole environment; without stderr the child has ours. */
static int process_start(lua_State *L) {
    llm_loop *loop = llm_lua_check_loop(L, 1);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    lua_newtable(L);
    const char *errors = llm_lua_string(L, 3, "stderr", "inherit");
    llm_process_setup setup = {
        .argv = read_words(L, 2, 4),
        .envp = read_environment(L, 3, 4),
        .cwd = llm_lua_string(L, 3, "cwd", NULL),
        .capture_stderr = strcmp(errors, "capture") == 0,
    };
    llm_err err;
    void **slot = llm_lua_box(L, process_class, 0);
    *slot = llm_process_start(loop, &setup, &err);
    return *slot ? 1 : llm_lua_failure(L, &err);
}

/* parent(loop) -> what started us, as if it were a child of ours | nil, message */
static int process_parent(lua_State *L) {
    llm_err err;
    llm_loop *loop = llm_lua_check_loop(L, 1);
    void **slot = llm_lua_box(L, process_class, 0);
    *slot = llm_process_parent(loop, &err);
    return *slot ? 1 : llm_lua_failure(L, &err);
}

/* environment() -> {NAME = value} */
static int process_environment(lua_State *L) {
    lua_newtable(L);
    for (char **at = environ; at && *at; at++) {
        const char *equals = strchr(*at, '=');
        if (!equals) continue;
        lua_pushlstring(L, *at, (size_t)(equals - *at));
        lua_pushstring(L, equals + 1);
        lua_rawset(L, -3);
    }
    return 1;
}

static int child_close(lua_State *L) {
    llm_process **slot = luaL_checkudata(L, 1, process_class);
    llm_process *p = *slot;
    *slot = NULL;
    llm_process_cancel(p);
    return 0;
}

static int child_id(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)llm_process_op(llm_lua_self(L))->id);
    return 1;
}

static int child_pid(lua_State *L) {
    lua_pushinteger(L, llm_process_pid(llm_lua_self(L)));
    return 1;
}

/* wake_at(seconds of the clock): whoever waits for the child looks again then */
static int child_wake_at(lua_State *L) {
    llm_process *p = llm_lua_self(L);
    double seconds = luaL_checknumber(L, 2);
    bool is_far = !(seconds < 1e9);
    llm_op_due(llm_process_op(p), is_far ? LLM_NEVER : seconds < 0 ? 0 : (uint64_t)(seconds * 1e9));
    return 0;
}

/* read(["stderr"]) -> bytes, "" when none are there yet | nil after the last */
static int child_read(lua_State *L) {
    char bytes[32768];
    size_t len = 0;
    llm_process *p = llm_lua_self(L);
    bool is_errors = strcmp(luaL_optstring(L, 2, "stdout"), "stderr") == 0;
    int rc = llm_process_read(p, is_errors ? LLM_STDERR : LLM_STDOUT, bytes, sizeof bytes, &len);
    if (rc < 0) return 0;
    lua_pushlstring(L, bytes, len);
    return 1;
}

/* write(bytes[, from]) -> how many of them, from the given one on, were taken | nil, message */
static int child_write(lua_State *L) {
    size_t len, taken;
    llm_process *p = llm_lua_self(L);
    const char *bytes = luaL_checklstring(L, 2, &len);
    size_t from = (size_t)luaL_optinteger(L, 3, 1) - 1;
    if (from > len) luaL_argerror(L, 3, "beyond the end");
    if (llm_process_write(p, bytes + from, len - from, &taken)) {
        lua_pushnil(L);
        lua_pushliteral(L, "the process reads no more");
        return 2;
    }
    lua_pushinteger(L, (lua_Integer)taken);
    return 1;
}

static int child_finish(lua_State *L) {
    llm_process_finish(llm_lua_self(L));
    return 0;
}

/* status() -> nil while it runs | "exit", code | "signal", number | "lost": nobody knows the code */
static int child_status(lua_State *L) {
    static const char *const names[] = {NULL, "exit", "signal", "lost"};
    int number;
    llm_process_state state = llm_process_status(llm_lua_self(L), &number);
    if (state == LLM_RUNNING) return 0;
    lua_pushstring(L, names[state]);
    lua_pushinteger(L, number);
    return 2;
}

/* kill(signal): sends it to the child and its own children */
static int child_kill(lua_State *L) {
    llm_process *p = llm_lua_self(L);
    llm_process_kill(p, (int)luaL_checkinteger(L, 2));
    return 0;
}

int llm_lua_process(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"id", child_id},
        {"pid", child_pid},
        {"wake_at", child_wake_at},
        {"read", child_read},
        {"write", child_write},
        {"finish", child_finish},
        {"status", child_status},
        {"kill", child_kill},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"start", process_start},
        {"parent", process_parent},
        {"environment", process_environment},
        {NULL, NULL},
    };
    llm_lua_class(L, process_class, methods, child_close);
    luaL_newlib(L, functions);
    return 1;
}
