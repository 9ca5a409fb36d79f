/* split: the splitting patterns of the vocabularies, written out by hand. A pattern cuts a text
 * into pieces; byte-pair encoding then works on each piece alone. The patterns themselves stand at
 * the functions in split.c. Nothing is allocated or owned; every pattern takes linear time. */
#ifndef LLM_TOKENIZER_SPLIT_H
#define LLM_TOKENIZER_SPLIT_H

#include "vocab.h"

typedef struct llm_span {
    const uint8_t *at;
    size_t len;
    bool wide; /* holds a character of three or four bytes */
} llm_span;

/* Cuts pieces off the front of the valid UTF-8 from *at to end until there are max of them or the
 * text is done; moves *at behind them and returns how many. The rest of the text decides where a
 * piece ends, so end is always the end of all of it. */
typedef size_t llm_splitter(
    const llm_vocab *classes, const uint8_t **at, const uint8_t *end, llm_span *spans, size_t max);

llm_splitter llm_split_gpt2, llm_split_cl100k, llm_split_o200k;

#endif
