/* encode: see encode.h. A stretch of text goes through in passes, so that the cache misses of its
 * spans overlap: split and hash all, look all up, then write the ids in order. */
#include "encode.h"

#include <sys/mman.h>

#include "bpe.h"

enum {
    STRETCH = 64,           /* spans */
    FIRST_BITS = 8,         /* log2 of the number of entries of the cache: 16 KiB */
    FULL_BITS = 16,         /* and when those have been used up: 4 MiB */
    LONG_BITS = 2,          /* so many fewer bits has the cache of long spans */
    HUGE_PAGE = 2 << 20,    /* bytes */
    CACHED_IDS = 4,         /* ids of a span of at most LLM_VOCAB_SHORT bytes that an entry holds */
    LONG_LEN = 80,          /* bytes and */
    LONG_IDS = 11,          /* ids that an entry for a longer one holds */
    KEPT_BYTES = 256 << 10, /* of e->ids, between calls */
};

/* What a short span was merged into. Two such entries, a cache line, are one place: the newer one
 * first. */
typedef struct llm_memory {
    llm_slot key; /* with the number of ids above the length */
    uint32_t ids[CACHED_IDS];
} memory;

enum { COUNT_SHIFT = 48 };

/* What a longer span was merged into. A newer one takes the place of an older one. */
typedef struct llm_long_memory {
    uint16_t len, n;
    uint32_t ids[LONG_IDS];
    uint8_t bytes[LONG_LEN];
} long_memory;

void llm_encoder_init(llm_encoder *e, const llm_encoding *encoding) {
    *e = (llm_encoder){.split = encoding->split};
    e->vocab = llm_vocab_at(encoding->vocab, encoding->n_ranks);
}

static void free_cache(llm_encoder *e) {
    if (e->mapping) munmap(e->mapping, e->mapping_len);
}

void llm_encoder_clear(llm_encoder *e) {
    free_cache(e);
    llm_buffer_clear(&e->ids);
    llm_buffer_clear(&e->dead);
}

/* A new cache of so many entries, empty. The large one lies in huge pages if there are any: a page
 * fault costs more than a merge. */
static int new_cache(llm_encoder *e, unsigned bits) {
    size_t size = (sizeof(memory) << bits) + (sizeof(long_memory) << (bits - LONG_BITS));
    size_t len = size < HUGE_PAGE ? size : size + HUGE_PAGE;
    void *mapping = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) return LLM_ENOMEM;
    free_cache(e);
    e->mapping = e->cache = mapping;
    e->mapping_len = len;
    e->cache_bits = bits;
    e->remembered = 0;
    if (size >= HUGE_PAGE) {
        e->cache = (void *)((char *)mapping + (HUGE_PAGE - (uintptr_t)mapping % HUGE_PAGE));
        madvise(e->cache, size, MADV_HUGEPAGE);
    }
    e->long_cache = (void *)(e->cache + ((size_t)1 << bits));
    return 0;
}

/* Small texts must not pay for what large ones need. */
static int grow_cache(llm_encoder *e) {
    if (!e->cache) return new_cache(e, FIRST_BITS);
    if (e->cache_bits == FULL_BITS || e->remembered >> FIRST_BITS == 0) return 0;
    llm_vocab_load(&e->vocab);
    new_cache(e, FULL_BITS); /* if there is no memory for it the small one stays */
    return 0;
}

static memory *place_of(const llm_encoder *e, const llm_span *s) {
    return &e->cache[s->hash >> 16 & (((size_t)1 << e->cache_bits) - 2)];
}

static long_memory *long_place_of(const llm_encoder *e, const llm_span *s) {
    return &e->long_cache[s->hash >> 16 & (((size_t)1 << (e->cache_bits - LONG_BITS)) - 1)];
}

static void find_all(const llm_encoder *e, const llm_span *spans, size_t n, uint32_t *ranks) {
    const llm_vocab *v = &e->vocab;
    for (size_t i = 0; i < n; i++) {
        const llm_span *s = &spans[i];
        if (s->len <= LLM_VOCAB_SHORT) {
            ranks[i] = llm_vocab_probe(v, s->key, s->bucket);
            if (ranks[i] == LLM_VOCAB_NONE) __builtin_prefetch(place_of(e, s));
        } else {
            ranks[i] = llm_vocab_probe_long(v, s->at, s->len, s->hash);
            if (ranks[i] == LLM_VOCAB_NONE) __builtin_prefetch(long_place_of(e, s));
        }
    }
}

