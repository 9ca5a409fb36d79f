/* encoding: what makes a named encoding out of a vocabulary: pattern, number of ranks, specials. */
#ifndef LLM_TOKENIZER_ENCODING_H
#define LLM_TOKENIZER_ENCODING_H

#include "split.h"

typedef struct llm_encoding {
    const char *name;
    const llm_vocab_head *vocab;
    uint32_t n_ranks, n_vocab;
    llm_splitter *split;
    const struct llm_special *specials; /* ends with a NULL text */
    uint32_t reserved; /* from this id on "<|reserved_ID|>" is special; 0 for none */
} llm_encoding;

enum { LLM_SPECIAL_MAX = 24 }; /* no special token is longer, in bytes */

const llm_encoding *llm_encoding_find(const char *name); /* NULL: there is none */

int64_t llm_encoding_special(const llm_encoding *e, const char *text, size_t len); /* id or -1 */

/* The text of a special token, NUL-terminated; its length, 0 if id is none. */
size_t llm_encoding_special_text(
    const llm_encoding *e, uint32_t id, char text[LLM_SPECIAL_MAX + 1]);

#endif
