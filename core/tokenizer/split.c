/* split: see split.h. The patterns are those of openai/tiktoken @ 4e71bbe0, openai_public.py;
 * \s, \p{…} and (?i) are those of Unicode 16, as in Rust's regex: (?i:'s) takes in U+017F. */
#include "split.h"

#include "../bytes.h"
#include "ascii.h"
#include "bpe.h"

enum { END_OF_TEXT = LLM_CLASS_NEWLINE + 1 }; /* one class more; in none of the sets below */

/* Each pattern becomes one function, whatever the compiler thinks of its size. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

#define SET(name) (1u << LLM_CLASS_##name)
static const unsigned LETTERS = SET(UPPER) | SET(LOWER) | SET(LETTER);
static const unsigned NOT_LOWER = SET(UPPER) | SET(LETTER) | SET(MARK);
static const unsigned NOT_UPPER = SET(LOWER) | SET(LETTER) | SET(MARK);
static const unsigned SYMBOLS = SET(OTHER) | SET(MARK);
static const unsigned WHITE = SET(SPACE) | SET(NEWLINE);
static const unsigned PREFIX = SET(OTHER) | SET(MARK) | SET(SPACE); /* [^\r\n\p{L}\p{N}] */

typedef struct text {
    const llm_vocab *classes;
    const uint8_t *end;
    bool wide;
} text;

typedef const uint8_t *piece(text *t, const uint8_t *p);

static inline bool is_in(unsigned set, unsigned class) { return set >> class & 1; }

/* The class of the character at p and where the next one begins, for other than ASCII. */
static unsigned peek_far(text *t, const uint8_t *p, const uint8_t **next) {
    uint32_t code = p[1] & 0x3F;
    if (p[0] < 0xE0) {
        *next = p + 2;
        return llm_vocab_class(t->classes, (uint32_t)(p[0] & 0x1F) << 6 | code);
    }
    t->wide = true;
    code = code << 6 | (p[2] & 0x3F);
    if (p[0] < 0xF0) {
        *next = p + 3;
        return llm_vocab_class(t->classes, (uint32_t)(p[0] & 0xF) << 12 | code);
    }
    *next = p + 4;
    return llm_vocab_class(t->classes, (uint32_t)(p[0] & 7) << 18 | code << 6 | (p[3] & 0x3F));
}

static ALWAYS_INLINE unsigned peek(text *t, const uint8_t *p, const uint8_t **next) {
    if (p == t->end) return END_OF_TEXT;
    if (*p >= 0x80) return peek_far(t, p, next);
    *next = p + 1;
    return t->classes->class_blocks[*p]; /* the first block is that of ASCII */
}

static inline const uint8_t *skip(text *t, const uint8_t *p, unsigned set) {
    const uint8_t *next = p;
    while (is_in(set, peek(t, p, &next))) p = next;
    return p;
}

/* The high bit of each byte of eight that is not an ASCII character from low to high. */
static ALWAYS_INLINE uint64_t outside(uint64_t eight, uint8_t low, uint8_t high) {
    const uint64_t ones = 0x0101010101010101, tops = 0x80 * ones;
    uint64_t seven = eight & ~tops;
    return (~(seven + (0x80 - low) * ones) | (seven + (0x7F - high) * ones) | eight) & tops;
}

/* Behind the characters from low to high at p, eight at a time. A bit in fold is set in each
 * character before it is compared. */
static ALWAYS_INLINE const uint8_t *skip_range(
    const text *t, const uint8_t *p, uint8_t fold, uint8_t low, uint8_t high) {
    for (; t->end - p >= 8; p += 8) {
        uint64_t eight = llm_vocab_word(p) | fold * (uint64_t)0x0101010101010101;
        uint64_t out = outside(eight, low, high);
        if (out) return p + __builtin_ctzll(out) / 8;
    }
    while (p < t->end && (*p | fold) >= low && (*p | fold) <= high) p++;
    return p;
}

/* The first bytes of 21 characters of three bytes. */
static const uint64_t THIRDS = 0x1249249249249249;

