/* tokenizer: text to tokens and back, exactly as OpenAI's vocabularies define it.
 *
 * Vocabularies: o200k_base, o200k_harmony, cl100k_base, p50k_base, r50k_base. They are linked into
 * the program; opening one parses nothing. A tokenizer is the memory of one user (a cache of at
 * most 4 MiB): use it from one thread at a time, have as many as you like.
 *
 * Texts are UTF-8; an invalid sequence counts as U+FFFD (utf8.h). Text that looks like a special
 * token is ordinary text unless its id is allowed by the caller. */
#ifndef LLM_TOKENIZER_H
#define LLM_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "../buffer.h"

typedef struct llm_tokenizer llm_tokenizer;

/* NULL with err: LLM_EINVAL (no vocabulary has this name), LLM_ENOMEM. */
llm_tokenizer *llm_tokenizer_new(const char *name, llm_err *err);
void llm_tokenizer_free(llm_tokenizer *t); /* NULL allowed */

const char *llm_tokenizer_name(const llm_tokenizer *t);
uint32_t llm_tokenizer_n_vocab(const llm_tokenizer *t); /* all ids are below */

/* The id of a special token such as "<|endoftext|>", or -1. */
int64_t llm_tokenizer_special(const llm_tokenizer *t, const char *text, size_t len);

/* The special tokens that encode may produce: these ids, or all that the vocabulary has. */
typedef struct llm_specials {
    const uint32_t *ids;
    size_t n;
    int all;
} llm_specials;

/* Appends the ids, as uint32_t, to ids. allowed may be NULL: none. 0, or LLM_ENOMEM. */
int llm_tokenizer_encode(
    llm_tokenizer *t, const char *text, size_t len, const llm_specials *allowed, llm_buffer *ids);

/* Appends the bytes of n ids to text: a part of a character if the ids end in one. 0, LLM_ENOMEM,
 * or LLM_EINVAL for an id that the vocabulary does not have. */
int llm_tokenizer_decode(
    const llm_tokenizer *t, const uint32_t *ids, size_t n, llm_buffer *text, llm_err *err);

/* How many ids encode without special tokens gives; limit + 1 if there are more than limit, which
 * is found out without reading on. 0, or LLM_ENOMEM. */
int llm_tokenizer_count(
    llm_tokenizer *t, const char *text, size_t len, size_t limit, size_t *count);

/* The length in bytes of the longest run of whole tokens from the start that are at most n and end
 * between two characters. 0, or LLM_ENOMEM. */
int llm_tokenizer_truncate(
    llm_tokenizer *t, const char *text, size_t len, size_t n, size_t *keep_len);

#endif
