/* vocab: the compiled form of a vocabulary and how it is searched. Private to the tokenizer and to
 * core/data/vocab/compile.c, which writes it. The tables are built once, at build time, linked into
 * the program and only ever read: opening one parses nothing and allocates nothing, and all
 * processes share its pages. */
#ifndef LLM_TOKENIZER_VOCAB_H
#define LLM_TOKENIZER_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    LLM_VOCAB_MAGIC = 0x314D4C4C,
    LLM_VOCAB_SHORT = 13,             /* tokens up to so many bytes stand in the short table, */
    LLM_VOCAB_PREFIX = 14,            /* longer ones in the long table, found by length */
    LLM_VOCAB_LONGEST = 128,          /* no token of any vocabulary is longer */
    LLM_VOCAB_BUCKET = 4,             /* slots of one cache line */
    LLM_VOCAB_BLOCK = 128,            /* code points of one block of the class table */
    LLM_VOCAB_PAIR_BITS = 19,         /* log2 of the number of bits of pairs and of */
    LLM_VOCAB_JOINT_BITS = 16,        /* joints */
    LLM_VOCAB_FILTER_WORDS = 1 << 16, /* of 64 bits */
    LLM_VOCAB_MEET_SHIFT = 2,         /* a rank fits 16 bits without these */
    LLM_VOCAB_RANK_SHIFT = 44,        /* above the five bytes and the length in llm_slot.high */
};
#define LLM_VOCAB_NONE UINT32_MAX

/* What a splitting pattern can tell apart; each character is of exactly one class. */
enum llm_class {
    LLM_CLASS_OTHER,
    LLM_CLASS_UPPER,  /* Lu Lt */
    LLM_CLASS_LOWER,  /* Ll */
    LLM_CLASS_LETTER, /* Lm Lo */
    LLM_CLASS_MARK,
    LLM_CLASS_NUMBER,
    LLM_CLASS_SPACE, /* \s without the two below */
    LLM_CLASS_NEWLINE,
};

/* A byte string of 1 to 13 bytes: eight in low, five and the length in high; in the short table
 * the rank stands above them. */
typedef struct llm_slot {
    uint64_t low, high;
} llm_slot;

/* A longer token by its hash; or, for a prefix of 14 bytes, the length of the longest token that
 * begins with it and is not one byte repeated, and above it the rank of the longest that is. */
typedef struct llm_long_slot {
    uint32_t tag; /* never 0 in use */
    uint32_t value;
} llm_long_slot;
enum { LLM_LONG_RUN_SHIFT = 8 };

/* The ranks of a token's last merge, that of the longest token it begins with, all three its own
 * for a single byte, and its length. */
typedef struct llm_parts {
    uint64_t left : 18, right : 18, shorter : 18, len : 8;
} llm_parts;

/* The head of a compiled vocabulary; a table stands so many bytes after the head's start. */
typedef struct llm_vocab_head {
    uint32_t magic, n_ranks;
    uint32_t n_buckets[2]; /* of ASCII tokens, and behind them of the others: a text in one
                            * language touches half of the pages */
    uint32_t long_bits;    /* log2 of the number of long slots */
    uint32_t slots, longs, parts, starts, bytes, meets, pairs, joints, filter, singles, doubles,
        class_index, class_blocks;
} llm_vocab_head;

typedef struct llm_vocab {
    uint32_t n_ranks; /* ranks from here on are not part of this vocabulary */
    uint32_t n_buckets[2], long_bits;
    const llm_slot *slots;
    const llm_long_slot *longs;
    const llm_parts *parts;
    const uint32_t *starts; /* offsets in bytes */
    const uint8_t *bytes;
    const uint16_t *meets; /* of two bytes: llm_vocab_meet */
    const uint64_t *pairs, *joints;
    const uint64_t *filter;
    const uint32_t *singles, *doubles; /* ranks of each byte; of each two, or LLM_VOCAB_NONE */
    const uint8_t *class_index, *class_blocks;
} llm_vocab;

/* The vocabulary compiled at head, cut to its first n_ranks ranks. */
llm_vocab llm_vocab_at(const llm_vocab_head *head, uint32_t n_ranks);

