/* prices: finds a model by its name and multiplies tokens with rates; see prices.h.
 * The rules for names and for what applies when are those of core/data/prices.json, "_header". */
#include "prices.h"

#include <string.h>

#include "prices_table.h" /* written at build time by core/data/prices.lua: builtin_table */

const llm_prices *llm_prices_builtin(void) { return &builtin_table; }

/* --- names -------------------------------------------------------------------------------------- */

typedef struct span {
    const char *at;
    size_t len;
} span;

static span after(span s, size_t len) { return (span){s.at + len, s.len - len}; }

static bool starts_with(span s, const char *prefix) {
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.at, prefix, len) == 0;
}

static bool equals(span s, const char *text) {
    return s.len == strlen(text) && starts_with(s, text);
}

static size_t leading_digits(span s) {
    size_t n = 0;
    while (n < s.len && s.at[n] >= '0' && s.at[n] <= '9') n++;
    return n;
}

static bool is_date(span s) {
    return s.len == 10 && leading_digits(s) == 4 && s.at[4] == '-' &&
           leading_digits(after(s, 5)) == 2 && s.at[7] == '-' && leading_digits(after(s, 8)) == 2;
}

/* suffix_regex: a version of the same model at the same price. */
static bool is_version(span tail) {
    if (tail.len < 2 || (tail.at[0] != '-' && tail.at[0] != '@' && tail.at[0] != ':')) return false;
    span s = after(tail, 1);
    if (starts_with(s, "exp") || starts_with(s, "preview")) return true;
    if (equals(s, "latest") || equals(s, "default")) return true;
    if (s.at[0] == 'v') return leading_digits(after(s, 1)) > 0;
    size_t digits = leading_digits(s);
    if (digits < s.len) return is_date(s);
    return digits == 3 || digits == 4 || digits == 6 || digits == 8;
}

static bool starts_with_product(span s) {
    switch (s.at[0]) {
    case 'a': return starts_with(s, "audio");
    case 'c': return starts_with(s, "computer-use");
    case 'd': return starts_with(s, "deep-research");
    case 'i': return starts_with(s, "image");
    case 'l': return starts_with(s, "live");
    case 'r': return starts_with(s, "realtime") || starts_with(s, "robotics");
    case 's': return starts_with(s, "search");
    case 't': return starts_with(s, "tts") || starts_with(s, "transcribe");
    default: return false;
    }
}

/* exclude_regex: these are sold under the name of a text model, at another price. */
static bool is_other_product(span name) {
    for (size_t i = 0; i < name.len; i++)
        if (starts_with_product(after(name, i))) return true;
    return false;
}

/* "us.anthropic.claude-3-5-sonnet-20241022-v2:0" is claude-3-5-sonnet-20241022 on Bedrock. */
static span strip_bedrock(span name) {
    static const char *const regions[] = {"us.", "eu.", "apac.", "jp.", "global."};
    span s = name;
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++)
        if (starts_with(name, regions[i])) s = after(name, strlen(regions[i]));
    if (!starts_with(s, "anthropic.")) return name;
    s = after(s, strlen("anthropic."));
    if (s.len > 5) {
        span tail = after(s, s.len - 5);
        if (starts_with(tail, "-v") && leading_digits(after(tail, 2)) == 1 && tail.at[3] == ':' &&
            leading_digits(after(tail, 4)) == 1)
            s.len -= 5;
    }
    return s;
}

static span strip_transport(span name) {
    if (starts_with(name, "models/")) return after(name, strlen("models/"));
    if (starts_with(name, "publishers/")) {
        const char *models = memmem(name.at, name.len, "/models/", 8);
        return models ? after(name, (size_t)(models - name.at) + 8) : name;
    }
    return strip_bedrock(name);
}

static int compare(const llm_prices *t, const llm_price_name *name, span s) {
    if ((size_t)name->len != s.len) return (size_t)name->len < s.len ? -1 : 1;
    return memcmp(t->text + name->text, s.at, s.len);
}

enum { ANYBODY = -1, NOBODY = -2 }; /* in place of a provider's index */

static const llm_price_model *find_exact(const llm_prices *t, span s, int64_t provider) {
    int64_t low = 0, high = t->name_count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (compare(t, &t->names[middle], s) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < t->name_count && compare(t, &t->names[low], s) == 0; low++) {
        const llm_price_model *model = &t->models[t->names[low].model];
        if (provider == ANYBODY || model->provider == provider) return model;
    }
    return NULL;
}

