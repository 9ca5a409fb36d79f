/* ascii: the patterns of split.c over 64 bytes of ASCII at once, as arithmetic on sets of bytes
 * with one bit a byte. It says where pieces end as far as it can tell; the rest is left to the
 * patterns written out character by character. */
#ifndef LLM_TOKENIZER_ASCII_H
#define LLM_TOKENIZER_ASCII_H

#include <stddef.h>
#include <stdint.h>

/* Bit i: a piece ends behind the first i of the 64 bytes at p, where a piece begins. The highest
 * bit says how far it could tell; 0: nothing. */
typedef uint64_t llm_ascii(const uint8_t *p);

llm_ascii llm_ascii_cl100k, llm_ascii_o200k;

/* The length of 's|'t|'re|'ve|'m|'ll|'d at p, 0 if there is none. fold is the bit that tells
 * capitals apart where the pattern does not care for them, else 0. */
static inline size_t llm_ascii_contraction(const uint8_t *p, const uint8_t *end, unsigned fold) {
    if (end - p < 2 || *p != '\'') return 0;
    unsigned first = p[1] | fold, second = end - p > 2 ? p[2] | fold : 0;
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
    if (second == 'e' && (first == 'r' || first == 'v')) return 3;
    if (second == 'l' && first == 'l') return 3;
    if (fold && end - p > 2 && p[1] == 0xC5 && p[2] == 0xBF) return 3; /* U+017F */
    return 0;
}

#endif