/* Maps all pages of the vocabulary at once: what touches most of them anyway is spared the faults. */
void llm_vocab_load(const llm_vocab *v);

/* The rank of the len bytes at p, more than LLM_VOCAB_SHORT; hash is llm_vocab_hash_long. */
uint32_t llm_vocab_probe_long(const llm_vocab *v, const uint8_t *p, size_t len, uint64_t hash);

/* The longest token of more than LLM_VOCAB_SHORT bytes that the len bytes at p, LLM_VOCAB_PREFIX at
 * least, begin with, or LLM_VOCAB_NONE. */
uint32_t llm_vocab_longest(const llm_vocab *v, const uint8_t *p, size_t len);

/* The class of a code point from U+0080 on. */
static inline enum llm_class llm_vocab_class(const llm_vocab *v, uint32_t code) {
    size_t block = v->class_index[code / LLM_VOCAB_BLOCK];
    return v->class_blocks[block * LLM_VOCAB_BLOCK + code % LLM_VOCAB_BLOCK];
}

static inline uint64_t llm_vocab_mix(uint64_t a, uint64_t b) {
    uint64_t hash = (a * 0x9E3779B97F4A7C15) ^ (b * 0xC2B2AE3D27D4EB4F);
    return (hash ^ (hash >> 29)) * 0xD6E8FEB86659FD93;
}