static const llm_price_model *find_version(const llm_prices *t, span name, int64_t provider) {
    for (size_t at = name.len; at-- > 1;) {
        if (!is_version(after(name, at))) continue;
        const llm_price_model *model = find_exact(t, (span){name.at, at}, provider);
        if (model) return is_other_product(name) ? NULL : model;
    }
    return NULL;
}

static const llm_price_model *find_name(const llm_prices *t, span name, int64_t provider) {
    name = strip_transport(name);
    const llm_price_model *model = find_exact(t, name, provider);
    return model ? model : find_version(t, name, provider);
}

/* Azure, Bedrock and Vertex sell several makers' models at the makers' prices. */
static int64_t find_provider(const llm_prices *t, span name) {
    if (equals(name, "azure") || equals(name, "bedrock") || equals(name, "vertex")) return ANYBODY;
    if (equals(name, "gemini")) name = (span){"google", strlen("google")};
    for (int64_t i = 0; i < t->provider_count; i++)
        if (equals(name, llm_prices_text(t, t->providers[i].name))) return i;
    return NOBODY;
}

const llm_price_model *llm_prices_find(
    const llm_prices *t, const char *name, size_t len, const char *provider) {
    span whole = {name, len};
    int64_t seller = provider ? find_provider(t, (span){provider, strlen(provider)}) : ANYBODY;
    if (seller == NOBODY) return NULL;
    const llm_price_model *model = find_name(t, whole, seller);
    const char *slash = memchr(name, '/', len);
    if (model || !slash) return model;
    int64_t named = find_provider(t, (span){name, (size_t)(slash - name)});
    if (named == ANYBODY) named = seller;
    if (named == NOBODY || (seller != ANYBODY && named != seller)) return NULL;
    return find_name(t, after(whole, (size_t)(slash - name) + 1), named);
}

/* --- cost --------------------------------------------------------------------------------------- */

static bool is_count(int64_t tokens) { return tokens >= 0 && tokens <= LLM_TOKENS_MAX; }

static bool is_usage(const llm_price_usage *u) {
    return is_count(u->input) && is_count(u->cached) && is_count(u->cache_write) &&
           is_count(u->cache_write_long) && is_count(u->output) &&
           u->cache_write_long <= u->cache_write && u->cached + u->cache_write <= u->input;
}

static bool applies(const llm_price_variant *v, int64_t input, int64_t time_s) {
    int64_t day = time_s / 86400, minute = time_s % 86400 / 60;
    int64_t weekday = (day + 4) % 7; /* 1970-01-01 was a Thursday */
    switch (v->kind) {
    case LLM_PRICE_FROM_DAY: return day >= v->low;
    case LLM_PRICE_PEAK: return minute >= v->low && minute < v->high && v->days >> weekday & 1;
    default: return input > v->low;
    }
}

static const llm_price_rates *rates_for(
    const llm_prices *t, const llm_price_model *model, int64_t input, int64_t time_s) {
    const llm_price_rates *rates = &model->rates;
    const llm_price_variant *v = t->variants + model->variant;
    for (int64_t i = 0; i < model->variants; i++)
        if (applies(&v[i], input, time_s)) rates = &v[i].rates;
    return rates;
}

static int64_t service_multiplier(
    const llm_prices *t, const llm_price_model *model, const char *service_tier) {
    for (int64_t i = 0; i < t->service_count; i++) {
        const llm_price_service *s = &t->services[i];
        bool is_sold =
            s->provider == model->provider && (s->model == -1 || s->model == model - t->models);
        if (is_sold && strcmp(llm_prices_text(t, s->name), service_tier) == 0) return s->multiplier;
    }
    return 1000;
}

/* False when the sum would not fit. */
static bool add(uint64_t *sum_pusd, int64_t tokens, int64_t rate) {
    uint64_t product;
    return !__builtin_mul_overflow((uint64_t)tokens, (uint64_t)rate, &product) &&
           !__builtin_add_overflow(*sum_pusd, product, sum_pusd);
}

/* Cannot overflow: a sum is below 2^64, so its millionth times 10^5 is below 2^61. */
static int64_t scale(
    uint64_t plain, int64_t multiplier, uint64_t cached, int64_t cached_multiplier) {
    uint64_t m = (uint64_t)multiplier, n = (uint64_t)cached_multiplier;
    uint64_t rest = plain % 1000000 * m + cached % 1000000 * n;
    return (int64_t)(plain / 1000000 * m + cached / 1000000 * n + (rest + 999999) / 1000000);
}

