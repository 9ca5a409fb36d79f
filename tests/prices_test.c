/* prices: names against the two regular expressions of prices.json, costs against sums by hand. */
#include "prices.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <regex.h>
#include <string.h>

static const char *find(const char *name, const char *provider) {
    const llm_prices *t = llm_prices_builtin();
    const llm_price_model *model = llm_prices_find(t, name, strlen(name), provider);
    return model ? llm_prices_text(t, model->id) : "unknown";
}

Test(prices, builtin_table_is_sound) {
    llm_err err;
    cr_assert(eq(int, llm_prices_check(llm_prices_builtin(), &err), 0), "%s", err.msg);
    cr_assert(eq(str, (char *)llm_prices_date(llm_prices_builtin()), "2026-11-22"));
}

Test(prices, names) {
    static const struct {
        const char *name, *provider, *id;
    } cases[] = {
        {"gpt-4o", NULL, "gpt-4o"},
        {"gpt-4", NULL, "gpt-4"},
        {"gpt-4-0613", NULL, "gpt-4"},
        {"gpt-4o-2024-08-06", NULL, "gpt-4o"},
        {"gpt-4o-2024-05-13", NULL, "gpt-4o-2024-05-13"},
        {"gpt-4o-mini-2024-07-18", NULL, "gpt-4o-mini"},
        {"gpt-4o-realtime-preview", NULL, "unknown"},
        {"gpt-4o-search-preview", NULL, "unknown"},
        {"gpt-4-32k", NULL, "gpt-4-32k"},
        {"gpt-4-99", NULL, "unknown"},
        {"gpt-4-turbo-2024-04-09", NULL, "gpt-4-turbo"},
        {"gpt-35-turbo", NULL, "gpt-3.5-turbo"},
        {"gpt-5.6", NULL, "gpt-5.6-sol"},
        {"gpt-5.5-pro", NULL, "gpt-5.5-pro"},
        {"o3-deep-research", NULL, "unknown"},
        {"claude-opus-5", NULL, "claude-opus-5"},
        {"claude-opus-5-7", NULL, "unknown"},
        {"claude-opus-5-5", NULL, "claude-opus-5-5"},
        {"claude-sonnet-4-5-20250929", NULL, "claude-sonnet-4-5"},
        {"claude-sonnet-4-5@20250929", NULL, "claude-sonnet-4-5"},
        {"claude-3-opus-latest", NULL, "claude-3-opus"},
        {"gemini-2.5-flash", NULL, "gemini-2.5-flash"},
        {"gemini-2.5-flash-001", NULL, "gemini-2.5-flash"},
        {"gemini-2.5-flash-preview-05-20", NULL, "gemini-2.5-flash"},
        {"gemini-2.5-flash-image", NULL, "unknown"},
        {"gemini-2.5-flash-preview-tts", NULL, "unknown"},
        {"gemini-2.5-flash-lite", NULL, "gemini-2.5-flash-lite"},
        {"grok-4-0709", NULL, "grok-4"},
        {"llama-3.1-8b-instant", NULL, "llama-3.1-8b-instant"},
        {"no-such-model", NULL, "unknown"},
        {"", NULL, "unknown"},
        {"-", NULL, "unknown"},
        {"/", NULL, "unknown"},
        /* with a provider, in the name or beside it */
        {"openai/gpt-4o", NULL, "gpt-4o"},
        {"gpt-4o", "openai", "gpt-4o"},
        {"openai/gpt-4o", "openai", "gpt-4o"},
        {"gpt-4o", "anthropic", "unknown"},
        {"openai/gpt-4o", "anthropic", "unknown"},
        {"gpt-4o", "my-own-server", "unknown"},
        {"my-own-server/gpt-4o", NULL, "unknown"},
        {"openai/gpt-oss-120b", NULL, "openai/gpt-oss-120b"},
        {"groq/openai/gpt-oss-120b", NULL, "openai/gpt-oss-120b"},
        {"openai/gpt-oss-120b", "openai", "unknown"},
        {"gemini-2.5-pro", "gemini", "gemini-2.5-pro"},
        {"azure/gpt-4o", NULL, "gpt-4o"},
        /* with what a transport puts around it */
        {"models/gemini-2.5-pro", "google", "gemini-2.5-pro"},
        {"publishers/anthropic/models/claude-opus-5", "vertex", "claude-opus-5"},
        {"publishers/google", "vertex", "unknown"},
        {"anthropic.claude-3-haiku-20240307-v1:0", "bedrock", "claude-3-haiku"},
        {"us.anthropic.claude-3-5-sonnet-20241022-v2:0", "bedrock", "claude-3-5-sonnet"},
        {"us.meta.llama-3.1-8b-instant", "bedrock", "unknown"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect(eq(str, (char *)find(cases[i].name, cases[i].provider), (char *)cases[i].id),
            "%s", cases[i].name);
}

/* What prices.json writes down as match.suffix_regex and match.exclude_regex. */
static const char suffix_regex[] =
    "^[-@:](latest|default|exp.*|preview.*|v[0-9].*|[0-9]{3,4}|[0-9]{6}|[0-9]{8}|"
    "[0-9]{4}-[0-9]{2}-[0-9]{2})$";
static const char exclude_regex[] = "(tts|image|audio|live|realtime|transcribe|search|computer-use|"
                                    "deep-research|robotics)";

static const char *find_by_regex(const char *name, const regex_t *suffix, const regex_t *exclude) {
    const llm_prices *t = llm_prices_builtin();
    const llm_price_name *best = NULL;
    for (int64_t i = 0; i < t->name_count; i++) {
        const llm_price_name *n = &t->names[i];
        if (strncmp(name, t->text + n->text, (size_t)n->len) != 0) continue;
        if (name[n->len] == '\0') return llm_prices_text(t, t->models[n->model].id);
        if (regexec(suffix, name + n->len, 0, NULL, 0) != 0) continue;
        if (!best || n->len > best->len) best = n;
    }
    if (!best || regexec(exclude, name, 0, NULL, 0) == 0) return "unknown";
    return llm_prices_text(t, t->models[best->model].id);
}

Test(prices, names_as_the_regular_expressions_say) {
    static const char *const pieces[] = {"-", "@", ":", "-latest", "-default", "-exp", "-preview",
        "v1", "-v", "0", "-001", "-0613", "-12345", "-123456", "-20250929", "-2025-09-29",
        "-2025-9-29", "-tts", "-image", "-live", "computer-use", "x", "-mini", ".5", "-5", "o"};
    regex_t suffix, exclude;
    cr_assert(eq(int, regcomp(&suffix, suffix_regex, REG_EXTENDED | REG_NOSUB), 0));
    cr_assert(eq(int, regcomp(&exclude, exclude_regex, REG_EXTENDED | REG_NOSUB), 0));
    const llm_prices *t = llm_prices_builtin();
    uint32_t random = 1, known = 0;
    for (int round = 0; round < 40000; round++) {
        char name[160];
        const llm_price_name *n = &t->names[round % t->name_count];
        strcpy(name, t->text + n->text);
        for (int extra = round % 4; extra > 0; extra--) {
            random = random * 1664525 + 1013904223;
            strcat(name, pieces[(random >> 16) % (sizeof pieces / sizeof *pieces)]);
        }
        const char *expected = find_by_regex(name, &suffix, &exclude);
        cr_assert(eq(str, (char *)find(name, NULL), (char *)expected), "%s", name);
        known += strcmp(expected, "unknown") != 0;
    }
    cr_assert(known > 10000 && known < 35000); /* both answers were really asked for */
    regfree(&suffix);
    regfree(&exclude);
}

static int price(
    const char *name, llm_price_usage usage, llm_price_terms terms, int64_t *cost_nusd) {
    const llm_prices *t = llm_prices_builtin();
    const llm_price_model *model = llm_prices_find(t, name, strlen(name), NULL);
    cr_assert(model != NULL, "%s", name);
    return llm_prices_cost(t, model, &usage, &terms, cost_nusd);
}

Test(prices, costs) {
    static const struct {
        const char *name;
        llm_price_usage usage;
        llm_price_terms terms;
        int64_t cost_nusd;
    } cases[] = {
        {"gpt-4o", {.input = 1000, .output = 500}, {0}, 7500000},
        {"gpt-4o", {.input = 1000, .cached = 400, .output = 0}, {0}, 2000000},
        {"gemini-1.5-flash", {.input = 1, .cached = 1}, {0}, 19},  /* 18.75, rounded up */
        {"gemini-1.5-flash", {.input = 4, .cached = 4}, {0}, 75},  /* once, at the end */
        {"gpt-4", {.input = 1000, .cached = 1000}, {0}, 30000000}, /* no discount known */
        {"claude-opus-5", {.input = 1000, .cache_write = 1000}, {0}, 6250000},
        {"claude-opus-5", {.input = 1000, .cache_write = 1000, .cache_write_long = 600}, {0},
            8500000},
        {"gpt-6-luna", {.input = 272000}, {0}, 27200000},
        {"gpt-6-luna", {.input = 272001}, {0}, 54400200},
        {"grok-4.7", {.input = 199999}, {0}, 399998000},
        {"grok-4.7", {.input = 200000}, {0}, 800000000},
        {"gpt-4o", {.input = 1000, .output = 500}, {.is_batch = true}, 3750000},
        {"grok-3", {.input = 1000}, {.is_batch = true}, 3000000}, /* discount unknown */
        {"gemini-2.5-pro", {.input = 2000, .cached = 1000}, {.is_batch = true}, 750000},
        {"gpt-4o", {.input = 1000}, {.service_tier = "flex"}, 1250000},
        {"gpt-4o", {.input = 1000}, {.service_tier = "priority"}, 5000000},
        {"gpt-5.5", {.input = 1000}, {.service_tier = "fast"}, 12500000},
        {"gpt-5.5", {.input = 1000}, {.service_tier = "priority"}, 12500000},
        {"gpt-5.5", {.input = 1000}, {.service_tier = "default"}, 5000000},
        {"claude-opus-5", {.input = 1000}, {.service_tier = "flex"}, 5000000},
        {"text-embedding-3-small", {.input = 1000}, {0}, 20000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t cost_nusd = -1;
        cr_expect(eq(int, price(cases[i].name, cases[i].usage, cases[i].terms, &cost_nusd), 0));
        cr_expect(eq(i64, cost_nusd, cases[i].cost_nusd), "case %zu, %s", i, cases[i].name);
    }
}

Test(prices, costs_by_time) {
    static const struct {
        const char *name;
        int64_t time_s, cost_nusd; /* of 1000 prompt tokens */
    } cases[] = {
        {"deepseek-flash", 0, 150000},
        {"deepseek-flash", 1795395599, 150000},  /* Monday 2026-11-23 00:59:59 */
        {"deepseek-flash", 1795395600, 300000},  /* 01:00 */
        {"deepseek-flash", 1795406399, 300000},  /* 03:59:59 */
        {"deepseek-flash", 1795406400, 150000},  /* 04:00 */
        {"deepseek-flash", 1795413600, 300000},  /* 06:00 */
        {"deepseek-flash", 1795428000, 150000},  /* 10:00 */
        {"deepseek-flash", 1795831200, 150000},  /* Saturday 2026-11-28 02:00 */
        {"gemini-4-argon", 1796083199, 2000000}, /* 2026-11-30 23:59:59 */
        {"gemini-4-argon", 1796083200, 4000000}, /* 2026-12-01 */
        {"gemini-4-argon", 9999999999, 4000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t cost_nusd = -1;
        llm_price_terms terms = {.time_s = cases[i].time_s};
        price(cases[i].name, (llm_price_usage){.input = 1000}, terms, &cost_nusd);
        cr_expect(eq(i64, cost_nusd, cases[i].cost_nusd), "case %zu", i);
    }
}

Test(prices, nonsense_is_refused) {
    static const llm_price_usage usages[] = {
        {.input = -1},
        {.output = -1},
        {.input = 10, .cached = -1},
        {.input = 10, .cache_write = -1},
        {.input = 10, .cache_write = 5, .cache_write_long = -5},
        {.input = 10, .cached = 6, .cache_write = 5},
        {.input = 10, .cache_write = 5, .cache_write_long = 6},
        {.input = LLM_TOKENS_MAX + 1},
        {.output = INT64_MAX},
        {.input = INT64_MAX, .cached = INT64_MAX, .cache_write = INT64_MAX},
        {.input = INT64_MIN, .output = INT64_MIN},
    };
    int64_t cost_nusd = 77;
    llm_price_terms base = {0}, before_1970 = {.time_s = -1}, fast = {.service_tier = "fast"};
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++)
        cr_expect(eq(int, price("gpt-4o", usages[i], base, &cost_nusd), LLM_EINVAL), "case %zu", i);
    llm_price_usage one = {.input = 1};
    cr_expect(eq(int, price("gpt-4o", one, before_1970, &cost_nusd), LLM_EINVAL));
    llm_price_usage most = {.input = LLM_TOKENS_MAX, .output = LLM_TOKENS_MAX};
    cr_expect(eq(int, price("o1-pro", most, base, &cost_nusd), LLM_ETOOBIG));
    cr_expect(eq(i64, cost_nusd, 77));
    cr_expect(eq(int, price("gpt-4o", most, fast, &cost_nusd), 0));
    cr_expect(eq(i64, cost_nusd, 25000000000000000)); /* 25 million dollars */
}

/* A table of one model, sold by two. */
static const char text[] = "\0"
                           "2026-01-01\0a\0b\0m";
static llm_price_name names[2];
static llm_price_model models[2];
static llm_price_variant variants[1];
static llm_price_provider providers[2];
static llm_price_service services[1];

static llm_prices small_table(void) {
    for (int i = 0; i < 2; i++) {
        names[i] = (llm_price_name){.text = 16, .len = 1, .model = i};
        models[i] = (llm_price_model){.id = 16, .provider = i, .variants = 1};
        providers[i] =
            (llm_price_provider){.name = 12 + 2 * i, .batch = 1000, .batch_cached = 1000};
    }
    variants[0] = (llm_price_variant){.kind = LLM_PRICE_TIER, .low = 1};
    services[0] = (llm_price_service){.model = -1, .name = 12, .multiplier = 500};
    return (llm_prices){
        text, names, models, variants, providers, services, sizeof text, 2, 2, 1, 2, 1};
}

Test(prices, one_name_two_sellers) {
    llm_prices t = small_table();
    cr_assert(eq(int, llm_prices_check(&t, NULL), 0));
    cr_assert(llm_prices_find(&t, "m", 1, "b") == &models[1]);
    cr_assert(llm_prices_find(&t, "b/m", 3, NULL) == &models[1]);
    cr_assert(llm_prices_find(&t, "m", 1, NULL) == &models[0]);
}

Test(prices, unsound_tables_are_refused) {
    struct {
        int64_t *field, value;
        const char *complaint;
    } cases[] = {
        {&names[0].text, sizeof text, "name 0"},
        {&names[1].len, 0, "name 1"},
        {&names[1].len, 3, "name 1"},
        {&names[0].len, 2, "name 1"}, /* not sorted */
        {&names[0].model, 2, "name 0"},
        {&models[0].id, -1, "model 0"},
        {&models[1].provider, 2, "model 1"},
        {&models[1].successor, sizeof text, "model 1"},
        {&models[1].variant, 1, "model 1"},
        {&models[1].variants, 2, "model 1"},
        {&models[1].rates.output, -1, "model 1"},
        {&models[1].context, LLM_TOKENS_MAX + 1, "model 1"},
        {&variants[0].kind, LLM_PRICE_KINDS, "variant 0"},
        {&variants[0].rates.cached, LLM_PRICE_RATE_MAX + 1, "variant 0"},
        {&providers[1].name, sizeof text, "provider 1"},
        {&providers[1].batch, 0, "provider 1"},
        {&services[0].name, -1, "service 0"},
        {&services[0].multiplier, LLM_PRICE_MULTIPLIER_MAX + 1, "service 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        llm_prices t = small_table();
        *cases[i].field = cases[i].value;
        llm_err err = {0};
        cr_expect(eq(int, llm_prices_check(&t, &err), LLM_EINVAL), "case %zu", i);
        cr_expect(strstr(err.msg, cases[i].complaint) != NULL, "case %zu: %s", i, err.msg);
    }
    llm_prices t = small_table();
    t.text = "\0"
             "yesterday!\0a\0b\0m";
    cr_expect(eq(int, llm_prices_check(&t, NULL), LLM_EINVAL));
}
