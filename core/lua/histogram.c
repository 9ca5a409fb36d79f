/* llm.core.histogram: new() -> histogram with add, merge, percentile, up_to, summary. */
#include "../histogram.h"

#include "core.h"

static const char class_name[] = "llm.histogram";

static int destroy(lua_State *L) {
    void **slot = luaL_checkudata(L, 1, class_name);
    llm_histogram_free(*slot);
    *slot = NULL;
    return 0;
}

static int check(lua_State *L, int rc) { return rc == 0 ? 0 : luaL_error(L, "out of memory"); }

/* new() -> histogram */
static int histogram_new(lua_State *L) {
    void **slot = llm_lua_box(L, class_name, 0);
    *slot = llm_histogram_new();
    return *slot ? 1 : luaL_error(L, "out of memory");
}

/* h:add(number); NaN and what is below 0 are passed over */
static int histogram_add(lua_State *L) {
    return check(L, llm_histogram_add(llm_lua_self(L), luaL_checknumber(L, 2)));
}

/* h:merge(other) */
static int histogram_merge(lua_State *L) {
    return check(L, llm_histogram_merge(llm_lua_self(L), llm_lua_unbox(L, 2, class_name)));
}

/* h:percentile(share) -> number | nil when it is empty */
static int histogram_percentile(lua_State *L) {
    const llm_histogram *h = llm_lua_self(L);
    double share = luaL_checknumber(L, 2);
    if (h->count == 0) return 0;
    lua_pushnumber(L, llm_histogram_percentile(h, share));
    return 1;
}

/* h:up_to(bound) -> how many are at or below */
static int histogram_up_to(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)llm_histogram_up_to(llm_lua_self(L), luaL_checknumber(L, 2)));
    return 1;
}

/* h:summary() -> {count, sum, mean, min, max, p50, p90, p99} | nil when it is empty */
static int histogram_summary(lua_State *L) {
    const llm_histogram *h = llm_lua_self(L);
    if (h->count == 0) return 0;
    const struct {
        const char *name;
        double value;
    } fields[] = {
        {"sum", h->sum},
        {"mean", h->sum / (double)h->count},
        {"min", h->min},
        {"max", h->max},
        {"p50", llm_histogram_percentile(h, 0.5)},
        {"p90", llm_histogram_percentile(h, 0.9)},
        {"p99", llm_histogram_percentile(h, 0.99)},
    };
    lua_createtable(L, 0, 8);
    lua_pushinteger(L, (lua_Integer)h->count);
    lua_setfield(L, -2, "count");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        lua_pushnumber(L, fields[i].value);
        lua_setfield(L, -2, fields[i].name);
    }
    return 1;
}

int llm_lua_histogram(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"add", histogram_add},
        {"merge", histogram_merge},
        {"percentile", histogram_percentile},
        {"summary", histogram_summary},
        {"up_to", histogram_up_to},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {{"new", histogram_new}, {NULL, NULL}};
    llm_lua_class(L, class_name, methods, destroy);
    luaL_newlib(L, functions);
    return 1;
}
