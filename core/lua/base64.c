/* Binding of core/base64: bytes in messages; embeddings, which are IEEE 754 singles, the low byte
 * first. */
#include <stdint.h>
#include <string.h>

#include "../base64.h"
#include "core.h"

/* A scratch string for len bytes that the collector owns. */
static char *scratch(lua_State *L, size_t len) { return lua_newuserdatauv(L, len ? len : 1, 0); }

/* encode(bytes) -> text */
static int base64_encode(lua_State *L) {
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);
    size_t text_len = llm_base64_encoded(len);
    char *text = scratch(L, text_len);
    llm_base64_encode(bytes, len, text);
    lua_pushlstring(L, text, text_len);
    return 1;
}

/* decode(text) -> bytes | nil, message */
static int base64_decode(lua_State *L) {
    size_t len, written;
    const char *text = luaL_checklstring(L, 1, &len);
    char *bytes = scratch(L, llm_base64_decoded(len));
    if (llm_base64_decode(text, len, bytes, &written) == 0) {
        lua_pushlstring(L, bytes, written);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "not base64");
    return 2;
}

static float read_float(const unsigned char *b) {
    uint32_t bits =
        (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void write_float(unsigned char *b, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 4; i++) b[i] = (unsigned char)(bits >> 8 * i);
}

/* decode_floats(text) -> list of numbers | nil, message */
static int base64_decode_floats(lua_State *L) {
    size_t len, written;
    const char *text = luaL_checklstring(L, 1, &len);
    char *bytes = scratch(L, llm_base64_decoded(len));
    if (llm_base64_decode(text, len, bytes, &written) != 0 || written % 4 != 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "not floats in base64");
        return 2;
    }
    lua_createtable(L, (int)(written / 4), 0);
    for (size_t i = 0; i < written / 4; i++) {
        lua_pushnumber(L, read_float((unsigned char *)bytes + 4 * i));
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* encode_floats(list of numbers) -> text */
static int base64_encode_floats(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t count = lua_rawlen(L, 1);
    unsigned char *bytes = (unsigned char *)scratch(L, 4 * count);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        if (!lua_isnumber(L, -1)) return luaL_error(L, "element %d is not a number", (int)i + 1);
        write_float(bytes + 4 * i, (float)lua_tonumber(L, -1));
        lua_pop(L, 1);
    }
    char *text = scratch(L, llm_base64_encoded(4 * count));
    llm_base64_encode(bytes, 4 * count, text);
    lua_pushlstring(L, text, llm_base64_encoded(4 * count));
    return 1;
}

int llm_lua_base64(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"encode", base64_encode},
        {"decode", base64_decode},
        {"encode_floats", base64_encode_floats},
        {"decode_floats", base64_decode_floats},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