/* Behind the characters from U+4E00 to U+9FFF, all of them Lo, at p. */
static inline const uint8_t *skip_han(text *t, const uint8_t *p) {
    const uint8_t *start = p;
    while (t->end - p >= 64 && *p >= 0xE4 && *p <= 0xE9) {
        uint64_t before =
            llm_bytes_within(p, 0, 0xE4, 0xE4) & llm_bytes_within(p, 0, 0x80, 0xB7) >> 1;
        uint64_t others = (~llm_bytes_within(p, 0, 0xE4, 0xE9) | before) & THIRDS;
        t->wide = true;
        p += others ? __builtin_ctzll(others) : 63;
        if (others) return p;
    }
    while (p < t->end && p[0] >= 0xE4 && p[0] <= 0xE9 && (p[0] > 0xE4 || p[1] >= 0xB8)) p += 3;
    if (p > start) t->wide = true;
    return p;
}

/* skip() for sets that hold the small ASCII letters, or all (fold is 0x20), and Lo: those it takes
 * in long strides. */
static ALWAYS_INLINE const uint8_t *skip_letters(
    text *t, const uint8_t *p, unsigned set, uint8_t fold) {
    p = skip_range(t, p, fold, 'a', 'z');
    if (p == t->end || *p < 0x80) return p;
    return skip(t, skip_han(t, p), set);
}

