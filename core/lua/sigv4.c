/* llm.core.sigv4: binding of core/sigv4. */
#include "../sigv4.h"

#include "core.h"

static const char *needed(lua_State *L, const char *key) {
    const char *value = llm_lua_string(L, 1, key, NULL);
    if (!value) luaL_error(L, "%s is missing", key);
    return value;
}

/* sign{access_key=, secret_key=, session_token=, region=, service=, date=, method=, url=,
 * content_type=, body=} -> the value of Authorization | nil, message.  See core/sigv4.h. */
static int sigv4_sign(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    llm_sigv4 request = {
        .access_key = needed(L, "access_key"),
        .secret_key = needed(L, "secret_key"),
        .session_token = llm_lua_string(L, 1, "session_token", NULL),
        .region = needed(L, "region"),
        .service = needed(L, "service"),
        .date = needed(L, "date"),
        .method = needed(L, "method"),
        .url = needed(L, "url"),
        .content_type = llm_lua_string(L, 1, "content_type", NULL),
    };
    lua_getfield(L, 1, "body");
    request.body = luaL_optlstring(L, -1, "", &request.body_len);
    char signature[LLM_SIGV4_BYTES];
    llm_err err;
    if (llm_sigv4_sign(&request, signature, &err)) return llm_lua_failure(L, &err);
    lua_pushlstring(L, request.date, 8);
    lua_pushfstring(L,
        "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
        request.access_key, lua_tostring(L, -1), request.region, request.service,
        llm_sigv4_headers(&request), signature);
    return 1;
}

/* sha256(bytes) -> hex digits | nil, message */
static int sigv4_sha256(lua_State *L) {
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);
    char text[LLM_SIGV4_BYTES];
    llm_err err;
    if (llm_sigv4_sha256(bytes, len, text, &err)) return llm_lua_failure(L, &err);
    lua_pushstring(L, text);
    return 1;
}

int llm_lua_sigv4(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"sha256", sigv4_sha256},
        {"sign", sigv4_sign},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
