/* ascii: see ascii.h. In all sets bit i stands for byte i, so that set << 1 are the bytes behind
 * those of the set, and adding the first byte of a run to a set that holds the run carries to the
 * byte behind it. */
#include "ascii.h"

#include "../bytes.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

typedef struct sets {
    uint64_t letter, digit, white, space, newline, symbol;
    uint64_t unknown; /* from the first of these on nothing is certain */
} sets;

static ALWAYS_INLINE sets sets_of(const uint8_t *p) {
    sets s = {
        .letter = llm_bytes_within(p, 0x20, 'a', 'z'),
        .digit = llm_bytes_within(p, 0, '0', '9'),
        .space = llm_bytes_within(p, 0, ' ', ' '),
        .newline = llm_bytes_within(p, 0, '\n', '\n') | llm_bytes_within(p, 0, '\r', '\r'),
        .unknown = llm_bytes_within(p, 0, 0x80, 0xFF),
    };
    s.white = s.space | llm_bytes_within(p, 0, '\t', '\r');
    s.symbol = ~(s.letter | s.digit | s.white | s.unknown);
    return s;
}

/* \p{N}{1,3} */
static ALWAYS_INLINE uint64_t numbers(const sets *s) {
    uint64_t first = s->digit & ~(s->digit << 1), three = s->digit & s->digit << 1 & s->digit << 2;
    uint64_t ends = first | (s->digit << 1 & ~s->digit);
    for (uint64_t next = first << 3 & three; next; next = next << 3 & three) ends |= next;
    return ends;
}

/* A symbol that is a piece with the letters behind it, if there are any. */
static ALWAYS_INLINE uint64_t prefixes(const sets *s) {
    return s->symbol & ~(s->symbol << 1) & ~(s->space << 1) & ~(s->symbol >> 1);
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ in what is left of the white space */
static ALWAYS_INLINE uint64_t white(sets *s, uint64_t left) {
    uint64_t lines = left & s->newline, others = left & ~s->newline;
    uint64_t behind = lines << 1 & ~lines, indents = behind & others;
    if ((others + indents) & lines) s->unknown |= indents; /* another newline follows */
    return (left & ~(left << 1)) | (others & ~(left >> 1)) | behind;
}

/* [^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * Where a symbol of tail comes behind the newlines it goes on, which is not followed here. */
static ALWAYS_INLINE uint64_t pieces(sets *s, uint64_t tail) {
    uint64_t letters = s->letter << 1 & ~s->letter;
    uint64_t symbols = s->symbol & ~(s->symbol << 1) & ~(s->space << 1);
    uint64_t words = s->symbol << 1 & s->letter & ~(prefixes(s) << 1);
    uint64_t carried = s->newline + (s->newline & s->symbol << 1);
    uint64_t behind = carried & ~s->newline, own = s->newline & ~carried;
    s->unknown |= behind & tail;
    return letters | numbers(s) | symbols | words | behind | white(s, s->white & ~own);
}

/* The ends that are certain: all up to the last byte before the unknown that is not white, for
 * where white space is cut depends on what follows. */
static ALWAYS_INLINE uint64_t certain(const sets *s, uint64_t ends) {
    uint64_t known = ~s->white & ((s->unknown & -s->unknown) - 1);
    return known ? ends & ~(uint64_t)1 & UINT64_MAX >> __builtin_clzll(known) : 0;
}

/* Where a contraction may reach out of the 64 bytes. */
static const uint64_t LAST_THREE = ~(UINT64_MAX >> 3);

uint64_t llm_ascii_cl100k(const uint8_t *p) {
    sets s = sets_of(p);
    uint64_t ends = pieces(&s, 0), quotes = llm_bytes_within(p, 0, '\'', '\'') & prefixes(&s);
    s.unknown |= quotes & LAST_THREE;
    for (quotes &= ~LAST_THREE; quotes; quotes &= quotes - 1) {
        int at = __builtin_ctzll(quotes);
        size_t len = llm_ascii_contraction(p + at, p + 64, 0x20);
        ends |= (uint64_t)(len > 0) << (at + (int)len);
    }
    return certain(&s, ends);
}

uint64_t llm_ascii_o200k(const uint8_t *p) {
    sets s = sets_of(p);
    uint64_t upper = llm_bytes_within(p, 0, 'A', 'Z'), lower = s.letter & ~upper;
    uint64_t ends = pieces(&s, llm_bytes_within(p, 0, '/', '/')) | (lower << 1 & upper);
    uint64_t quotes = llm_bytes_within(p, 0, '\'', '\'') & s.letter << 1;
    s.unknown |= quotes & LAST_THREE;
    for (quotes &= ~LAST_THREE; quotes; quotes &= quotes - 1) {
        int at = __builtin_ctzll(quotes);
        size_t len = llm_ascii_contraction(p + at, p + 64, 0x20);
        if (len == 0) continue;
        uint64_t behind = (uint64_t)1 << (at + (int)len), own = behind - ((uint64_t)1 << at);
        ends = (ends & ~own) | behind;
        quotes &= ~behind; /* a quote right behind it begins a piece */
    }
    return certain(&s, ends);
}