/* \p{N}{1,3} */
static inline const uint8_t *three_numbers(text *t, const uint8_t *p) {
    const uint8_t *next = p;
    for (int i = 0; i < 3 && peek(t, p, &next) == LLM_CLASS_NUMBER; i++) p = next;
    return p;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at white space; the first only if newlines is the set of them. */
static inline const uint8_t *white(text *t, const uint8_t *start, unsigned newlines) {
    const uint8_t *p = skip_range(t, start, 0, ' ', ' '), *next = p, *newline = NULL;
    const uint8_t *last = p > start ? p - 1 : p;
    for (unsigned class; is_in(WHITE, class = peek(t, p, &next)); p = next) {
        last = p;
        if (is_in(newlines, class)) newline = next;
    }
    if (newline) return newline;
    return p == t->end || last == start ? p : last;
}

/* '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static ALWAYS_INLINE const uint8_t *piece_gpt2(text *t, const uint8_t *p) {
    const uint8_t *end = p + llm_ascii_contraction(p, t->end, 0), *next = p;
    if (end > p) return end;
    const uint8_t *run = *p == ' ' ? p + 1 : p;
    unsigned class = peek(t, run, &next);
    if (is_in(LETTERS, class)) return skip_letters(t, next, LETTERS, 0x20);
    if (class == LLM_CLASS_NUMBER) return skip(t, next, SET(NUMBER));
    if (is_in(SYMBOLS, class)) return skip(t, next, SYMBOLS);
    return white(t, p, 0);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+ */
static ALWAYS_INLINE const uint8_t *piece_cl100k(text *t, const uint8_t *p) {
    const uint8_t *end = p + llm_ascii_contraction(p, t->end, 0x20), *next = p, *after = p;
    if (end > p) return end;
    unsigned class = peek(t, p, &next);
    if (is_in(LETTERS, class)) return skip_letters(t, next, LETTERS, 0x20);
    if (class == LLM_CLASS_NUMBER) return three_numbers(t, p);
    unsigned second = peek(t, next, &after);
    if (is_in(PREFIX, class) && is_in(LETTERS, second))
        return skip_letters(t, after, LETTERS, 0x20);
    if (is_in(SYMBOLS, class) || (*p == ' ' && is_in(SYMBOLS, second))) {
        p = skip(t, next, SYMBOLS);
        while (p < t->end && (*p == '\r' || *p == '\n')) p++;
        return p;
    }
    return white(t, p, SET(NEWLINE));
}

/* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ at p: its end, or NULL; *run is where
 * the first half ends when it takes all it can. When no small letter follows, the second half has
 * to be given back one character of the first that both allow, and the last such is where it ends. */
static ALWAYS_INLINE const uint8_t *cased(text *t, const uint8_t *p, const uint8_t **run) {
    const uint8_t *next, *both = NULL;
    unsigned class;
    *run = p;
    if (p < t->end && *p >= 'a' && *p <= 'z') return skip_letters(t, p + 1, NOT_UPPER, 0);
    next = skip_han(t, p);
    if (next > p) p = both = next;
    for (; is_in(NOT_LOWER, class = peek(t, p, &next)); p = next) {
        if (class != LLM_CLASS_UPPER) both = next;
    }
    *run = p;
    return class == LLM_CLASS_LOWER ? skip_letters(t, next, NOT_UPPER, 0) : both;
}

/* The two word alternatives of o200k at p, a character of this class: the end, or NULL. */
static ALWAYS_INLINE const uint8_t *word_o200k(
    text *t, const uint8_t *p, unsigned class, const uint8_t *next) {
    const uint8_t *word = is_in(LETTERS, class) ? p : next, *run, *own;
    const uint8_t *end = cased(t, word, &run);
    /* a mark is a prefix as well as part of a word: if the one fails it is the other */
    if (!end && class == LLM_CLASS_MARK) end = cased(t, p, &own);
    if (!end && run > word) end = run;
    return end ? end + llm_ascii_contraction(end, t->end, 0x20) : NULL;
}

/* [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|…)?|
 * [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|…)?|
 * \p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static ALWAYS_INLINE const uint8_t *piece_o200k(text *t, const uint8_t *p) {
    const uint8_t *next = p, *after;
    unsigned class = peek(t, p, &next);
    if (class == LLM_CLASS_NUMBER) return three_numbers(t, p);
    if (is_in(LETTERS | PREFIX, class)) {
        const uint8_t *end = word_o200k(t, p, class, next);
        if (end) return end;
    }
    if (class == LLM_CLASS_OTHER || (*p == ' ' && peek(t, next, &after) == LLM_CLASS_OTHER)) {
        p = skip(t, next, SYMBOLS);
        while (p < t->end && (*p == '\r' || *p == '\n' || *p == '/')) p++;
        return p;
    }
    return white(t, p, SET(NEWLINE));
}

/* Here, where the search for the next boundary leaves the processor idle. */
static ALWAYS_INLINE void hash_span(const llm_vocab *v, llm_span *span, const uint8_t *end) {
    if (span->len <= LLM_VOCAB_SHORT) {
        span->key = llm_vocab_key(span->at, span->len, end);
        span->hash = llm_vocab_hash(span->key);
        span->bucket = llm_vocab_bucket(v, span->hash);
        __builtin_prefetch(span->bucket);
    } else {
        span->hash = llm_vocab_hash_long(span->at, span->len);
        __builtin_prefetch(llm_vocab_long_slot(v, span->hash));
    }
}

/* Nothing is told at once. */
static uint64_t no_ascii(const uint8_t *p) {
    (void)p;
    return 0;
}

static ALWAYS_INLINE bool is_ascii(const uint8_t *p, const uint8_t *end) {
    return end - p >= 64 && (llm_vocab_word(p) & 0x8080808080808080) == 0;
}

static ALWAYS_INLINE size_t fill(
    llm_ascii *many, piece *one, const llm_vocab *v, llm_cursor *c, llm_span *spans, size_t max) {
    text t = {v, c->end, c->wide};
    const uint8_t *p = c->at, *stop = c->stop;
    uint64_t ends = c->ends;
    size_t n = 0;
    for (; n < max && p < c->end; n++) {
        if (p == stop && is_ascii(p, c->end)) {
            t.wide = false;
            ends = many(p);
            if (ends) stop = p + 63 - __builtin_clzll(ends);
        }
        if (p == stop) {
            t.wide = false;
            stop = one(&t, p);
        }
        if (ends == 0 && t.wide) ends = llm_bpe_cuts(v, p, (size_t)(stop - p));
        size_t len = (size_t)(stop - p);
        if (ends) {
            len = (size_t)__builtin_ctzll(ends);
            ends = ends >> len & ~(uint64_t)1;
        }
        spans[n].at = p, spans[n].len = len;
        hash_span(v, &spans[n], c->end);
        p += len;
    }
    c->at = p, c->stop = stop, c->ends = ends, c->wide = t.wide;
    return n;
}

size_t llm_split_gpt2(const llm_vocab *v, llm_cursor *c, llm_span *spans, size_t max) {
    return fill(no_ascii, piece_gpt2, v, c, spans, max);
}

size_t llm_split_cl100k(const llm_vocab *v, llm_cursor *c, llm_span *spans, size_t max) {
    return fill(llm_ascii_cl100k, piece_cl100k, v, c, spans, max);
}

size_t llm_split_o200k(const llm_vocab *v, llm_cursor *c, llm_span *spans, size_t max) {
    return fill(llm_ascii_o200k, piece_o200k, v, c, spans, max);
}
