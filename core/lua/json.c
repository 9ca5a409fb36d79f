/* llm.core.json: encode, decode, null, empty_array, array_mt over core/json.
 *
 * Neither direction recurses. Each function keeps a scratch userdata as an upvalue, so that a
 * call allocates nothing but its result. A finalizer that runs inside a call may call again: it
 * finds the scratch busy and replaces it (an error leaves it busy, to the same effect). encode
 * allocates nothing in Lua before its result, so no finalizer can change the tables it reads. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "core.h"
#include "json.h"

enum { SCRATCH = 1, ARRAY_MT = 2 };   /* upvalues of both functions */
enum { KEPT_BYTES = 1 << 16 };        /* what a buffer keeps from one call to the next */
enum { PATH_BYTES = 200 };            /* an error's path stops after the step that passes this */
enum { REMEMBERED = 64 };             /* sizes of tables: a document is often like the last one */
enum { GUESSED_SIZE = 4 };            /* of the tables after those */
static const char EMPTY_ARRAY = '\0'; /* its address is llm.json.empty_array */

/* lua_Integer has 64 bits from 5.3 on; a LuaJIT number is a double anyway. */
#if LUA_VERSION_NUM < 503
#define push_integer(L, value) lua_pushnumber(L, (lua_Number)(value))
#else
#define push_integer(L, value) lua_pushinteger(L, (lua_Integer)(value))
#endif

/* A member of an object where it stands in the output, from its key to its comma. */
typedef struct member {
    const char *key; /* the bytes of a key in the Lua table that is being written */
    size_t key_len, at, len;
} member;

/* A table being read or written. When writing, it is at stack index `table` and, if it is an
 * object, its current key is above it. */
typedef struct level {
    bool is_object;
    int table;
    int index, count;    /* array: the current element and, when writing, of how many */
    int order;           /* reading: how many tables of the document began before it */
    size_t begin;        /* writing: where in out the first member or element is */
    size_t first_member; /* writing: offset in members */
} level;

typedef struct scratch {
    bool busy;
    int depth;
    int tables;                      /* of the document being read, so far */
    unsigned char sizes[REMEMBERED]; /* of the first tables of the document before it */
    llm_json reader;
    llm_buffer out;
    llm_buffer members; /* of the objects being written, outermost first */
    level levels[LLM_JSON_DEPTH];
} scratch;

#define SCRATCH_TYPE "llm.json.scratch"

static int scratch_gc(lua_State *L) {
    scratch *s = luaL_checkudata(L, 1, SCRATCH_TYPE);
    llm_json_clear(&s->reader);
    llm_buffer_clear(&s->out);
    llm_buffer_clear(&s->members);
    return 0;
}

