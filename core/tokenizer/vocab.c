/* vocab: see vocab.h. */
#include "vocab.h"

llm_vocab llm_vocab_at(const llm_vocab_head *head, uint32_t n_ranks) {
    const uint8_t *base = (const uint8_t *)head;
    return (llm_vocab){
        .n_ranks = n_ranks,
        .bucket_bits = head->bucket_bits,
        .long_bits = head->long_bits,
        .uncut_leads = head->uncut_leads,
        .slots = (const void *)(base + head->slots),
        .longs = (const void *)(base + head->longs),
        .parts = (const void *)(base + head->parts),
        .starts = (const void *)(base + head->starts),
        .bytes = base + head->bytes,
        .cuts = (const void *)(base + head->cuts),
        .class_index = base + head->class_index,
        .class_blocks = base + head->class_blocks,
    };
}

uint32_t llm_vocab_find_long(const llm_vocab *v, const uint8_t *p, size_t len) {
    if (len > LLM_VOCAB_LONGEST) return LLM_VOCAB_NONE;
    uint64_t hash = llm_vocab_hash_long(p, len);
    size_t mask = ((size_t)1 << v->long_bits) - 1;
    for (size_t i = hash >> (64 - v->long_bits); v->longs[i].tag; i = (i + 1) & mask) {
        if (v->longs[i].tag != llm_vocab_tag(hash)) continue;
        uint32_t rank = v->longs[i].value;
        if (rank >= v->n_ranks || llm_vocab_token_len(v, rank) != len) continue;
        if (memcmp(v->bytes + v->starts[rank], p, len) == 0) return rank;
    }
    return LLM_VOCAB_NONE;
}

size_t llm_vocab_longest(const llm_vocab *v, const uint8_t *p) {
    uint64_t hash = llm_vocab_hash_prefix(p);
    size_t mask = ((size_t)1 << v->long_bits) - 1;
    for (size_t i = hash >> (64 - v->long_bits); v->longs[i].tag; i = (i + 1) & mask) {
        if (v->longs[i].tag == llm_vocab_tag(hash)) return v->longs[i].value;
    }
    return 0;
}