/* Eight bytes, the first in the lowest place on every machine. */
static inline uint64_t llm_vocab_word(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The key of the len bytes (1 to 13) at p; end is where the text ends. */
static inline llm_slot llm_vocab_key(const uint8_t *p, size_t len, const uint8_t *end) {
    llm_slot key = {0, 0};
    if (end - p >= 16) {
        unsigned low_bits = len < 8 ? 64 - 8 * (unsigned)len : 0;
        unsigned high_bits = len > 8 ? 8 * (unsigned)(len - 8) : 0;
        key.low = llm_vocab_word(p) & UINT64_MAX >> low_bits;
        key.high = llm_vocab_word(p + 8) & (((uint64_t)1 << high_bits) - 1);
    } else {
        uint8_t bytes[16] = {0};
        memcpy(bytes, p, len);
        key.low = llm_vocab_word(bytes);
        key.high = llm_vocab_word(bytes + 8);
    }
    key.high |= (uint64_t)len << 40;
    return key;
}

/* The highest bit says that there are other bytes than ASCII. */
static inline uint64_t llm_vocab_hash(llm_slot key) {
    uint64_t wide = (key.low | key.high) & 0x8080808080808080;
    return llm_vocab_mix(key.low, key.high) >> 1 | (uint64_t)(wide != 0) << 63;
}

static inline size_t llm_vocab_n_slots(const llm_vocab *v) {
    return ((size_t)v->n_buckets[0] + v->n_buckets[1]) * LLM_VOCAB_BUCKET;
}

static inline const llm_slot *llm_vocab_bucket(const llm_vocab *v, uint64_t hash) {
    uint64_t is_wide = hash >> 63, some = hash >> 31 & UINT32_MAX;
    uint64_t first = v->n_buckets[0] & -is_wide;
    return v->slots + (first + (some * v->n_buckets[is_wide] >> 32)) * LLM_VOCAB_BUCKET;
}

/* The rank of the token with this key, whose bucket begins at slot; LLM_VOCAB_NONE if there is none. */
static inline uint32_t llm_vocab_probe(const llm_vocab *v, llm_slot key, const llm_slot *slot) {
    const llm_slot *end = v->slots + llm_vocab_n_slots(v);
    for (;;) {
        uint32_t rank = LLM_VOCAB_NONE;
#pragma GCC unroll 4
        for (int i = 0; i < LLM_VOCAB_BUCKET; i++, slot++) { /* which one it is nobody can guess */
            uint64_t high = slot->high ^ key.high;
            uint64_t wrong = (slot->low ^ key.low) | high << (64 - LLM_VOCAB_RANK_SHIFT);
            rank = wrong == 0 ? (uint32_t)(high >> LLM_VOCAB_RANK_SHIFT) : rank;
        }
        if (rank < v->n_ranks) return rank;
        if (rank != LLM_VOCAB_NONE || slot[-1].high == 0) return LLM_VOCAB_NONE;
        if (slot == end) slot = v->slots;
    }
}

static inline size_t llm_vocab_token_len(const llm_vocab *v, uint32_t rank) {
    return v->parts[rank].len;
}

/* The longest token that this one begins with, LLM_VOCAB_NONE for a single byte. */
static inline uint32_t llm_vocab_shorter(const llm_vocab *v, uint32_t rank) {
    if (v->parts[rank].len == 1) return LLM_VOCAB_NONE;
    do rank = v->parts[rank].shorter;
    while (rank >= v->n_ranks);
    return rank;
}

/* No token of a lower rank holds the bytes first and second side by side. */
static inline uint32_t llm_vocab_meet(const llm_vocab *v, uint8_t first, uint8_t second) {
    return (uint32_t)v->meets[first << 8 | second] << LLM_VOCAB_MEET_SHIFT;
}

/* What the filter says of the 1 to 13 bytes with this hash: if LLM_FILTER_PREFIX is not set no token
 * begins with them, if LLM_FILTER_TOKEN is not set they are none; if set, it may still be so. */
enum { LLM_FILTER_PREFIX = 1, LLM_FILTER_TOKEN = 2 };
static inline size_t llm_vocab_filter_word(uint64_t hash) { /* two halves, as the buckets */
    return (hash >> 20 & (LLM_VOCAB_FILTER_WORDS / 2 - 1)) +
           (hash >> 63) * (LLM_VOCAB_FILTER_WORDS / 2);
}
static inline unsigned llm_vocab_filter(const llm_vocab *v, uint64_t hash) {
    uint64_t word = v->filter[llm_vocab_filter_word(hash)];
    return (word >> (hash & 63) & 1) | (word >> (hash >> 6 & 63) & 1) << 1;
}

/* Where two three-byte characters that some token holds both of are noted, */
static inline uint32_t llm_vocab_pair(uint32_t first, uint32_t second) {
    return (first * 0x9E3779B1u ^ second * 0x85EBCA6Bu) * 0xC2B2AE35u >> (32 - LLM_VOCAB_PAIR_BITS);
}
/* and where those that some token holds parts of: the last byte of first, two of second. */
static inline uint32_t llm_vocab_joint(uint32_t first, uint32_t second) {
    return (first & 0x3F) << 10 | second >> 6;
}
/* Bit 0: a token may span the boundary between these two. If not, no merge can cross it. */
static inline uint64_t llm_vocab_spans(const llm_vocab *v, uint32_t first, uint32_t second) {
    uint32_t pair = llm_vocab_pair(first, second), joint = llm_vocab_joint(first, second);
    return v->pairs[pair / 64] >> pair % 64 | v->joints[joint / 64] >> joint % 64;
}

/* The hashes of the long table, for the compiler and for vocab.c. */
static inline uint64_t llm_vocab_hash_prefix(const uint8_t *p) {
    return llm_vocab_mix(llm_vocab_word(p), llm_vocab_word(p + LLM_VOCAB_PREFIX - 8));
}
static inline uint64_t llm_vocab_hash_long(const uint8_t *p, size_t len) {
    return llm_vocab_mix(llm_vocab_hash_prefix(p) + len, llm_vocab_word(p + len - 8));
}
static inline uint32_t llm_vocab_tag(uint64_t hash) { return (uint32_t)hash | 1; }
static inline const llm_long_slot *llm_vocab_long_slot(const llm_vocab *v, uint64_t hash) {
    return &v->longs[hash >> (64 - v->long_bits)];
}

/* The rank of the token of len bytes at p, LLM_VOCAB_NONE if there is none: the way to ask where
 * that is the likely answer. */
static inline uint32_t llm_vocab_find(
    const llm_vocab *v, const uint8_t *p, size_t len, const uint8_t *end) {
    if (len > LLM_VOCAB_SHORT) return llm_vocab_probe_long(v, p, len, llm_vocab_hash_long(p, len));
    llm_slot key = llm_vocab_key(p, len, end);
    uint64_t hash = llm_vocab_hash(key);
    if (!(llm_vocab_filter(v, hash) & LLM_FILTER_TOKEN)) return LLM_VOCAB_NONE;
    return llm_vocab_probe(v, key, llm_vocab_bucket(v, hash));
}

#endif
