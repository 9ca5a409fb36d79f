/* encode: spans to ids. What the vocabulary does not know is merged once and remembered in a cache
 * of at most 4 MiB, so that a long-lived program does not grow. Owned by one tokenizer: one thread. */
#ifndef LLM_TOKENIZER_ENCODE_H
#define LLM_TOKENIZER_ENCODE_H

#include "../buffer.h"
#include "encoding.h"

typedef struct llm_encoder {
    llm_vocab vocab;
    llm_splitter *split;
    struct llm_memory *cache; /* NULL until the first text; inside mapping, as is long_cache */
    struct llm_long_memory *long_cache;
    void *mapping;
    size_t mapping_len;  /* bytes */
    size_t remembered;   /* entries written since the cache is this large */
    unsigned cache_bits; /* log2 of the number of entries */
    llm_buffer ids;      /* uint32_t: what the latest call made */
    llm_buffer dead;     /* for llm_bpe_encode: all zero */
} llm_encoder;

void llm_encoder_init(llm_encoder *e, const llm_encoding *encoding);
void llm_encoder_clear(llm_encoder *e);

/* Encodes the next stretch of the text into e->ids; how many ids, 0 at its end, or LLM_ENOMEM. */
int64_t llm_encoder_next(llm_encoder *e, llm_cursor *text);

static inline const uint32_t *llm_encoder_ids(const llm_encoder *e) {
    return (const uint32_t *)(const void *)llm_buffer_data(&e->ids);
}

#endif
