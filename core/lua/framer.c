/* llm.core.framer: framers over bytes that Lua brings, for recordings and tests. Transfers have
 * their own (core/http). Bytes fed are copied; frames come out as valid UTF-8. */
#include "../framer.h"

#include <stdlib.h>

#include "../utf8.h"
#include "core.h"

enum { KEEP_BYTES = 1 << 16 }; /* memory that outlives a large feed */

static const char framer_class[] = "llm.framer";
static const lua_Number default_max_bytes = 128 << 20;

typedef struct reader {
    llm_framer *framer;
    llm_buffer fed;     /* what the framer borrows */
    llm_buffer waiting; /* what came since; becomes fed when the framer has drained it */
    llm_buffer text;    /* the repaired copy of a string that is no UTF-8 */
    bool drained;
} reader;

static void reader_free(reader *r) {
    if (!r) return;
    llm_framer_free(r->framer);
    llm_buffer_clear(&r->fed);
    llm_buffer_clear(&r->waiting);
    llm_buffer_clear(&r->text);
    free(r);
}

static reader *reader_new(const char *kind, size_t max_bytes, llm_err *err) {
    reader *r = calloc(1, sizeof *r);
    if (!r) {
        llm_fail(err, LLM_ENOMEM, "out of memory");
        return NULL;
    }
    llm_buffer_init(&r->fed);
    llm_buffer_init(&r->waiting);
    llm_buffer_init(&r->text);
    r->drained = true;
    r->framer = llm_framer_new(kind, max_bytes, err);
    if (r->framer) return r;
    reader_free(r);
    return NULL;
}

static int reader_next(reader *r, llm_frame *frame, llm_err *err) {
    for (;;) {
        int rc = llm_framer_next(r->framer, frame, err);
        if (rc != 0) return rc;
        r->drained = llm_buffer_len(&r->waiting) == 0;
        if (r->drained) return 0;
        llm_buffer spent = r->fed;
        r->fed = r->waiting, r->waiting = spent;
        llm_buffer_reset(&r->waiting, KEEP_BYTES);
        llm_framer_feed(r->framer, llm_buffer_data(&r->fed), llm_buffer_len(&r->fed));
    }
}

/* new(kind[, max_bytes]) -> framer | nil, message.  kind: as llm_framer_new */
static int framer_new(lua_State *L) {
    const char *kind = luaL_checkstring(L, 1);
    lua_Number max_bytes = luaL_optnumber(L, 2, default_max_bytes);
    luaL_argcheck(L, max_bytes >= 1 && max_bytes <= 1e15, 2, "a number of bytes expected");
    llm_err err;
    void **slot = llm_lua_box(L, framer_class, 0);
    *slot = reader_new(kind, (size_t)max_bytes, &err);
    if (*slot) return 1;
    return err.code == LLM_EINVAL ? luaL_argerror(L, 1, err.msg) : llm_lua_failure(L, &err);
}

/* feed(bytes) -> true | nil, message */
static int framer_feed(lua_State *L) {
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    reader *r = llm_lua_unbox(L, 1, framer_class);
    if (llm_buffer_append(&r->waiting, bytes, len) < 0) {
        llm_err err;
        llm_fail(&err, LLM_ENOMEM, "out of memory");
        return llm_lua_failure(L, &err);
    }
    r->drained = false;
    lua_pushboolean(L, true);
    return 1;
}

static void set_text(lua_State *L, reader *r, const char *key, const char *text, size_t text_len) {
    if (llm_utf8_valid(text, text_len) < text_len) {
        llm_buffer_reset(&r->text, KEEP_BYTES);
        if (llm_utf8_append(&r->text, text, text_len) < 0) luaL_error(L, "out of memory");
        text = llm_buffer_data(&r->text), text_len = llm_buffer_len(&r->text);
    }
    lua_pushlstring(L, text, text_len);
    lua_setfield(L, -2, key);
}

/* Pushes what read gives. Pushing may collect garbage, and a finalizer may use this very framer:
 * so that the frame stays where it is, the framer meanwhile belongs to a box that nobody knows. */
static int push_next(lua_State *L, int (*read)(reader *r, llm_frame *frame, llm_err *err)) {
    void **guard = llm_lua_box(L, framer_class, 0);
    reader *r = llm_lua_unbox(L, 1, framer_class);
    void **slot = lua_touserdata(L, 1);
    llm_frame frame;
    llm_err err;
    int rc = read(r, &frame, &err);
    if (rc < 0) return llm_lua_failure(L, &err);
    if (rc == 0) {
        lua_pushnil(L);
        return 1;
    }
    *slot = NULL, *guard = r;
    lua_createtable(L, 0, 3);
    set_text(L, r, "event", frame.event, frame.event_len);
    set_text(L, r, "data", frame.data, frame.data_len);
    set_text(L, r, "id", frame.id, frame.id_len);
    *slot = r, *guard = NULL;
    return 1;
}

/* next() -> {event=, data=, id=} | nil: feed more | nil, message */
static int framer_next(lua_State *L) { return push_next(L, reader_next); }

static int reader_finish(reader *r, llm_frame *frame, llm_err *err) {
    return llm_framer_finish(r->framer, frame, err);
}

/* finish() -> the frame that the end of the bytes left open | nil | nil, message */
static int framer_finish(lua_State *L) {
    reader *r = llm_lua_unbox(L, 1, framer_class);
    if (!r->drained) return luaL_error(L, "finish comes after next has returned nil");
    return push_next(L, reader_finish);
}

static int framer_close(lua_State *L) {
    reader **slot = luaL_checkudata(L, 1, framer_class);
    reader_free(*slot);
    *slot = NULL;
    return 0;
}

int llm_lua_framer(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"feed", framer_feed},
        {"next", framer_next},
        {"finish", framer_finish},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {{"new", framer_new}, {NULL, NULL}};
    llm_lua_class(L, framer_class, methods, framer_close);
    luaL_newlib(L, functions);
    return 1;
}
