/* split: the splitting patterns of the vocabularies, written out by hand. A pattern cuts a text
 * into pieces; byte-pair encoding then works on each piece alone. The patterns themselves stand at
 * the functions in split.c. Nothing is allocated or owned; every pattern takes linear time. */
#ifndef LLM_TOKENIZER_SPLIT_H
#define LLM_TOKENIZER_SPLIT_H

#include "vocab.h"

/* A text on its way through a splitter. It ends at end for all that a pattern looks at. */
typedef struct llm_cursor {
    const uint8_t *at, *end; /* what is still to be split */
    const uint8_t *stop; /* private, at first at: where what ends tells of, or the piece, ends */
    uint64_t ends;       /* private, at first 0: bit i: a span ends behind the next i bytes */
    bool wide;           /* private, at first false */
} llm_cursor;

typedef struct llm_span {
    const uint8_t *at;
    size_t len;
    llm_slot key;           /* of a short one */
    const llm_slot *bucket; /* of the key */
    uint64_t hash; /* of the key, or llm_vocab_hash_long; its table slots are on their way */
} llm_span;

/* Cuts spans off the front until there are max of them or the text is done; returns how many. A
 * span is a piece, or a part of one that no token of v reaches out of (llm_bpe_cuts). */
typedef size_t llm_splitter(const llm_vocab *v, llm_cursor *c, llm_span *spans, size_t max);

llm_splitter llm_split_gpt2, llm_split_cl100k, llm_split_o200k;

#endif
