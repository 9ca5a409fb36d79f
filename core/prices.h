/* prices: what a call costs, in whole nano-dollars (1 USD = 10^9), from a sorted table in memory.
 *
 * Rates are pico-dollars a token, which is USD per 1,000,000 tokens times 10^6: some prices are
 * fractions of a nano-dollar. Multipliers are thousandths. A sum is rounded up, once, at the end.
 *
 * The built-in table is constant data, made from core/data/prices.json when the program is built.
 * A newer one has the same form: arrays that its owner keeps. Nothing here allocates, reads a clock
 * or keeps state. The rules (names, tiers, windows) are explained in prices.json, "_header". */
#ifndef LLM_PRICES_H
#define LLM_PRICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define LLM_TOKENS_MAX INT64_C(1000000000000)    /* a count above is no count */
#define LLM_PRICE_RATE_MAX INT64_C(10000000000)  /* 10,000 USD per 1,000,000 tokens */
#define LLM_PRICE_MULTIPLIER_MAX INT64_C(100000) /* 100 times */

/* The rows hold nothing but int64_t, so that a table can be handed over as lists of numbers. A text
 * is an offset into llm_prices.text, 0 where there is none; model, provider, variant are indices. */
typedef struct llm_price_rates {
    int64_t input, cached, cache_write, cache_write_long, output;
} llm_price_rates;

typedef struct llm_price_model {
    int64_t id, provider;
    int64_t shutdown;            /* "YYYY-MM-DD" */
    int64_t status;              /* "deprecated", "superseded" or "retired" */
    int64_t successor;           /* id of the model to use instead */
    int64_t context, max_output; /* tokens, 0 unknown */
    int64_t variant, variants;   /* the first of so many; the last that applies replaces rates */
    llm_price_rates rates;
} llm_price_model;

enum { LLM_PRICE_FROM_DAY, LLM_PRICE_PEAK, LLM_PRICE_TIER, LLM_PRICE_KINDS };

typedef struct llm_price_variant {
    int64_t kind; /* FROM_DAY: from day `low` since 1970 on; PEAK: UTC minute in [low, high) of one
                     of `days`; TIER: more than `low` prompt tokens */
    int64_t low, high;
    int64_t days; /* bit 0 is Sunday */
    llm_price_rates rates;
} llm_price_variant;

typedef struct llm_price_name {
    int64_t text, len, model;
} llm_price_name;

typedef struct llm_price_provider {
    int64_t name, batch, batch_cached; /* multipliers */
} llm_price_provider;

typedef struct llm_price_service {
    int64_t provider, model; /* model -1: every model; exceptions stand before those */
    int64_t name, multiplier;
} llm_price_service;

typedef struct llm_prices {
    const char *text; /* NUL-terminated strings: the empty one, then the date of the table, … */
    const llm_price_name *names; /* ids and aliases, by length, then by bytes */
    const llm_price_model *models;
    const llm_price_variant *variants;
    const llm_price_provider *providers;
    const llm_price_service *services;
    int64_t text_len, name_count, model_count, variant_count, provider_count, service_count;
} llm_prices;

static inline const char *llm_prices_text(const llm_prices *t, int64_t text) {
    return t->text + text;
}
static inline const char *llm_prices_date(const llm_prices *t) { return t->text + 1; }

const llm_prices *llm_prices_builtin(void);

/* 0, or LLM_EINVAL naming the row that would lead outside the table or outside its limits. */
int llm_prices_check(const llm_prices *t, llm_err *err);

/* The model that bears this name, or NULL: its price is unknown, which is not zero. name: bare, as
 * "provider/model", or with what Vertex, Gemini and Bedrock put around it. provider: whose prices,
 * NULL for whoever sells a model of that name; so also for azure, bedrock and vertex. */
const llm_price_model *llm_prices_find(
    const llm_prices *t, const char *name, size_t len, const char *provider);

/* Tokens of a call: input counts all of the prompt, cached and cache_write are parts of it, and
 * cache_write_long (written with the long TTL) is a part of cache_write. */
typedef struct llm_price_usage {
    int64_t input, cached, cache_write, cache_write_long, output;
} llm_price_usage;

/* How the call is billed. All zero: base prices, one call at a time. */
typedef struct llm_price_terms {
    int64_t time_s; /* Unix time of the call, 0 unknown */
    bool is_batch;
    const char
        *service_tier; /* the provider's word, NULL for none; an unknown one changes nothing */
} llm_price_terms;

/* 0 and *cost_nusd; LLM_EINVAL for counts that are negative, above LLM_TOKENS_MAX or not parts of
 * each other; LLM_ETOOBIG for more than 18 million dollars. */
int llm_prices_cost(const llm_prices *t, const llm_price_model *model, const llm_price_usage *usage,
    const llm_price_terms *terms, int64_t *cost_nusd);

#endif
