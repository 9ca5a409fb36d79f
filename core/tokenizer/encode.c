/* encode: see encode.h. A stretch of text goes through in passes, so that the cache misses of its
 * spans overlap: split and hash all, look all up, then write the ids in order. */
#include "encode.h"

#include <sys/mman.h>

#include "bpe.h"

enum {
    STRETCH = 64,           /* spans */
    FIRST_BITS = 9,         /* log2 of the number of entries of the cache: 32 KiB */
    FULL_BITS = 16,         /* and when those have been used up: 4 MiB */
    HUGE_PAGE = 2 << 20,    /* bytes */
    CACHED_LEN = 29,        /* bytes of a span, and */
    CACHED_IDS = 8,         /* ids of it, that an entry holds */
    KEPT_BYTES = 256 << 10, /* of e->ids, between calls */
};

/* What a span was merged into: a cache line. A newer one takes the place of an older one. */
typedef struct llm_memory {
    uint64_t key[4]; /* the bytes, padded with zeros; above them the length, above it the count */
    uint32_t ids[CACHED_IDS];
} memory;

enum { LENGTH_SHIFT = 40, COUNT_SHIFT = 48 };

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
    size_t size = sizeof(memory) << bits, len = size < HUGE_PAGE ? size : size + HUGE_PAGE;
    void *mapping = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) return LLM_ENOMEM;
    free_cache(e);
    e->mapping = e->cache = mapping;
    e->mapping_len = len;
    e->cache_bits = bits;
    e->remembered = 0;
    if (size < HUGE_PAGE) return 0;
    e->cache = (void *)((char *)mapping + (HUGE_PAGE - (uintptr_t)mapping % HUGE_PAGE));
    madvise(e->cache, size, MADV_HUGEPAGE);
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

static memory *entry_of(const llm_encoder *e, const llm_span *s) {
    return &e->cache[s->hash >> 16 & (((size_t)1 << e->cache_bits) - 1)];
}

static void find_all(const llm_encoder *e, const llm_span *spans, size_t n, uint32_t *ranks) {
    const llm_vocab *v = &e->vocab;
    for (size_t i = 0; i < n; i++) {
        const llm_span *s = &spans[i];
        ranks[i] = s->len <= LLM_VOCAB_SHORT ? llm_vocab_probe(v, s->key, s->hash)
                                             : llm_vocab_probe_long(v, s->at, s->len, s->hash);
        if (ranks[i] == LLM_VOCAB_NONE) __builtin_prefetch(entry_of(e, s));
    }
}

/* The key of a span of at most CACHED_LEN bytes. */
static void cache_key(const llm_span *s, const uint8_t *end, uint64_t key[4]) {
    size_t len = s->len;
    key[0] = s->key.low, key[1] = s->key.high, key[2] = key[3] = 0;
    if (len <= LLM_VOCAB_SHORT) return;
    uint8_t bytes[32] = {0};
    const uint8_t *p = s->at;
    if (end - p >= 32) {
        memcpy(bytes, p, 32);
        memset(bytes + len, 0, 32 - len);
    } else {
        memcpy(bytes, p, len);
    }
    for (int i = 0; i < 4; i++) key[i] = llm_vocab_word(bytes + 8 * i);
    key[3] |= (uint64_t)len << LENGTH_SHIFT;
}

static size_t merge(llm_encoder *e, const llm_span *s, const uint8_t *end, uint32_t *ids) {
    uint64_t *dead = (uint64_t *)(void *)llm_buffer_data(&e->dead);
    return llm_bpe_encode(&e->vocab, s->at, s->len, end, ids, dead);
}

/* The ids of a span that is no token. */
static size_t recall(llm_encoder *e, const llm_span *s, const uint8_t *end, uint32_t *ids) {
    if (s->len > CACHED_LEN) return merge(e, s, end, ids);
    memory *entry = entry_of(e, s);
    uint64_t key[4], same;
    cache_key(s, end, key);
    same = (entry->key[0] ^ key[0]) | (entry->key[1] ^ key[1]) | (entry->key[2] ^ key[2]);
    if ((same | (entry->key[3] ^ key[3]) << (64 - COUNT_SHIFT)) == 0) {
        memcpy(ids, entry->ids, sizeof entry->ids);
        return entry->key[3] >> COUNT_SHIFT;
    }
    size_t n = merge(e, s, end, ids);
    if (n > CACHED_IDS) return n;
    e->remembered++;
    memcpy(entry->key, key, sizeof key);
    entry->key[3] |= (uint64_t)n << COUNT_SHIFT;
    memcpy(entry->ids, ids, n * sizeof *ids);
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
