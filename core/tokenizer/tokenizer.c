/* tokenizer: see tokenizer.h. Text goes through in stretches of a few pieces: split, look each up
 * (vocabulary, cache), merge what neither knows. */
#include "tokenizer.h"

#include <stdlib.h>

#include "../utf8.h"
#include "bpe.h"
#include "encoding.h"

enum {
    STRETCH = 64,       /* pieces */
    CACHE_BITS = 15,    /* log2 of the number of entries of 64 bytes */
    CACHED_LEN = 30,    /* bytes of a piece, and */
    CACHED_IDS = 8,     /* tokens of it, that are remembered */
    SCRATCH = 64 << 10, /* bytes kept between calls */
};

/* What a piece that is no token was merged into. A newer one takes the place of an older one. */
typedef struct cached {
    uint8_t len, n, bytes[CACHED_LEN];
    uint32_t ids[CACHED_IDS];
} cached;

struct llm_tokenizer {
    const llm_encoding *encoding;
    llm_vocab vocab;
    cached *cache;    /* NULL until the first text */
    llm_buffer ids;   /* of one stretch */
    llm_buffer dead;  /* of llm_bpe_encode: all zero */
    llm_buffer clean; /* the text, when it was no valid UTF-8 */
};

/* Text on its way through. */
typedef struct reader {
    const uint8_t *at, *end;
} reader;

llm_tokenizer *llm_tokenizer_new(const char *name, llm_err *err) {
    const llm_encoding *encoding = llm_encoding_find(name);
    if (!encoding) {
        llm_fail(err, LLM_EINVAL, "no vocabulary is named '%.40s'", name);
        return NULL;
    }
    llm_tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        llm_fail(err, LLM_ENOMEM, "out of memory");
        return NULL;
    }
    t->encoding = encoding;
    t->vocab = llm_vocab_at(encoding->vocab, encoding->n_ranks);
    return t;
}

void llm_tokenizer_free(llm_tokenizer *t) {
    if (!t) return;
    free(t->cache);
    llm_buffer_clear(&t->ids);
    llm_buffer_clear(&t->dead);
    llm_buffer_clear(&t->clean);
    free(t);
}

const char *llm_tokenizer_name(const llm_tokenizer *t) { return t->encoding->name; }

uint32_t llm_tokenizer_n_vocab(const llm_tokenizer *t) { return t->encoding->n_vocab; }

int64_t llm_tokenizer_special(const llm_tokenizer *t, const char *text, size_t len) {
    return llm_encoding_special(t->encoding, text, len);
}

/* Starts reading text, or what U+FFFD makes of it. */
static int reader_init(reader *r, llm_tokenizer *t, const char *text, size_t len) {
    if (!t->cache) t->cache = calloc((size_t)1 << CACHE_BITS, sizeof *t->cache);
    if (!t->cache) return LLM_ENOMEM;
    if (llm_utf8_valid(text, len) < len) {
        llm_buffer_reset(&t->clean, SCRATCH);
        if (llm_utf8_append(&t->clean, text, len) != 0) return LLM_ENOMEM;
        text = llm_buffer_data(&t->clean);
        len = llm_buffer_len(&t->clean);
    }
    r->at = (const uint8_t *)text;
    r->end = r->at + len;
    return 0;
}

static cached *cache_entry(llm_tokenizer *t, const uint8_t *p, size_t len) {
    uint64_t hash = len;
    for (size_t i = 0; i < len; i++) hash = (hash ^ p[i]) * 0x100000001B3;
    return &t->cache[llm_vocab_mix(hash, len) >> (64 - CACHE_BITS)];
}

static void remember(cached *entry, const uint8_t *p, size_t len, const uint32_t *ids, size_t n) {
    if (n > CACHED_IDS) return;
    entry->len = (uint8_t)len;
    entry->n = (uint8_t)n;
    memcpy(entry->bytes, p, len);
    memcpy(entry->ids, ids, n * sizeof *ids);
}