int llm_prices_cost(const llm_prices *t, const llm_price_model *model, const llm_price_usage *u,
    const llm_price_terms *terms, int64_t *cost_nusd) {
    if (!is_usage(u) || terms->time_s < 0) return LLM_EINVAL;
    const llm_price_rates *r = rates_for(t, model, u->input, terms->time_s);
    uint64_t plain = 0, cached = 0;
    if (!add(&plain, u->input - u->cached - u->cache_write, r->input) ||
        !add(&plain, u->cache_write - u->cache_write_long, r->cache_write) ||
        !add(&plain, u->cache_write_long, r->cache_write_long) ||
        !add(&plain, u->output, r->output) || !add(&cached, u->cached, r->cached))
        return LLM_ETOOBIG;
    const llm_price_provider *provider = &t->providers[model->provider];
    int64_t multiplier = 1000;
    if (terms->is_batch)
        multiplier = provider->batch;
    else if (terms->service_tier)
        multiplier = service_multiplier(t, model, terms->service_tier);
    int64_t cached_multiplier = terms->is_batch ? provider->batch_cached : multiplier;
    *cost_nusd = scale(plain, multiplier, cached, cached_multiplier);
    return 0;
}

/* --- check -------------------------------------------------------------------------------------- */

static bool is_within(int64_t value, int64_t low, int64_t high) {
    return value >= low && value <= high;
}

static bool is_text(const llm_prices *t, int64_t text) {
    return is_within(text, 0, t->text_len - 1);
}

static bool are_rates(const llm_price_rates *r) {
    return is_within(r->input, 0, LLM_PRICE_RATE_MAX) &&
           is_within(r->cached, 0, LLM_PRICE_RATE_MAX) &&
           is_within(r->cache_write, 0, LLM_PRICE_RATE_MAX) &&
           is_within(r->cache_write_long, 0, LLM_PRICE_RATE_MAX) &&
           is_within(r->output, 0, LLM_PRICE_RATE_MAX);
}

static bool is_name(const llm_prices *t, int64_t i) {
    const llm_price_name *name = &t->names[i];
    return is_text(t, name->text) && is_within(name->len, 1, t->text_len - name->text) &&
           is_within(name->model, 0, t->model_count - 1) &&
           (i == 0 || compare(t, name - 1, (span){t->text + name->text, (size_t)name->len}) <= 0);
}

static bool is_model(const llm_prices *t, int64_t i) {
    const llm_price_model *m = &t->models[i];
    return is_text(t, m->id) && is_within(m->provider, 0, t->provider_count - 1) &&
           is_text(t, m->shutdown) && is_text(t, m->status) && is_text(t, m->successor) &&
           is_within(m->context, 0, LLM_TOKENS_MAX) &&
           is_within(m->max_output, 0, LLM_TOKENS_MAX) &&
           is_within(m->variant, 0, t->variant_count) &&
           is_within(m->variants, 0, t->variant_count - m->variant) && are_rates(&m->rates);
}

static bool is_variant(const llm_prices *t, int64_t i) {
    const llm_price_variant *v = &t->variants[i];
    return is_within(v->kind, 0, LLM_PRICE_KINDS - 1) && are_rates(&v->rates);
}

static bool is_provider(const llm_prices *t, int64_t i) {
    const llm_price_provider *p = &t->providers[i];
    return is_text(t, p->name) && is_within(p->batch, 1, LLM_PRICE_MULTIPLIER_MAX) &&
           is_within(p->batch_cached, 1, LLM_PRICE_MULTIPLIER_MAX);
}

static bool is_service(const llm_prices *t, int64_t i) {
    const llm_price_service *s = &t->services[i];
    return is_text(t, s->name) && is_within(s->multiplier, 1, LLM_PRICE_MULTIPLIER_MAX);
}

int llm_prices_check(const llm_prices *t, llm_err *err) {
    if (t->text_len < 12 || t->text[0] || t->text[11] || t->text[t->text_len - 1] ||
        !is_date((span){t->text + 1, 10}))
        return llm_fail(err, LLM_EINVAL, "price table: no date");
    const struct {
        const char *what;
        bool (*is_row)(const llm_prices *t, int64_t i);
        int64_t count;
    } lists[] = {{"name", is_name, t->name_count}, {"model", is_model, t->model_count},
        {"variant", is_variant, t->variant_count}, {"provider", is_provider, t->provider_count},
        {"service", is_service, t->service_count}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (int64_t row = 0; row < lists[i].count; row++)
            if (!lists[i].is_row(t, row))
                return llm_fail(err, LLM_EINVAL, "price table: %s %lld is out of range",
                    lists[i].what, (long long)row);
    return 0;
}
