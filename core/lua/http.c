/* Binding of core/http: transfers as pull objects. A transfer keeps its client and skimmer alive. */
#include <string.h>

#include "core.h"
#include "http.h"

static const char http_class[] = "llm.http";
static const char transfer_class[] = "llm.transfer";
static const char skim_class[] = "llm.skim";

/* new(loop, {max_connections=, max_connections_per_host=}) -> client */
static int http_new(lua_State *L) {
    llm_loop *loop = llm_lua_check_loop(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    llm_http_limits limits = {
        .max_connections = (long)llm_lua_number(L, 2, "max_connections", 0),
        .max_connections_per_host = (long)llm_lua_number(L, 2, "max_connections_per_host", 0),
    };
    llm_err err;
    void **slot = llm_lua_box(L, http_class, 0);
    *slot = llm_http_new(loop, &limits, &err);
    return *slot ? 1 : llm_lua_failure(L, &err);
}

static int http_close(lua_State *L) {
    llm_http **slot = luaL_checkudata(L, 1, http_class);
    llm_http_free(*slot);
    *slot = NULL;
    return 0;
}

/* skim(pattern) -> skimmer; a wrong pattern raises. */
static int skim_new(lua_State *L) {
    size_t len;
    const char *pattern = luaL_checklstring(L, 1, &len);
    llm_err err;
    void **slot = llm_lua_box(L, skim_class, 0);
    *slot = llm_skim_new(pattern, len, &err);
    return *slot ? 1 : luaL_error(L, "skim pattern: %s", err.msg);
}

/* skimmer:text(data) -> the text of a plain delta | nil: not one.  Transfers skim by themselves;
 * this shows on a recorded event what they would do. */
static int skim_text(lua_State *L) {
    size_t len;
    const char *data = luaL_checklstring(L, 2, &len);
    const llm_skim *skim = llm_lua_unbox(L, 1, skim_class);
    char *text = lua_newuserdatauv(L, 3 * len + 1, 0); /* each byte may become one U+FFFD */
    llm_skim_memo memo;
    llm_buffer out;
    llm_skim_memo_init(&memo);
    llm_buffer_init(&out);
    int rc = llm_skim_text(skim, &memo, data, len, &out);
    size_t text_len = llm_buffer_len(&out);
    if (text_len) memcpy(text, llm_buffer_data(&out), text_len);
    llm_buffer_clear(&out);
    llm_skim_memo_clear(&memo);
    if (rc < 0) return luaL_error(L, "out of memory");
    if (rc == 0) return 0;
    lua_pushlstring(L, text, text_len);
    return 1;
}

static int skim_close(lua_State *L) {
    llm_skim **slot = luaL_checkudata(L, 1, skim_class);
    llm_skim_free(*slot);
    *slot = NULL;
    return 0;
}

/* header_line(name, value) -> "name: value\n" | nil, why not */
static int header_line(lua_State *L) {
    size_t name_len, value_len;
    const char *name = luaL_checklstring(L, 1, &name_len);
    const char *value = luaL_checklstring(L, 2, &value_len);
    const char *fault = llm_header_fault(name, name_len, value, value_len);
    if (!fault && name_len + value_len + 4 > LLM_HTTP_MAX_HEADERS / 16) fault = "it is too long";
    if (fault) {
        lua_pushnil(L);
        lua_pushstring(L, fault);
        return 2;
    }
    /* libcurl leaves a header without a value out unless it ends in a semicolon. */
    lua_pushfstring(L, value_len ? "%s: %s\n" : "%s;%s\n", name, value);
    return 1;
}

static uint64_t milliseconds(lua_State *L, const char *key) {
    double seconds = llm_lua_number(L, 2, key, 0);
    return seconds > 1e9 ? 0 : (uint64_t)(seconds * 1e3 + 0.999);
}

static llm_request read_request(lua_State *L) {
    llm_request request = {
        .method = llm_lua_string(L, 2, "method", "POST"),
        .url = llm_lua_string(L, 2, "url", NULL),
        .headers = llm_lua_string(L, 2, "headers", ""),
        .frame = llm_lua_string(L, 2, "frame", "json"),
        .ca_file = llm_lua_string(L, 2, "ca_file", NULL),
        .proxy = llm_lua_string(L, 2, "proxy", NULL),
        .connect_ms = milliseconds(L, "connect_timeout"),
        .first_ms = milliseconds(L, "first_timeout"),
        .silence_ms = milliseconds(L, "timeout"),
        .deadline_ms = milliseconds(L, "deadline"),
        .max_bytes = (size_t)llm_lua_number(L, 2, "max_response_bytes", 0),
    };
    if (!request.url) luaL_error(L, "url is missing");
    return request;
}

/* client:start(setup[, body[, skimmer]]) -> transfer, id | nil, message.  setup: method, url,
 * headers (lines), frame, ca_file, proxy, connect_timeout, first_timeout, timeout, deadline
 * (seconds), max_response_bytes. */
static int http_start(lua_State *L) {
    llm_http *http = llm_lua_self(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    llm_request request = read_request(L);
    request.body = luaL_optlstring(L, 3, NULL, &request.body_len);
    bool skims = !lua_isnoneornil(L, 4);
    if (skims) request.skim = llm_lua_unbox(L, 4, skim_class);
    llm_err err;
    llm_lua_box(L, transfer_class, skims ? 4 : 0); /* for show */
    void **slot = llm_lua_box(L, transfer_class, -1);
    *slot = llm_transfer_start(http, &request, &err);
    if (!*slot) return llm_lua_failure(L, &err);
    lua_pushinteger(L, (lua_Integer)llm_transfer_op(*slot)->id);
    return 2;
}

/* Pushing may collect garbage, and a finalizer may close or pull this very transfer: while bytes of
 * its own are pushed it belongs to the box that its box keeps and that nobody else knows. */
static int show(lua_State *L, int (*push)(lua_State *L, llm_transfer *t)) {
    llm_transfer *t = llm_lua_self(L);
    void **slot = lua_touserdata(L, 1);
    llm_lua_pushkeep(L, 1);
    void **guard = lua_touserdata(L, -1);
    *slot = NULL, *guard = t;
    int count = push(L, t);
    *slot = t, *guard = NULL;
    return count;
}

static int push_next(lua_State *L, llm_transfer *t) {
    llm_item item;
    if (llm_transfer_next(t, &item) == 0) return 0;
    switch (item.kind) {
    case LLM_ITEM_TEXT:
        lua_pushliteral(L, "text");
        lua_pushlstring(L, item.data, item.data_len);
        return 2;
    case LLM_ITEM_EVENT:
    case LLM_ITEM_REST:
        lua_pushstring(L, item.kind == LLM_ITEM_REST ? "rest" : "event");
        lua_pushlstring(L, item.data, item.data_len);
        lua_pushlstring(L, item.event, item.event_len);
        return 3;
    case LLM_ITEM_END: lua_pushliteral(L, "end"); return 1;
    default:
        lua_pushliteral(L, "error");
        lua_pushstring(L, llm_code_name(llm_transfer_error(t)->code));
        lua_pushstring(L, llm_transfer_error(t)->msg);
        return 3;
    }
}

/* next() -> "text", text | "event", data, name | "rest", data, name | "end" |
 * "error", code, message | nil: wait */
static int transfer_next(lua_State *L) { return show(L, push_next); }

static int transfer_ready(lua_State *L) {
    llm_transfer *t = llm_lua_self(L);
    lua_pushboolean(L, llm_transfer_op(t)->ready);
    return 1;
}

static int transfer_touch(lua_State *L) {
    llm_transfer_touch(llm_lua_self(L));
    return 0;
}

static int transfer_expect_end(lua_State *L) {
    llm_transfer_expect_end(llm_lua_self(L));
    return 0;
}

/* status() -> HTTP status, 0 before the headers are complete */
static int transfer_status(lua_State *L) {
    lua_pushinteger(L, llm_transfer_status(llm_lua_self(L)));
    return 1;
}

static int push_header(lua_State *L, llm_transfer *t) {
    size_t len;
    const char *value = llm_transfer_header(t, lua_tostring(L, 2), &len);
    if (!value) return 0;
    lua_pushlstring(L, value, len);
    return 1;
}

/* header(name in lower case) -> value | nil */
static int transfer_header(lua_State *L) {
    luaL_checkstring(L, 2);
    return show(L, push_header);
}

static int push_headers(lua_State *L, llm_transfer *t) {
    const llm_buffer *block = llm_transfer_headers(t);
    lua_pushlstring(L, llm_buffer_len(block) ? llm_buffer_data(block) : "", llm_buffer_len(block));
    return 1;
}

/* headers() -> the header block: "name: value\r\n" lines */
static int transfer_headers(lua_State *L) { return show(L, push_headers); }

/* phase() -> "connect" | "response" | "stream" | "done" */
static int transfer_phase(lua_State *L) {
    lua_pushstring(L, llm_transfer_phase(llm_lua_self(L)));
    return 1;
}

/* sent() -> true when the whole request has left, so that it may be billed */
static int transfer_sent(lua_State *L) {
    lua_pushboolean(L, llm_transfer_sent(llm_lua_self(L)));
    return 1;
}

static int push_resumption(lua_State *L, llm_transfer *t) {
    uint32_t retry_ms = 0;
    const llm_buffer *id = llm_transfer_resumption(t, &retry_ms);
    size_t len = id ? llm_buffer_len(id) : 0;
    if (!len) return 0;
    lua_pushlstring(L, llm_buffer_data(id), len);
    if (!retry_ms) return 1;
    lua_pushnumber(L, retry_ms / 1e3);
    return 2;
}

/* resumption() -> id of the last event of a stream, seconds to wait before it is taken up there */
static int transfer_resumption(lua_State *L) { return show(L, push_resumption); }

static int transfer_close(lua_State *L) {
    llm_transfer **slot = luaL_checkudata(L, 1, transfer_class);
    llm_transfer *t = *slot;
    *slot = NULL;
    llm_transfer_cancel(t);
    return 0;
}

int llm_lua_http(lua_State *L) {
    static const luaL_Reg http_methods[] = {{"start", http_start}, {NULL, NULL}};
    static const luaL_Reg skim_methods[] = {{"text", skim_text}, {NULL, NULL}};
    static const luaL_Reg transfer_methods[] = {
        {"next", transfer_next},
        {"ready", transfer_ready},
        {"touch", transfer_touch},
        {"expect_end", transfer_expect_end},
        {"status", transfer_status},
        {"header", transfer_header},
        {"headers", transfer_headers},
        {"phase", transfer_phase},
        {"sent", transfer_sent},
        {"resumption", transfer_resumption},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"new", http_new},
        {"skim", skim_new},
        {"header_line", header_line},
        {NULL, NULL},
    };
    llm_lua_class(L, http_class, http_methods, http_close);
    llm_lua_class(L, skim_class, skim_methods, skim_close);
    llm_lua_class(L, transfer_class, transfer_methods, transfer_close);
    luaL_newlib(L, functions);
    return 1;
}
