/* vocab: see vocab.h. */
#include "vocab.h"

#include <sys/mman.h>

llm_vocab llm_vocab_at(const llm_vocab_head *head, uint32_t n_ranks) {
    const uint8_t *base = (const uint8_t *)head;
    return (llm_vocab){
        .n_ranks = n_ranks,
        .n_buckets = {head->n_buckets[0], head->n_buckets[1]},
        .long_bits = head->long_bits,
        .slots = (const void *)(base + head->slots),
        .longs = (const void *)(base + head->longs),
        .parts = (const void *)(base + head->parts),
        .starts = (const void *)(base + head->starts),
        .bytes = base + head->bytes,
        .meets = (const void *)(base + head->meets),
        .pairs = (const void *)(base + head->pairs),
        .joints = (const void *)(base + head->joints),
        .filter = (const void *)(base + head->filter),
        .singles = (const void *)(base + head->singles),
        .doubles = (const void *)(base + head->doubles),
        .class_index = base + head->class_index,
        .class_blocks = base + head->class_blocks,
    };
}

#ifdef MADV_POPULATE_READ /* Linux 5.14 */
void llm_vocab_load(const llm_vocab *v) {
    uintptr_t first = (uintptr_t)v->slots / 4096 * 4096; /* data.c puts vocabularies on pages */
    madvise((void *)first, (uintptr_t)v->class_index - first, MADV_POPULATE_READ);
}
#else
void llm_vocab_load(const llm_vocab *v) { (void)v; }
#endif

uint32_t llm_vocab_probe_long(const llm_vocab *v, const uint8_t *p, size_t len, uint64_t hash) {
    if (len > LLM_VOCAB_LONGEST) return LLM_VOCAB_NONE;
    const llm_long_slot *last = v->longs + ((size_t)1 << v->long_bits) - 1;
    const llm_long_slot *slot = llm_vocab_long_slot(v, hash);
    for (; slot->tag; slot = slot == last ? v->longs : slot + 1) {
        if (slot->tag != llm_vocab_tag(hash)) continue;
        if (slot->value >= v->n_ranks || llm_vocab_token_len(v, slot->value) != len) continue;
        if (memcmp(v->bytes + v->starts[slot->value], p, len) == 0) return slot->value;
    }
    return LLM_VOCAB_NONE;
}

static uint32_t longest_run(const llm_vocab *v, const uint8_t *p, size_t len, uint32_t rank) {
    size_t run = 1;
    if (v->bytes[v->starts[rank]] != p[0]) return LLM_VOCAB_NONE; /* a prefix with the same tag */
    while (run < len && run < LLM_VOCAB_LONGEST && p[run] == p[0]) run++;
    while (llm_vocab_token_len(v, rank) > run || rank >= v->n_ranks) rank = v->parts[rank].shorter;
    return llm_vocab_token_len(v, rank) > LLM_VOCAB_SHORT ? rank : LLM_VOCAB_NONE;
}

uint32_t llm_vocab_longest(const llm_vocab *v, const uint8_t *p, size_t len) {
    uint64_t hash = llm_vocab_hash_prefix(p);
    const llm_long_slot *last = v->longs + ((size_t)1 << v->long_bits) - 1;
    const llm_long_slot *slot = llm_vocab_long_slot(v, hash);
    while (slot->tag && slot->tag != llm_vocab_tag(hash)) {
        slot = slot == last ? v->longs : slot + 1;
    }
    uint32_t run = slot->value >> LLM_LONG_RUN_SHIFT, rank = LLM_VOCAB_NONE;
    size_t mixed = slot->value & ((1 << LLM_LONG_RUN_SHIFT) - 1), least = LLM_VOCAB_SHORT;
    if (run) rank = longest_run(v, p, len, run);
    if (rank != LLM_VOCAB_NONE) least = llm_vocab_token_len(v, rank);
    for (size_t i = mixed < len ? mixed : len; i > least; i--) {
        uint32_t found = llm_vocab_probe_long(v, p, i, llm_vocab_hash_long(p, i));
        if (found != LLM_VOCAB_NONE) return found;
    }
    return rank;
}
