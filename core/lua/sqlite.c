/* llm.core.sqlite: open(path) -> database | nil, message; database:run(sql, ...),
 * database:rows(sql, ...). Values are nil, booleans (as 0 and 1), integers, numbers and strings of
 * any bytes. */
#include "../sqlite.h"

#include "core.h"

static const char class_name[] = "llm.sqlite";

static int destroy(lua_State *L) {
    void **slot = luaL_checkudata(L, 1, class_name);
    llm_sqlite_close(*slot);
    *slot = NULL;
    return 0;
}

/* open(path) -> database | nil, message */
static int sqlite_open(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    void **slot = llm_lua_box(L, class_name, 0);
    llm_err err;
    *slot = llm_sqlite_open(path, &err);
    return *slot ? 1 : llm_lua_failure(L, &err);
}

static llm_sqlite_value value_at(lua_State *L, int index) {
    llm_sqlite_value value = {.kind = LLM_SQLITE_NULL};
    switch (lua_type(L, index)) {
    case LUA_TNIL: return value;
    case LUA_TBOOLEAN:
        value.kind = LLM_SQLITE_INTEGER;
        value.integer = lua_toboolean(L, index);
        return value;
    case LUA_TNUMBER:
        value.kind = lua_isinteger(L, index) ? LLM_SQLITE_INTEGER : LLM_SQLITE_REAL;
        value.integer = value.kind == LLM_SQLITE_INTEGER ? (int64_t)lua_tointeger(L, index) : 0;
        value.real = lua_tonumber(L, index);
        return value;
    default:
        value.kind = LLM_SQLITE_TEXT;
        value.text = luaL_checklstring(L, index, &value.len);
        return value;
    }
}

/* The statement at index 2 with what follows as its parameters; NULL with err. */
static llm_statement *prepared(lua_State *L, llm_sqlite *db, llm_err *err) {
    size_t len;
    const char *sql = luaL_checklstring(L, 2, &len);
    llm_statement *s = llm_sqlite_prepare(db, sql, len, err);
    int top = lua_gettop(L);
    for (int i = 3; s && i <= top; i++) {
        llm_sqlite_value value = value_at(L, i);
        if (llm_statement_bind(s, i - 2, &value, err) < 0) s = NULL;
    }
    return s;
}

/* db:run(sql, ...) -> the number of rows that it changed | nil, message */
static int sqlite_run(lua_State *L) {
    llm_sqlite *db = llm_lua_self(L);
    llm_err err;
    llm_statement *s = prepared(L, db, &err);
    if (!s) return llm_lua_failure(L, &err);
    int rc;
    while ((rc = llm_statement_step(s, &err)) > 0) continue;
    if (rc < 0) return llm_lua_failure(L, &err);
    lua_pushinteger(L, (lua_Integer)llm_sqlite_changes(db));
    return 1;
}

static void push_value(lua_State *L, llm_sqlite_value value) {
    switch (value.kind) {
    case LLM_SQLITE_INTEGER: lua_pushinteger(L, (lua_Integer)value.integer); break;
    case LLM_SQLITE_REAL: lua_pushnumber(L, value.real); break;
    case LLM_SQLITE_TEXT: lua_pushlstring(L, value.text, value.len); break;
    default: lua_pushnil(L);
    }
}

/* db:rows(sql, ...) -> a list of rows, each a list of values (nil for NULL) | nil, message */
static int sqlite_rows(lua_State *L) {
    llm_err err;
    llm_statement *s = prepared(L, llm_lua_self(L), &err);
    if (!s) return llm_lua_failure(L, &err);
    int rc, count = 0;
    lua_newtable(L);
    while ((rc = llm_statement_step(s, &err)) > 0) {
        int columns = llm_statement_columns(s);
        lua_createtable(L, columns, 0);
        for (int i = 0; i < columns; i++) {
            push_value(L, llm_statement_column(s, i));
            lua_rawseti(L, -2, i + 1);
        }
        lua_rawseti(L, -2, ++count);
    }
    return rc < 0 ? llm_lua_failure(L, &err) : 1;
}

int llm_lua_sqlite(lua_State *L) {
    static const luaL_Reg methods[] = {{"run", sqlite_run}, {"rows", sqlite_rows}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", sqlite_open}, {NULL, NULL}};
    llm_lua_class(L, class_name, methods, destroy);
    luaL_newlib(L, functions);
    return 1;
}