static scratch *push_scratch(lua_State *L) {
    scratch *s = lua_newuserdatauv(L, sizeof *s, 0);
    memset(s, 0, offsetof(scratch, levels));
    if (luaL_newmetatable(L, SCRATCH_TYPE)) {
        lua_pushcfunction(L, scratch_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return s;
}

/* The scratch to work with, pushed so that it outlives its replacement by a finalizer. */
static scratch *acquire(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(SCRATCH));
    scratch *s = lua_touserdata(L, -1);
    if (s->busy) {
        s = push_scratch(L);
        lua_pushvalue(L, -1);
        lua_replace(L, lua_upvalueindex(SCRATCH));
    }
    s->busy = true;
    s->depth = s->tables = 0;
    return s;
}

/* Appends where the value being written is: messages[2].content */
static void append_path(lua_State *L, const scratch *s, llm_buffer *path) {
    for (int i = 0; i < s->depth && llm_buffer_len(path) < PATH_BYTES; i++) {
        const level *v = &s->levels[i];
        if (v->is_object) {
            size_t len;
            const char *key = lua_tolstring(L, v->table + 1, &len);
            if (i > 0) llm_buffer_append(path, ".", 1);
            llm_utf8_append(path, key, len < PATH_BYTES ? len : PATH_BYTES);
        } else {
            char index[16];
            int len = snprintf(index, sizeof index, "[%d]", v->index);
            llm_buffer_append(path, index, (size_t)len);
        }
    }
    if (s->depth > 0) llm_buffer_append(path, ": ", 2);
}

static int fail(lua_State *L, scratch *s, const char *problem) {
    llm_buffer_reset(&s->out, KEPT_BYTES);
    append_path(L, s, &s->out);
    luaL_where(L, 1);
    lua_pushlstring(L, s->out.bytes, llm_buffer_len(&s->out));
    lua_pushstring(L, problem);
    lua_concat(L, 3);
    return lua_error(L);
}

static void check(lua_State *L, scratch *s, int rc) {
    if (rc != 0) fail(L, s, "out of memory");
}

/* The key on top of the stack is one that its table must not have. */
static int fail_key(lua_State *L, scratch *s, const char *of) {
    char problem[128], key[64];
    if (lua_type(L, -1) == LUA_TSTRING) {
        snprintf(key, sizeof key, "'%.40s'", lua_tostring(L, -1));
    } else if (lua_type(L, -1) == LUA_TNUMBER) {
        snprintf(key, sizeof key, "%.14g", (double)lua_tonumber(L, -1));
    } else {
        snprintf(key, sizeof key, "of type %s", luaL_typename(L, -1));
    }
    snprintf(problem, sizeof problem, "cannot encode the key %s of %s", key, of);
    return fail(L, s, problem);
}

static int fail_value(lua_State *L, scratch *s) {
    char problem[64];
    const char *article = lua_isnil(L, -1) ? "" : "a ";
    snprintf(problem, sizeof problem, "cannot encode %s%s", article, luaL_typename(L, -1));
    return fail(L, s, problem);
}

static void append(lua_State *L, scratch *s, const char *text, size_t len) {
    check(L, s, llm_buffer_append(&s->out, text, len));
}

/* How many elements the array on top of the stack has; its keys must be exactly 1..n. */
static int count_elements(lua_State *L, scratch *s) {
    size_t len = lua_rawlen(L, -1), count = 0;
    for (lua_pushnil(L); lua_next(L, -2); count++) {
        lua_pop(L, 1);
        bool fits = lua_isinteger(L, -1) && lua_tonumber(L, -1) >= 1 && lua_tonumber(L, -1) <= len;
        if (!fits) fail_key(L, s, "an array");
    }
    if (count != len) fail(L, s, "cannot encode an array with holes");
    if (len > INT_MAX) fail(L, s, "cannot encode an array this long");
    return (int)len;
}

static void write_empty(lua_State *L, scratch *s) {
    bool marked = lua_getmetatable(L, -1);
    if (marked) {
        marked = lua_rawequal(L, -1, lua_upvalueindex(ARRAY_MT));
        lua_pop(L, 1);
    }
    append(L, s, marked ? "[]," : "{},", 3);
    lua_pop(L, 1);
}

/* Begins the table on top of the stack; its first key decides what it must be throughout. */
static void open_table(lua_State *L, scratch *s) {
    if (s->depth == LLM_JSON_DEPTH) fail(L, s, "nested deeper than 512 tables, or a cycle");
    luaL_checkstack(L, 6, "JSON");
    lua_pushnil(L);
    if (!lua_next(L, -2)) {
        write_empty(L, s);
        return;
    }
    lua_pop(L, 1);
    level v = {.is_object = lua_type(L, -1) == LUA_TSTRING, .table = lua_gettop(L) - 1};
    bool is_array = lua_type(L, -1) == LUA_TNUMBER;
    if (!v.is_object && !is_array) fail_key(L, s, "a table");
    lua_pop(L, 1);
    if (is_array) v.count = count_elements(L, s);
    append(L, s, is_array ? "[" : "{", 1);
    if (v.is_object) lua_pushnil(L);
    v.begin = llm_buffer_len(&s->out);
    v.first_member = llm_buffer_len(&s->members);
    s->levels[s->depth++] = v;
}

/* Pushes the next value of the innermost table, its key written if it has one; false at its end. */
static bool advance(lua_State *L, scratch *s, level *v) {
    if (!v->is_object) {
        if (v->index == v->count) return false;
        lua_rawgeti(L, v->table, ++v->index);
        return true;
    }
    if (!lua_next(L, v->table)) return false;
    member m = {.at = llm_buffer_len(&s->out)};
    if (lua_type(L, -2) != LUA_TSTRING) {
        s->depth--;
        lua_pop(L, 1);
        fail_key(L, s, "an object");
    }
    m.key = lua_tolstring(L, -2, &m.key_len);
    check(L, s, llm_buffer_append(&s->members, &m, sizeof m));
    check(L, s, llm_json_write_string(&s->out, m.key, m.key_len));
    append(L, s, ":", 1);
    return true;
}

static int compare_keys(const void *a, const void *b) {
    const member *left = a, *right = b;
    bool shorter = left->key_len < right->key_len;
    int order = memcmp(left->key, right->key, shorter ? left->key_len : right->key_len);
    return order != 0 ? order : shorter ? -1 : left->key_len > right->key_len;
}

/* Puts the members of an object, which stand in the order of lua_next, into that of their keys. */
static int sort_members(scratch *s, const level *v) {
    member *m = (member *)(void *)(s->members.bytes + v->first_member);
    size_t n = (s->members.end - v->first_member) / sizeof *m, end = s->out.end;
    bool sorted = true;
    for (size_t i = 0; i < n; i++) {
        m[i].len = (i + 1 < n ? m[i + 1].at : end) - m[i].at;
        if (i > 0 && compare_keys(&m[i - 1], &m[i]) > 0) sorted = false;
    }
    s->members.end = v->first_member;
    if (sorted) return 0;
    qsort(m, n, sizeof *m, compare_keys);
    char *to = llm_buffer_reserve(&s->out, end - v->begin);
    if (!to) return LLM_ENOMEM;
    for (size_t i = 0; i < n; to += m[i].len, i++) memcpy(to, s->out.bytes + m[i].at, m[i].len);
    memcpy(s->out.bytes + v->begin, s->out.bytes + end, end - v->begin);
    return 0;
}

static void close_table(lua_State *L, scratch *s, const level *v) {
    if (v->is_object) check(L, s, sort_members(s, v));
    s->out.bytes[s->out.end - 1] = v->is_object ? '}' : ']'; /* instead of the last comma */
    append(L, s, ",", 1);
    lua_settop(L, v->table - 1);
    s->depth--;
}

static int write_number(lua_State *L, scratch *s) {
    double value = lua_tonumber(L, -1);
    bool minus_zero = value == 0 && signbit(value); /* an integer to LuaJIT */
    if (lua_isinteger(L, -1) && !minus_zero) {
        return llm_json_write_integer(&s->out, (int64_t)lua_tointeger(L, -1));
    }
    int rc = llm_json_write_number(&s->out, value);
    if (rc == LLM_EINVAL) fail(L, s, "cannot encode a NaN or an infinity");
    return rc;
}

static void write_light(lua_State *L, scratch *s) {
    const void *mark = lua_touserdata(L, -1);
    if (mark && mark != &EMPTY_ARRAY) fail_value(L, s);
    append(L, s, mark ? "[]" : "null", mark ? 2 : 4);
}

/* Takes the value from the stack and writes it with a comma, or begins it if it is a table. */
static void write_value(lua_State *L, scratch *s) {
    size_t len;
    const char *text;
    switch (lua_type(L, -1)) {
    case LUA_TTABLE: open_table(L, s); return;
    case LUA_TSTRING:
        text = lua_tolstring(L, -1, &len);
        check(L, s, llm_json_write_string(&s->out, text, len));
        break;
    case LUA_TNUMBER: check(L, s, write_number(L, s)); break;
    case LUA_TBOOLEAN:
        if (lua_toboolean(L, -1))
            append(L, s, "true", 4);
        else
            append(L, s, "false", 5);
        break;
    case LUA_TLIGHTUSERDATA: write_light(L, s); break;
    default: fail_value(L, s);
    }
    append(L, s, ",", 1);
    lua_pop(L, 1);
}

/* encode(value) -> canonical JSON: keys in the order of their bytes, no white space. */
static int encode(lua_State *L) {
    luaL_checkany(L, 1);
    scratch *s = acquire(L);
    llm_buffer_reset(&s->out, KEPT_BYTES);
    llm_buffer_reset(&s->members, KEPT_BYTES);
    lua_pushvalue(L, 1);
    write_value(L, s);
    while (s->depth > 0) {
        level *v = &s->levels[s->depth - 1];
        if (advance(L, s, v))
            write_value(L, s);
        else
            close_table(L, s, v);
    }
    lua_pushlstring(L, s->out.bytes, s->out.end - 1);
    s->busy = false;
    return 1;
}

/* Begins a table, of the size that its like had in the document before. */
static void push_table(lua_State *L, scratch *s, bool is_object) {
    luaL_checkstack(L, 6, "JSON");
    int order = s->tables++;
    int size = order < REMEMBERED ? s->sizes[order] : GUESSED_SIZE;
    s->levels[s->depth++] = (level){.is_object = is_object, .order = order};
    if (is_object) {
        lua_createtable(L, 0, size);
        return;
    }
    lua_createtable(L, size, 0);
    lua_pushvalue(L, lua_upvalueindex(ARRAY_MT));
    lua_setmetatable(L, -2);
}

static void end_table(scratch *s) {
    const level *v = &s->levels[--s->depth];
    if (v->order < REMEMBERED) {
        s->sizes[v->order] = (unsigned char)(v->index < REMEMBERED ? v->index : REMEMBERED);
    }
}

/* Pushes a scalar or a key. */
static void push_scalar(lua_State *L, const llm_json_token *token) {
    switch (token->kind) {
    case LLM_JSON_STRING:
    case LLM_JSON_KEY: lua_pushlstring(L, token->text, token->len); break;
    case LLM_JSON_INTEGER: push_integer(L, token->integer); break;
    case LLM_JSON_NUMBER: lua_pushnumber(L, token->number); break;
    case LLM_JSON_TRUE: lua_pushboolean(L, 1); break;
    case LLM_JSON_FALSE: lua_pushboolean(L, 0); break;
    default: lua_pushlightuserdata(L, NULL);
    }
}

/* Moves the finished value on top of the stack into the table that it belongs to. */
static void store(lua_State *L, scratch *s) {
    if (s->depth == 0) return;
    level *v = &s->levels[s->depth - 1];
    v->index++;
    if (v->is_object)
        lua_rawset(L, -3);
    else
        lua_rawseti(L, -2, v->index);
}

/* Pushes the whole value; 0 or a negative error. */
static int build(lua_State *L, scratch *s, llm_err *err) {
    llm_json_token token;
    for (;;) {
        int rc = llm_json_next(&s->reader, &token, err);
        if (rc < 0) return rc;
        switch (token.kind) {
        case LLM_JSON_END: return 0;
        case LLM_JSON_ARRAY: push_table(L, s, false); continue;
        case LLM_JSON_OBJECT: push_table(L, s, true); continue;
        case LLM_JSON_ARRAY_END:
        case LLM_JSON_OBJECT_END: end_table(s); break;
        case LLM_JSON_KEY: push_scalar(L, &token); continue;
        default: push_scalar(L, &token);
        }
        store(L, s);
    }
}

/* decode(text) -> value | nil, message */
static int decode(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    scratch *s = acquire(L);
    llm_buffer kept = s->reader.scratch;
    llm_json_init(&s->reader, text, len, 0);
    s->reader.scratch = kept;
    llm_err err;
    int rc = build(L, s, &err);
    llm_buffer_reset(&s->reader.scratch, KEPT_BYTES);
    s->busy = false;
    if (rc == 0) return 1;
    lua_pushnil(L);
    lua_pushstring(L, err.msg);
    return 2;
}

int llm_lua_json(lua_State *L) {
    lua_newtable(L);
    int module = lua_gettop(L);
    push_scratch(L);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, module, "array_mt");
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, encode, 2);
    lua_setfield(L, module, "encode");
    lua_pushcclosure(L, decode, 2);
    lua_setfield(L, module, "decode");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, module, "null");
    lua_pushlightuserdata(L, (void *)(uintptr_t)&EMPTY_ARRAY);
    lua_setfield(L, module, "empty_array");
    return 1;
}
