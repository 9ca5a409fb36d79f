/* llm.core.prices: cost, cost_of, find, list, date, install over core/prices.
 *
 * The functions share one upvalue, a userdata that points to the table in use. An installed table
 * is a block of its own, kept alive by that userdata; the built-in one is constant data. */
#include <math.h>
#include <string.h>

#include "../prices.h"
#include "core.h"

/* lua_Integer has 64 bits from 5.3 on; a LuaJIT number is a double anyway. */
#if LUA_VERSION_NUM < 503
#define push_integer(L, value) lua_pushnumber(L, (lua_Number)(value))
#else
#define push_integer(L, value) lua_pushinteger(L, (lua_Integer)(value))
#endif

typedef struct holder {
    const llm_prices *table;
} holder;

static holder *get_holder(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

/* --- cost --------------------------------------------------------------------------------------- */

/* Counts come from providers: whatever is not a count is reported, never raised. */
static bool to_count(lua_State *L, int index, int64_t *tokens) {
    if (lua_type(L, index) != LUA_TNUMBER) return false;
    lua_Number n = lua_tonumber(L, index);
    if (!(n >= 0 && n <= (lua_Number)LLM_TOKENS_MAX) || n != floor(n)) return false;
    *tokens = (int64_t)n;
    return true;
}

static int64_t check_time(lua_State *L, lua_Number time) {
    if (!(time >= 0 && time < 1e15)) luaL_error(L, "not a Unix time");
    return (int64_t)time;
}

static int push_cost(lua_State *L, const llm_price_usage *usage, const llm_price_terms *terms,
    const char *provider) {
    const llm_prices *table = get_holder(L)->table;
    llm_err err;
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    const llm_price_model *model = llm_prices_find(table, name, len, provider);
    int64_t cost_nusd;
    if (!model)
        llm_fail(&err, LLM_EINVAL, "no price is known for %.100s", name);
    else if (llm_prices_cost(table, model, usage, terms, &cost_nusd) != 0)
        llm_fail(&err, LLM_EINVAL, "the token counts for %.100s make no sense", name);
    else {
        push_integer(L, cost_nusd);
        return 1;
    }
    return llm_lua_failure(L, &err);
}

/* An absent part of the prompt is none of it; a usage without prompt or output is no usage. */
static bool get_count(lua_State *L, const char *key, bool is_part, int64_t *tokens) {
    lua_getfield(L, 2, key);
    bool is_absent = lua_isnil(L, -1) || lua_islightuserdata(L, -1); /* JSON's null */
    bool is_good = is_absent ? is_part : to_count(L, -1, tokens);
    lua_pop(L, 1);
    return is_good;
}

/* cost(model, usage[, {provider=, time=, batch=, service_tier=}]) -> nano-dollars | nil, message */
static int prices_cost(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_settop(L, 3);
    llm_price_usage usage = {0};
    if (!lua_istable(L, 2) || !get_count(L, "input_tokens", false, &usage.input) ||
        !get_count(L, "output_tokens", false, &usage.output) ||
        !get_count(L, "cached_tokens", true, &usage.cached) ||
        !get_count(L, "cache_write_tokens", true, &usage.cache_write) ||
        !get_count(L, "cache_write_long_tokens", true, &usage.cache_write_long)) {
        lua_pushnil(L);
        lua_pushliteral(L, "the usage is missing or holds what is not a count of tokens");
        return 2;
    }
    llm_price_terms terms = {0};
    const char *provider = NULL;
    if (!lua_isnil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        provider = llm_lua_string(L, 3, "provider", NULL);
        terms.service_tier = llm_lua_string(L, 3, "service_tier", NULL);
        lua_getfield(L, 3, "batch");
        terms.is_batch = lua_toboolean(L, -1);
        terms.time_s = check_time(L, llm_lua_number(L, 3, "time", 0));
    }
    return push_cost(L, &usage, &terms, provider);
}

/* cost_of(model, input, cached, cache_write, output[, unix_time]) -> nano-dollars | nil, message */
static int prices_cost_of(lua_State *L) {
    llm_price_usage usage = {0};
    llm_price_terms terms = {.time_s = check_time(L, luaL_optnumber(L, 6, 0))};
    if (to_count(L, 2, &usage.input) && to_count(L, 3, &usage.cached) &&
        to_count(L, 4, &usage.cache_write) && to_count(L, 5, &usage.output))
        return push_cost(L, &usage, &terms, NULL);
    lua_pushnil(L);
    lua_pushliteral(L, "not a count of tokens");
    return 2;
}

/* --- rows --------------------------------------------------------------------------------------- */

static void set_text(lua_State *L, const llm_prices *table, const char *key, int64_t text) {
    if (!text) return;
    lua_pushstring(L, llm_prices_text(table, text));
    lua_setfield(L, -2, key);
}

static void set_count(lua_State *L, const char *key, int64_t tokens) {
    if (!tokens) return;
    push_integer(L, tokens);
    lua_setfield(L, -2, key);
}

static void set_rate(lua_State *L, const char *key, int64_t rate) {
    lua_pushnumber(L, (lua_Number)rate / 1e6);
    lua_setfield(L, -2, key);
}

static void push_model(lua_State *L, const llm_prices *table, const llm_price_model *model) {
    lua_createtable(L, 0, 12);
    set_text(L, table, "id", model->id);
    set_text(L, table, "provider", table->providers[model->provider].name);
    set_text(L, table, "shutdown", model->shutdown);
    set_text(L, table, "status", model->status);
    set_text(L, table, "successor", model->successor);
    set_count(L, "context", model->context);
    set_count(L, "max_output", model->max_output);
    set_rate(L, "input", model->rates.input);
    set_rate(L, "cached_input", model->rates.cached);
    set_rate(L, "cache_write", model->rates.cache_write);
    set_rate(L, "cache_write_long", model->rates.cache_write_long);
    set_rate(L, "output", model->rates.output);
}

/* find(model[, provider]) -> row | nil */
static int prices_find(lua_State *L) {
    const llm_prices *table = get_holder(L)->table;
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    const llm_price_model *model = llm_prices_find(table, name, len, luaL_optstring(L, 2, NULL));
    if (model)
        push_model(L, table, model);
    else
        lua_pushnil(L);
    return 1;
}

/* list() -> rows */
static int prices_list(lua_State *L) {
    const llm_prices *table = get_holder(L)->table;
    lua_createtable(L, (int)table->model_count, 0);
    for (int64_t i = 0; i < table->model_count; i++) {
        push_model(L, table, &table->models[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* date() -> "YYYY-MM-DD" */
static int prices_date(lua_State *L) {
    lua_pushstring(L, llm_prices_date(get_holder(L)->table));
    return 1;
}

/* --- install ------------------------------------------------------------------------------------ */

enum { NAMES, MODELS, VARIANTS, PROVIDERS, SERVICES, LISTS };
static const struct {
    const char *key;
    size_t row_bytes;
} lists[LISTS] = {
    [NAMES] = {"names", sizeof(llm_price_name)},
    [MODELS] = {"models", sizeof(llm_price_model)},
    [VARIANTS] = {"variants", sizeof(llm_price_variant)},
    [PROVIDERS] = {"providers", sizeof(llm_price_provider)},
    [SERVICES] = {"services", sizeof(llm_price_service)},
};

/* An installed table: the rows and the text follow in the same block. */
typedef struct block {
    llm_prices table;
    int64_t cells[];
} block;

static void read_numbers(lua_State *L, int index, int64_t *cells, size_t count) {
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        lua_Number n = lua_tonumber(L, -1);
        if (!(fabs(n) < 1e15)) luaL_error(L, "price table: not a number");
        cells[i] = (int64_t)n;
        lua_pop(L, 1);
    }
}

/* Fills the block whose rows and text stand in cells and text. */
static void set_table(llm_prices *table, const int64_t *const rows[], const size_t cells[],
    const char *text, size_t text_len) {
    *table = (llm_prices){
        .text = text,
        .names = (const llm_price_name *)rows[NAMES],
        .models = (const llm_price_model *)rows[MODELS],
        .variants = (const llm_price_variant *)rows[VARIANTS],
        .providers = (const llm_price_provider *)rows[PROVIDERS],
        .services = (const llm_price_service *)rows[SERVICES],
        .text_len = (int64_t)text_len,
    };
    int64_t *counts[] = {&table->name_count, &table->model_count, &table->variant_count,
        &table->provider_count, &table->service_count};
    for (int i = 0; i < LISTS; i++)
        *counts[i] = (int64_t)(cells[i] * sizeof(int64_t) / lists[i].row_bytes);
}

/* Pushes a block with the table at index 1: text and, for each list, the numbers of its rows. */
static block *push_block(lua_State *L) {
    size_t cells[LISTS], total = 0, text_len;
    lua_getfield(L, 1, "text");
    const char *text = luaL_checklstring(L, 2, &text_len);
    for (int i = 0; i < LISTS; i++) {
        lua_getfield(L, 1, lists[i].key);
        luaL_checktype(L, 3 + i, LUA_TTABLE);
        total += cells[i] = lua_rawlen(L, 3 + i);
    }
    block *b = lua_newuserdatauv(L, sizeof *b + total * sizeof *b->cells + text_len, 0);
    const int64_t *rows[LISTS];
    int64_t *next = b->cells;
    for (int i = 0; i < LISTS; i++) {
        read_numbers(L, 3 + i, next, cells[i]);
        rows[i] = next;
        next += cells[i];
    }
    set_table(&b->table, rows, cells, memcpy(next, text, text_len), text_len);
    return b;
}

/* install(compiled): from now on that table is in use; install(nil): the built-in one again. */
static int prices_install(lua_State *L) {
    holder *h = get_holder(L);
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        h->table = llm_prices_builtin();
        return 0;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    block *b = push_block(L);
    llm_err err;
    if (llm_prices_check(&b->table, &err) != 0) return luaL_error(L, "%s", err.msg);
    h->table = llm_prices_builtin(); /* keeping the block may raise, and the former one may go */
    llm_lua_setkeep(L, lua_upvalueindex(1));
    h->table = &b->table;
    return 0;
}

int llm_lua_prices(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"cost", prices_cost},
        {"cost_of", prices_cost_of},
        {"find", prices_find},
        {"list", prices_list},
        {"date", prices_date},
        {"install", prices_install},
        {NULL, NULL},
    };
    lua_newtable(L);
    holder *h = lua_newuserdatauv(L, sizeof *h, 1);
    h->table = llm_prices_builtin();
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushvalue(L, -1);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -3, f->name);
    }
    lua_pop(L, 1);
    return 1;
}
