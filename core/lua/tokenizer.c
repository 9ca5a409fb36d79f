/* llm.core.tokenizer: open(name) -> tokenizer, estimate(text[, family]) -> n.
 * A tokenizer has encode, decode, count, truncate, name, n_vocab and close. Ids are Lua arrays of
 * integers, counted from 1; the buffers between them and C belong to the userdata. */
#include "../tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "../tokenizer/estimate.h"
#include "core.h"

enum { KEPT_BYTES = 1 << 16 }; /* what a buffer keeps from one call to the next */

static const char tokenizer_class[] = "llm.tokenizer";

typedef struct box {
    llm_tokenizer *tokenizer;
    llm_buffer ids;     /* uint32_t */
    llm_buffer text;    /* of decode */
    llm_buffer allowed; /* ids that encode may produce */
    unsigned calls;     /* of encode, to notice one inside another */
} box;

static int tokenizer_close(lua_State *L) {
    box **slot = luaL_checkudata(L, 1, tokenizer_class);
    box *b = *slot;
    *slot = NULL;
    if (!b) return 0;
    llm_tokenizer_free(b->tokenizer);
    llm_buffer_clear(&b->ids);
    llm_buffer_clear(&b->text);
    llm_buffer_clear(&b->allowed);
    free(b);
    return 0;
}

static box *check_box(lua_State *L) { return llm_lua_unbox(L, 1, tokenizer_class); }

static void check(lua_State *L, int rc) {
    if (rc == LLM_ENOMEM) luaL_error(L, "out of memory");
}

static int tokenizer_open(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    llm_err err = {LLM_ENOMEM, "out of memory"};
    void **slot = llm_lua_box(L, tokenizer_class, 0);
    box *b = *slot = calloc(1, sizeof *b);
    if (b) b->tokenizer = llm_tokenizer_new(name, &err);
    return b && b->tokenizer ? 1 : llm_lua_failure(L, &err);
}

/* Adds the special token whose name is on top of the stack. */
static void allow(lua_State *L, box *b) {
    size_t len;
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "allowed_special must hold strings");
    const char *name = lua_tolstring(L, -1, &len);
    int64_t id = llm_tokenizer_special(b->tokenizer, name, len);
    if (id < 0) {
        luaL_error(L, "%s has no special token '%s'", llm_tokenizer_name(b->tokenizer), name);
    }
    uint32_t id32 = (uint32_t)id;
    check(L, llm_buffer_append(&b->allowed, &id32, sizeof id32));
}

/* The options table at index: {allowed_special = "all" or a list of names}. */
static llm_specials check_allowed(lua_State *L, int index, box *b) {
    llm_specials allowed = {NULL, 0, 0};
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "allowed_special") != 0) {
            luaL_error(L, "encode has one option: allowed_special");
        }
    }
    llm_buffer_reset(&b->allowed, KEPT_BYTES);
    lua_getfield(L, index, "allowed_special");
    if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "all") == 0) {
        allowed.all = 1;
    } else if (lua_istable(L, -1)) {
        int count = (int)lua_rawlen(L, -1);
        for (int i = 1; i <= count; i++, lua_pop(L, 1)) {
            lua_rawgeti(L, -1, i);
            allow(L, b);
        }
        allowed.n = (size_t)count;
        allowed.ids = (const uint32_t *)(void *)llm_buffer_data(&b->allowed);
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "allowed_special must be \"all\" or a list of names");
    }
    lua_pop(L, 1);
    return allowed;
}