static size_t merge(llm_encoder *e, const llm_span *s, const uint8_t *end, uint32_t *ids) {
    bool is_wide = s->hash >> 63; /* fewer tokens for its bytes, and longer ones */
    if (s->len <= LLM_VOCAB_SHORT && !is_wide) {
        return llm_bpe_merge(&e->vocab, s->at, s->len, end, ids);
    }
    uint64_t *dead = (uint64_t *)(void *)llm_buffer_data(&e->dead);
    return llm_bpe_encode(&e->vocab, s->at, s->len, end, ids, dead);
}

static size_t recall_long(llm_encoder *e, const llm_span *s, const uint8_t *end, uint32_t *ids) {
    if (s->len > LONG_LEN) return merge(e, s, end, ids);
    long_memory *m = long_place_of(e, s);
    if (m->len == s->len && memcmp(m->bytes, s->at, s->len) == 0) {
        memcpy(ids, m->ids, m->n * sizeof *ids);
        return m->n;
    }
    size_t n = merge(e, s, end, ids);
    if (n > LONG_IDS) return n;
    e->remembered++;
    m->len = (uint16_t)s->len, m->n = (uint16_t)n;
    memcpy(m->ids, ids, n * sizeof *ids);
    memcpy(m->bytes, s->at, s->len);
    return n;
}

static bool is_memory_of(const memory *m, const llm_span *s) {
    uint64_t high = (m->key.high ^ s->key.high) << (64 - COUNT_SHIFT);
    return ((m->key.low ^ s->key.low) | high) == 0;
}

/* The ids of a span that is no token. */
static size_t recall(llm_encoder *e, const llm_span *s, const uint8_t *end, uint32_t *ids) {
    if (s->len > LLM_VOCAB_SHORT) return recall_long(e, s, end, ids);
    memory *place = place_of(e, s);
    for (const memory *m = place; m < place + 2; m++) {
        if (!is_memory_of(m, s)) continue;
        memcpy(ids, m->ids, sizeof m->ids);
        return m->key.high >> COUNT_SHIFT;
    }
    size_t n = merge(e, s, end, ids);
    if (n > CACHED_IDS) return n;
    e->remembered++;
    place[1] = place[0];
    place[0].key = (llm_slot){s->key.low, s->key.high | (uint64_t)n << COUNT_SHIFT};
    memcpy(place[0].ids, ids, n * sizeof *ids);
    return n;
}

/* Room for the ids of the spans, an entry of the cache behind them, and the longest one's dead
 * bits. */
static int make_room(llm_encoder *e, const llm_span *spans, size_t n) {
    size_t longest = 0, total = (size_t)(spans[n - 1].at - spans[0].at) + spans[n - 1].len;
    for (size_t i = 0; i < n; i++) {
        if (spans[i].len > longest) longest = spans[i].len;
    }
    size_t have = llm_buffer_len(&e->dead), need = (longest / 64 + 1) * sizeof(uint64_t);
    llm_buffer_reset(&e->ids, KEPT_BYTES);
    if (!llm_buffer_reserve(&e->ids, (total + CACHED_IDS) * sizeof(uint32_t))) return LLM_ENOMEM;
    if (have >= need) return 0;
    char *more = llm_buffer_reserve(&e->dead, need - have);
    if (!more) return LLM_ENOMEM;
    memset(more, 0, need - have);
    llm_buffer_grow(&e->dead, need - have);
    return 0;
}

int64_t llm_encoder_next(llm_encoder *e, llm_cursor *text) {
    llm_span spans[STRETCH];
    uint32_t ranks[STRETCH];
    if (grow_cache(e) != 0) return LLM_ENOMEM;
    size_t n_spans = e->split(&e->vocab, text, spans, STRETCH), n = 0;
    if (n_spans == 0) return 0;
    if (make_room(e, spans, n_spans) != 0) return LLM_ENOMEM;
    find_all(e, spans, n_spans, ranks);
    uint32_t *ids = (uint32_t *)(void *)llm_buffer_data(&e->ids);
    for (size_t i = 0; i < n_spans; i++) {
        ids[n] = ranks[i];
        n += ranks[i] != LLM_VOCAB_NONE ? 1 : recall(e, &spans[i], text->end, ids + n);
    }
    return (int64_t)n;
}
