/* Binding of core/server: requests as pull objects. A server keeps its loop alive, a request its
 * server; they may be closed in any order. */
#include "server.h"
#include "core.h"
#include "http.h"

static const char server_class[] = "llm.server";
static const char request_class[] = "llm.server_request";

static double number_up_to(lua_State *L, const char *key, double most) {
    double value = llm_lua_number(L, 2, key, 0);
    if (value > most) luaL_error(L, "%s is too large", key);
    return value;
}

/* listen(loop, {host=, port=, max_body_bytes=}) -> server | nil, message.  Without a host only
 * this machine is served; without a port any free one is taken. */
static int server_listen(lua_State *L) {
    llm_loop *loop = llm_lua_check_loop(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    llm_server_setup setup = {
        .host = llm_lua_string(L, 2, "host", NULL),
        .port = (int)number_up_to(L, "port", 65535),
        .max_body_bytes = (size_t)number_up_to(L, "max_body_bytes", 1 << 30),
    };
    llm_err err;
    void **slot = llm_lua_box(L, server_class, 1);
    *slot = llm_server_new(loop, &setup, &err);
    return *slot ? 1 : llm_lua_failure(L, &err);
}

static int server_close(lua_State *L) {
    llm_server **slot = luaL_checkudata(L, 1, server_class);
    llm_server *server = *slot;
    *slot = NULL;
    llm_server_free(server);
    return 0;
}

static int server_port(lua_State *L) {
    lua_pushinteger(L, llm_server_port(llm_lua_unbox(L, 1, server_class)));
    return 1;
}

static int server_id(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)llm_server_op(llm_lua_unbox(L, 1, server_class))->id);
    return 1;
}

static int server_ready(lua_State *L) {
    lua_pushboolean(L, llm_server_op(llm_lua_unbox(L, 1, server_class))->ready);
    return 1;
}

/* accept() -> request | nil: none yet */
static int server_accept(lua_State *L) {
    llm_server *server = llm_lua_unbox(L, 1, server_class);
    if (!llm_server_op(server)->ready) return 0;
    void **slot = llm_lua_box(L, request_class, 1);
    *slot = llm_server_accept(server);
    return *slot ? 1 : 0;
}

/* --- requests --------------------------------------------------------------------------------- */

static llm_server_request *check_request(lua_State *L) {
    return llm_lua_unbox(L, 1, request_class);
}

static int request_close(lua_State *L) {
    llm_server_request **slot = luaL_checkudata(L, 1, request_class);
    llm_server_request *r = *slot;
    *slot = NULL;
    llm_server_request_free(r);
    return 0;
}

static int request_id(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)llm_server_request_op(check_request(L))->id);
    return 1;
}

/* ready() -> true when all that was written has left, or the answer is over, or the client gone */
static int request_ready(lua_State *L) {
    lua_pushboolean(L, llm_server_request_op(check_request(L))->ready);
    return 1;
}

static int request_method(lua_State *L) {
    lua_pushstring(L, llm_server_method(check_request(L)));
    return 1;
}

/* path() -> the target as it was sent: escaped, with its query */
static int request_path(lua_State *L) {
    lua_pushstring(L, llm_server_path(check_request(L)));
    return 1;
}

/* header(name in lower case) -> value | nil */
static int request_header(lua_State *L) {
    size_t len;
    const char *value = llm_server_header(check_request(L), luaL_checkstring(L, 2), &len);
    if (!value) return 0;
    lua_pushlstring(L, value, len);
    return 1;
}

static int request_body(lua_State *L) {
    const llm_buffer *body = llm_server_body(check_request(L));
    lua_pushlstring(L, llm_buffer_len(body) ? llm_buffer_data(body) : "", llm_buffer_len(body));
    return 1;
}

static int request_gone(lua_State *L) {
    lua_pushboolean(L, llm_server_gone(check_request(L)));
    return 1;
}

static int request_backlog(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)llm_server_backlog(check_request(L)));
    return 1;
}

/* The table of headers at index as lines, which stay on the stack. A wrong header raises. */
static const char *header_lines(lua_State *L, int index) {
    lua_pushliteral(L, "");
    if (lua_isnoneornil(L, index)) return lua_tostring(L, -1);
    luaL_checktype(L, index, LUA_TTABLE);
    int lines = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        size_t name_len, value_len;
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) {
            luaL_error(L, "header names and values must be strings");
        }
        const char *name = lua_tolstring(L, -2, &name_len);
        const char *value = lua_tolstring(L, -1, &value_len);
        const char *fault = llm_header_fault(name, name_len, value, value_len);
        if (fault) luaL_error(L, "header %s cannot be sent: %s", name, fault);
        lua_pushfstring(L, "%s%s: %s\n", lua_tostring(L, lines), name, value);
        lua_replace(L, lines);
    }
    return lua_tostring(L, lines);
}

/* true | nil, message.  What is wrong on our side raises. */
static int answered(lua_State *L, int rc) {
    if (rc == LLM_EINVAL) return luaL_error(L, "out of turn, or no such status or header");
    if (rc == LLM_ENOMEM) return luaL_error(L, "out of memory");
    if (rc == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "the client has gone");
    return 2;
}

/* respond(status[, headers[, body]]) -> true | nil, message */
static int request_respond(lua_State *L) {
    llm_server_request *r = check_request(L);
    int status = (int)luaL_checkinteger(L, 2);
    size_t len;
    const char *body = luaL_optlstring(L, 4, "", &len);
    lua_settop(L, 4);
    return answered(L, llm_server_respond(r, status, header_lines(L, 3), body, len));
}

/* begin(status[, headers]) -> true | nil, message */
static int request_begin(lua_State *L) {
    llm_server_request *r = check_request(L);
    int status = (int)luaL_checkinteger(L, 2);
    lua_settop(L, 3);
    return answered(L, llm_server_begin(r, status, header_lines(L, 3)));
}

/* write(bytes) -> true | nil, message.  Never refuses for fullness: look at backlog(). */
static int request_write(lua_State *L) {
    llm_server_request *r = check_request(L);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    return answered(L, llm_server_write(r, bytes, len));
}

/* finish() -> true | nil, message */
static int request_finish(lua_State *L) { return answered(L, llm_server_finish(check_request(L))); }

/* abort(): cuts the connection without a proper end */
static int request_abort(lua_State *L) {
    llm_server_abort(check_request(L));
    return 0;
}

int llm_lua_server(lua_State *L) {
    static const luaL_Reg server_methods[] = {
        {"port", server_port},
        {"id", server_id},
        {"ready", server_ready},
        {"accept", server_accept},
        {NULL, NULL},
    };
    static const luaL_Reg request_methods[] = {
        {"id", request_id},
        {"ready", request_ready},
        {"method", request_method},
        {"path", request_path},
        {"header", request_header},
        {"body", request_body},
        {"gone", request_gone},
        {"backlog", request_backlog},
        {"respond", request_respond},
        {"begin", request_begin},
        {"write", request_write},
        {"finish", request_finish},
        {"abort", request_abort},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {{"listen", server_listen}, {NULL, NULL}};
    llm_lua_class(L, server_class, server_methods, server_close);
    llm_lua_class(L, request_class, request_methods, request_close);
    luaL_newlib(L, functions);
    return 1;
}