/* Encodes bytes that no token reaches out of; ids has room for len. */
static size_t encode_part(
    llm_tokenizer *t, const uint8_t *p, size_t len, const uint8_t *end, uint32_t *ids) {
    uint32_t rank = llm_vocab_find(&t->vocab, p, len, end);
    if (rank != LLM_VOCAB_NONE) {
        *ids = rank;
        return 1;
    }
    uint64_t *dead = (uint64_t *)(void *)llm_buffer_data(&t->dead);
    if (len > CACHED_LEN) return llm_bpe_encode(&t->vocab, p, len, end, ids, dead);
    cached *entry = cache_entry(t, p, len);
    if (entry->len == len && memcmp(entry->bytes, p, len) == 0) {
        memcpy(ids, entry->ids, sizeof entry->ids[0] * entry->n);
        return entry->n;
    }
    size_t n = llm_bpe_encode(&t->vocab, p, len, end, ids, dead);
    remember(entry, p, len, ids, n);
    return n;
}

static size_t encode_span(llm_tokenizer *t, llm_span span, const uint8_t *end, uint32_t *ids) {
    if (!span.wide) return encode_part(t, span.at, span.len, end, ids);
    size_t n = 0;
    while (span.len > 0) {
        size_t len = llm_bpe_cut(&t->vocab, span.at, span.len);
        n += encode_part(t, span.at, len, end, ids + n);
        span.at += len, span.len -= len;
    }
    return n;
}

/* Room for the ids of so many bytes and for the dead bits of the longest piece. */
static int make_room(llm_tokenizer *t, size_t total, size_t longest) {
    size_t have = llm_buffer_len(&t->dead), need = (longest / 64 + 1) * sizeof(uint64_t);
    llm_buffer_reset(&t->ids, SCRATCH);
    if (!llm_buffer_reserve(&t->ids, total * sizeof(uint32_t))) return LLM_ENOMEM;
    if (have >= need) return 0;
    char *more = llm_buffer_reserve(&t->dead, need - have);
    if (!more) return LLM_ENOMEM;
    memset(more, 0, need - have);
    llm_buffer_grow(&t->dead, need - have);
    return 0;
}

/* Encodes the next stretch into t->ids; how many ids, 0 at the end, negative LLM_ENOMEM. */
static int64_t next_ids(llm_tokenizer *t, reader *r) {
    llm_span spans[STRETCH];
    size_t n_spans = t->encoding->split(&t->vocab, &r->at, r->end, spans, STRETCH);
    size_t total = 0, longest = 0, n = 0;
    for (size_t i = 0; i < n_spans; i++) {
        total += spans[i].len;
        if (spans[i].len > longest) longest = spans[i].len;
    }
    if (make_room(t, total, longest) != 0) return LLM_ENOMEM;
    uint32_t *ids = (uint32_t *)(void *)llm_buffer_data(&t->ids);
    for (size_t i = 0; i < n_spans; i++) n += encode_span(t, spans[i], r->end, ids + n);
    return (int64_t)n;
}

static bool is_allowed(const llm_specials *allowed, int64_t id) {
    if (allowed->all) return true;
    for (size_t i = 0; i < allowed->n; i++) {
        if (allowed->ids[i] == id) return true;
    }
    return false;
}

/* The next allowed special token from p on: its start, or end. All are of the form <|…|>. */
static const uint8_t *find_special(const llm_tokenizer *t, const uint8_t *p, const uint8_t *end,
    const llm_specials *allowed, uint32_t *special, size_t *special_len) {
    for (; (p = memchr(p, '<', (size_t)(end - p))); p++) {
        size_t most = end - p < LLM_SPECIAL_MAX ? (size_t)(end - p) : LLM_SPECIAL_MAX;
        const uint8_t *close = memchr(p, '>', most);
        if (!close) continue;
        size_t len = (size_t)(close + 1 - p);
        int64_t id = llm_encoding_special(t->encoding, (const char *)p, len);
        if (id < 0 || !is_allowed(allowed, id)) continue;
        *special = (uint32_t)id;
        *special_len = len;
        return p;
    }
    return end;
}

static int encode_ordinary(llm_tokenizer *t, reader r, llm_buffer *ids) {
    int64_t n;
    while ((n = next_ids(t, &r)) > 0) {
        size_t size = (size_t)n * sizeof(uint32_t);
        if (llm_buffer_append(ids, llm_buffer_data(&t->ids), size) != 0) return LLM_ENOMEM;
    }
    return (int)n;
}

