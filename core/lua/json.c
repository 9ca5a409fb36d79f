/* llm.core.json: encode, decode, null, empty_array, array_mt over core/json.
 *
 * Neither direction recurses. Each function keeps its buffers in a userdata, its first upvalue, so
 * that a call allocates nothing but its result. A finalizer that runs inside a call may call again:
 * then the userdata is busy and the call replaces it (an error leaves it busy, to the same effect).
 * encode allocates nothing in Lua before its result, so no finalizer can change what it reads. */
#include <math.h>
#include <string.h>

#include "../json.h"
#include "compat.h"

enum { STATE = 1, ARRAY_MT = 2 };       /* upvalues of both functions */
enum { KEPT_BYTES = 1 << 16 };          /* what a buffer may keep from one call to the next */
enum { PATH_BYTES = 200 };              /* of an error message */
static const char EMPTY_ARRAY = '\0'; /* its address is llm.json.empty_array */

/* lua_Integer has 64 bits from 5.3 on; a LuaJIT number is a double anyway. */
#if LUA_VERSION_NUM < 503
#define push_integer(L, value) lua_pushnumber(L, (lua_Number)(value))
#else
#define push_integer(L, value) lua_pushinteger(L, (lua_Integer)(value))
#endif

/* One member of an object as it stands in the output, from its key to its comma. */
typedef struct member {
    const char *key; /* owned by the Lua table that is being written */
    size_t key_len, at, len;
} member;

/* A table being written. Its Lua table is at stack index `table`; for an object the key whose value
 * is being written is above it. */
typedef struct level {
    bool is_object;
    int table;
    lua_Integer index, count; /* of an array: the element being written, of how many */
    size_t begin;             /* where its first member or element is in the output */
    size_t first_member;      /* offset in members, bytes */
} level;

typedef struct encoder {
    bool busy;
    int depth;
    llm_buffer out, members;
    level levels[LLM_JSON_DEPTH];
} encoder;

typedef struct decoder {
    bool busy;
    llm_json json; /* its scratch buffer is kept from call to call */
} decoder;

#define ENCODER "llm.json.encoder"
#define DECODER "llm.json.decoder"

static int encoder_gc(lua_State *L) {
    encoder *e = luaL_checkudata(L, 1, ENCODER);
    llm_buffer_clear(&e->out);
    llm_buffer_clear(&e->members);
    return 0;
}

static int decoder_gc(lua_State *L) {
    decoder *d = luaL_checkudata(L, 1, DECODER);
    llm_json_clear(&d->json);
    return 0;
}

static void *new_state(lua_State *L, size_t size, const char *type, lua_CFunction gc) {
    void *state = lua_newuserdatauv(L, size, 0);
    memset(state, 0, size);
    if (luaL_newmetatable(L, type)) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return state;
}

/* --- encode ------------------------------------------------------------------------------------- */

static void append_path(lua_State *L, const encoder *e, llm_buffer *path) {
    for (int i = 0; i < e->depth && llm_buffer_len(path) < PATH_BYTES; i++) {
        const level *v = &e->levels[i];
        char index[32];
        if (v->is_object) {
            size_t len;
            const char *key = lua_tolstring(L, v->table + 1, &len);
            if (i > 0) llm_buffer_append(path, ".", 1);
            llm_utf8_append(path, key, len < PATH_BYTES ? len : PATH_BYTES);
        } else {
            int len = snprintf(index, sizeof index, "[%lld]", (long long)v->index);
            llm_buffer_append(path, index, (size_t)len);
        }
    }
}

/* Raises "path: problem". e stays busy: what is on its way out must not be overwritten. */
static int fail(lua_State *L, encoder *e, const char *problem) {
    llm_buffer *path = &e->out;
    llm_buffer_reset(path, KEPT_BYTES);
    append_path(L, e, path);
    if (llm_buffer_len(path) == 0) return luaL_error(L, "%s", problem);
    lua_pushlstring(L, llm_buffer_data(path), llm_buffer_len(path));
    return luaL_error(L, "%s: %s", lua_tostring(L, -1), problem);
}

static void check(lua_State *L, encoder *e, int rc) {
    if (rc != 0) fail(L, e, "out of memory");
}