static int tokenizer_encode(lua_State *L) {
    box *b = check_box(L);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    llm_specials allowed = {NULL, 0, 0};
    int count;
    unsigned call;
    lua_settop(L, 3);
    if (!lua_isnil(L, 3)) allowed = check_allowed(L, 3, b);
    do { /* again, when a finalizer inside lua_createtable used this very tokenizer */
        lua_settop(L, 3);
        llm_buffer_reset(&b->ids, KEPT_BYTES);
        call = ++b->calls;
        check(L, llm_tokenizer_encode(b->tokenizer, text, len, &allowed, &b->ids));
        count = (int)(llm_buffer_len(&b->ids) / sizeof(uint32_t));
        lua_createtable(L, count, 0);
    } while (call != b->calls);
    const uint32_t *ids = (const uint32_t *)(void *)llm_buffer_data(&b->ids);
    for (int i = 0; i < count; i++) {
        lua_pushinteger(L, (lua_Integer)ids[i]);
        lua_rawseti(L, -2, i + 1);
    }
    llm_buffer_reset(&b->ids, KEPT_BYTES);
    return 1;
}

static int tokenizer_decode(lua_State *L) {
    box *b = check_box(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    int count = (int)lua_rawlen(L, 2);
    llm_err err;
    llm_buffer_reset(&b->ids, KEPT_BYTES);
    llm_buffer_reset(&b->text, KEPT_BYTES);
    for (int i = 1; i <= count; i++, lua_pop(L, 1)) {
        lua_rawgeti(L, 2, i);
        lua_Number id = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
        uint32_t id32 = id >= 0 && id < UINT32_MAX ? (uint32_t)id : UINT32_MAX;
        if ((lua_Number)id32 != id) return luaL_error(L, "element %d is no token id", i);
        check(L, llm_buffer_append(&b->ids, &id32, sizeof id32));
    }
    const uint32_t *ids = (const uint32_t *)(void *)llm_buffer_data(&b->ids);
    int rc = llm_tokenizer_decode(b->tokenizer, ids, (size_t)count, &b->text, &err);
    if (rc != 0) return luaL_error(L, "%s", err.msg);
    lua_pushlstring(L, llm_buffer_data(&b->text), llm_buffer_len(&b->text));
    return 1;
}

static size_t check_tokens(lua_State *L, int index) {
    lua_Number n = luaL_checknumber(L, index);
    luaL_argcheck(L, n >= 0, index, "must not be negative");
    return n < 9007199254740992.0 ? (size_t)n : SIZE_MAX - 1;
}

static int tokenizer_count(lua_State *L) {
    box *b = check_box(L);
    size_t len, count;
    const char *text = luaL_checklstring(L, 2, &len);
    size_t limit = lua_isnoneornil(L, 3) ? SIZE_MAX - 1 : check_tokens(L, 3);
    check(L, llm_tokenizer_count(b->tokenizer, text, len, limit, &count));
    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

static int tokenizer_truncate(lua_State *L) {
    box *b = check_box(L);
    size_t len, keep;
    const char *text = luaL_checklstring(L, 2, &len);
    check(L, llm_tokenizer_truncate(b->tokenizer, text, len, check_tokens(L, 3), &keep));
    lua_pushlstring(L, text, keep);
    return 1;
}

static int tokenizer_name(lua_State *L) {
    lua_pushstring(L, llm_tokenizer_name(check_box(L)->tokenizer));
    return 1;
}

static int tokenizer_n_vocab(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)llm_tokenizer_n_vocab(check_box(L)->tokenizer));
    return 1;
}

static int estimate(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    int64_t count = llm_estimate_tokens(luaL_optstring(L, 2, "o200k_base"), text, len);
    if (count < 0) return luaL_argerror(L, 2, "\"o200k_base\" or \"cl100k_base\" expected");
    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

int llm_lua_tokenizer(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"encode", tokenizer_encode},
        {"decode", tokenizer_decode},
        {"count", tokenizer_count},
        {"truncate", tokenizer_truncate},
        {"name", tokenizer_name},
        {"n_vocab", tokenizer_n_vocab},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"open", tokenizer_open}, {"estimate", estimate}, {NULL, NULL}};
    llm_lua_class(L, tokenizer_class, methods, tokenizer_close);
    luaL_newlib(L, functions);
    return 1;
}
