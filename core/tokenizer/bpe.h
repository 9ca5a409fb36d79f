/* bpe: byte-pair encoding of one piece, in two ways that give the same.
 *
 * In linear time: the encoding is the one sequence of tokens in which every two neighbours are
 * what the merges would leave apart, so it can be found from left to right: take the longest token
 * that gets on with the one before it, and step back where none does. No heap, no list of pairs.
 *
 * And for a word by the merges themselves, the pair of the lowest rank first: it has few bytes, and
 * most of them are merged as most words' are. */
#ifndef LLM_TOKENIZER_BPE_H
#define LLM_TOKENIZER_BPE_H

#include "vocab.h"

/* Writes the tokens of the len bytes at p, at most len, to ids and returns how many. end is the end
 * of the text that p stands in; dead is len / 64 + 1 words, all zero, and is zero again after. */
size_t llm_bpe_encode(const llm_vocab *v, const uint8_t *p, size_t len, const uint8_t *end,
    uint32_t *ids, uint64_t *dead);

enum { LLM_BPE_WORD = 32 };

/* The same for 1 to LLM_BPE_WORD bytes, merge by merge. */
size_t llm_bpe_merge(
    const llm_vocab *v, const uint8_t *p, size_t len, const uint8_t *end, uint32_t *ids);

/* Where a piece of len > 0 bytes can be cut because no token of v spans the place: what is left of
 * it is encoded as if nothing followed. Bit i is for the first i bytes; the end of the piece is such
 * a place. 0 if there is none in the first 63 bytes. Piece is valid UTF-8. */
uint64_t llm_bpe_cuts(const llm_vocab *v, const uint8_t *p, size_t len);

#endif