int llm_tokenizer_encode(
    llm_tokenizer *t, const char *text, size_t len, const llm_specials *allowed, llm_buffer *ids) {
    reader r;
    if (reader_init(&r, t, text, len) != 0) return LLM_ENOMEM;
    if (!allowed) return encode_ordinary(t, r, ids);
    while (r.at < r.end) {
        uint32_t special = 0;
        size_t special_len = 0;
        const uint8_t *stop = find_special(t, r.at, r.end, allowed, &special, &special_len);
        if (encode_ordinary(t, (reader){r.at, stop}, ids) != 0) return LLM_ENOMEM;
        if (special_len && llm_buffer_append(ids, &special, sizeof special) != 0) return LLM_ENOMEM;
        r.at = stop + special_len;
    }
    return 0;
}

int llm_tokenizer_decode(
    const llm_tokenizer *t, const uint32_t *ids, size_t n, llm_buffer *text, llm_err *err) {
    const llm_vocab *v = &t->vocab;
    char special[LLM_SPECIAL_MAX + 1];
    for (size_t i = 0; i < n; i++) {
        const void *bytes = special;
        size_t len = 0;
        if (ids[i] < v->n_ranks) {
            bytes = v->bytes + v->starts[ids[i]];
            len = llm_vocab_token_len(v, ids[i]);
        }
        if (len == 0) { /* special tokens stand in gaps of the ranks or behind them */
            bytes = special;
            len = llm_encoding_special_text(t->encoding, ids[i], special);
        }
        if (len == 0) {
            return llm_fail(
                err, LLM_EINVAL, "%s has no token %lu", t->encoding->name, (unsigned long)ids[i]);
        }
        if (llm_buffer_append(text, bytes, len) != 0) {
            return llm_fail(err, LLM_ENOMEM, "out of memory");
        }
    }
    return 0;
}

int llm_tokenizer_count(
    llm_tokenizer *t, const char *text, size_t len, size_t limit, size_t *count) {
    reader r;
    if (reader_init(&r, t, text, len) != 0) return LLM_ENOMEM;
    size_t total = 0;
    int64_t n;
    while (total <= limit && (n = next_ids(t, &r)) != 0) {
        if (n < 0) return LLM_ENOMEM;
        total += (size_t)n;
    }
    *count = total <= limit ? total : limit + 1;
    return 0;
}

/* How far the first n ids of a stretch that starts at p reach, whole characters only. */
static size_t reach(const llm_tokenizer *t, const uint8_t *p, const uint8_t *end, size_t n) {
    const uint32_t *ids = (const uint32_t *)(const void *)llm_buffer_data(&t->ids);
    size_t at = 0, whole = 0;
    for (size_t i = 0; i < n; i++) {
        at += llm_vocab_token_len(&t->vocab, ids[i]);
        if (p + at == end || (p[at] & 0xC0) != 0x80) whole = at;
    }
    return whole;
}

/* Where in the text as it was given the first clean_len bytes of the clean one end. */
static size_t given_len(const char *text, size_t len, size_t clean_len) {
    size_t given = 0;
    for (size_t clean = 0; clean < clean_len;) {
        int step = llm_utf8_step(text + given, text + len);
        given += (size_t)abs(step);
        clean += step > 0 ? (size_t)step : 3;
    }
    return given;
}

int llm_tokenizer_truncate(
    llm_tokenizer *t, const char *text, size_t len, size_t n, size_t *keep_len) {
    reader r;
    if (reader_init(&r, t, text, len) != 0) return LLM_ENOMEM;
    const uint8_t *start = r.at, *stop = r.at;
    while (stop == r.at && r.at < r.end) {
        int64_t got = next_ids(t, &r);
        if (got < 0) return LLM_ENOMEM;
        size_t take = (size_t)got < n ? (size_t)got : n;
        stop += take == (size_t)got ? (size_t)(r.at - stop) : reach(t, stop, r.end, take);
        n -= take;
    }
    size_t keep = (size_t)(stop - start);
    *keep_len = start == (const uint8_t *)text ? keep : given_len(text, len, keep);
    return 0;
}
