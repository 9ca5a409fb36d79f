/* bpe: see bpe.h. */
#include "bpe.h"

/* Whether the merges leave left | right apart where they meet at p. Walks back through the merges
 * of the two, the latest first: at each step the pair across the boundary must not be one that is
 * merged before the step that was just undone (a tie goes to the pair further left). */
static bool stay_apart(
    const llm_vocab *v, const uint8_t *p, uint32_t left, uint32_t right, const uint8_t *end) {
    uint32_t limit = LLM_VOCAB_NONE, least = llm_vocab_meet(v, p[-1], p[0]);
    for (;;) {
        llm_parts of_left = v->parts[left], of_right = v->parts[right];
        size_t len = (size_t)of_left.len + of_right.len;
        if (llm_vocab_find(v, p - of_left.len, len, end) < limit) return false;
        bool undo_left = left > right; /* no branches: nobody can guess */
        if ((undo_left ? of_left.len : of_right.len) == 1) return true;
        limit = undo_left ? left : right + 1;
        if (limit <= least) return true;
        left = undo_left ? of_left.right : left;
        right = undo_left ? right : of_right.left;
    }
}

/* A token with its length, which is often known before it: what comes next need not wait. */
typedef struct token {
    uint32_t rank; /* LLM_VOCAB_NONE: there is none */
    size_t len;
} token;

static token token_of(const llm_vocab *v, uint32_t rank) {
    return (token){rank, rank == LLM_VOCAB_NONE ? 0 : llm_vocab_token_len(v, rank)};
}

/* The longest token at p. */
static token longest(const llm_vocab *v, const uint8_t *p, size_t len, const uint8_t *end) {
    unsigned tries = 1, found = LLM_FILTER_PREFIX; /* bit i - 1: i bytes may be a token */
    for (size_t i = 2; found & LLM_FILTER_PREFIX && i <= LLM_VOCAB_SHORT && i <= len; i++) {
        found = llm_vocab_filter(v, llm_vocab_hash(llm_vocab_key(p, i, end)));
        if (found & LLM_FILTER_TOKEN) tries |= 1u << (i - 1);
    }
    if (found & LLM_FILTER_PREFIX && len >= LLM_VOCAB_PREFIX) {
        uint32_t rank = llm_vocab_longest(v, p, len);
        if (rank != LLM_VOCAB_NONE) return token_of(v, rank);
    }
    for (;;) {
        unsigned i = 31 - (unsigned)__builtin_clz(tries);
        llm_slot key = llm_vocab_key(p, i + 1, end);
        uint32_t rank = llm_vocab_probe(v, key, llm_vocab_bucket(v, llm_vocab_hash(key)));
        if (rank != LLM_VOCAB_NONE) return (token){rank, i + 1};
        tries ^= 1u << i;
    }
}

static bool is_dead(const uint64_t *dead, size_t at) { return dead[at / 64] >> at % 64 & 1; }

size_t llm_bpe_encode(const llm_vocab *v, const uint8_t *p, size_t len, const uint8_t *end,
    uint32_t *ids, uint64_t *dead) {
    size_t n = 0, at = 0, lost = 0;
    uint32_t good_left = LLM_VOCAB_NONE, good_right = LLM_VOCAB_NONE; /* known to stay apart */
    token t = longest(v, p, len, end);
    for (;;) {
        for (; t.rank != LLM_VOCAB_NONE; t = token_of(v, llm_vocab_shorter(v, t.rank))) {
            if (lost && is_dead(dead, at + t.len)) continue;
            if (n == 0 || (ids[n - 1] == good_left && t.rank == good_right)) break;
            if (stay_apart(v, p + at, ids[n - 1], t.rank, end)) {
                good_left = ids[n - 1], good_right = t.rank;
                break;
            }
        }
        if (t.rank != LLM_VOCAB_NONE) {
            ids[n++] = t.rank;
            at += t.len;
            if (at == len) break;
            t = longest(v, p + at, len - at, end);
        } else { /* no encoding goes through here: never come back */
            dead[at / 64] |= (uint64_t)1 << at % 64;
            lost = at > lost ? at : lost;
            uint32_t last = ids[--n];
            at -= llm_vocab_token_len(v, last);
            t = token_of(v, llm_vocab_shorter(v, last));
        }
    }
    if (lost) memset(dead, 0, (lost / 64 + 1) * sizeof *dead);
    return n;
}

enum { PLACE_BITS = 6 };

/* A pair among others: the least is merged first, of two alike the one further left. */
static inline uint32_t in_order(uint32_t rank, int place) {
    return rank == LLM_VOCAB_NONE ? rank : rank << PLACE_BITS | (uint32_t)place;
}

/* The least of n numbers, a multiple of four. */
static uint32_t least_of(const uint32_t *numbers, size_t n) {
    uint32_t least[4] = {numbers[0], numbers[1], numbers[2], numbers[3]};
    for (size_t i = 4; i < n; i += 4) {
        for (int k = 0; k < 4; k++) {
            least[k] = numbers[i + k] < least[k] ? numbers[i + k] : least[k];
        }
    }
    uint32_t first = least[0] < least[1] ? least[0] : least[1];
    uint32_t second = least[2] < least[3] ? least[2] : least[3];
    return first < second ? first : second;
}

/* The token of the bytes from from to to among the pairs, as the one at place. */
static inline uint32_t pair_of(
    const llm_vocab *v, const uint8_t *from, const uint8_t *to, const uint8_t *end, int place) {
    return in_order(llm_vocab_find(v, from, (size_t)(to - from), end), place);
}

static void find_doubles(const llm_vocab *v, const uint8_t *p, size_t len, uint32_t *pairs) {
    for (size_t i = 0; i + 1 < len; i++) {
        uint32_t rank = v->doubles[p[i] << 8 | p[i + 1]];
        pairs[i] = in_order(rank < v->n_ranks ? rank : LLM_VOCAB_NONE, (int)i);
    }
}

/* live: bit i is set where a token begins, and at the end; pairs[i]: the token there and the next. */
size_t llm_bpe_merge(
    const llm_vocab *v, const uint8_t *p, size_t len, const uint8_t *end, uint32_t *ids) {
    uint32_t tokens[LLM_BPE_WORD], pairs[LLM_BPE_WORD];
    size_t n_pairs = (len + 3) & ~(size_t)3, n = 0;
    uint64_t live = ((uint64_t)2 << len) - 1;
    memset(pairs, 0xFF, sizeof pairs); /* LLM_VOCAB_NONE */
    find_doubles(v, p, len, pairs);
    for (size_t i = 0; i < len; i++) tokens[i] = v->singles[p[i]];
    for (uint32_t least; (least = least_of(pairs, n_pairs)) != LLM_VOCAB_NONE;) {
        int at = least & ((1 << PLACE_BITS) - 1);
        uint64_t behind = live & ~(uint64_t)1 << at, after = behind & (behind - 1);
        uint64_t before = live & (((uint64_t)1 << at) - 1);
        int next = __builtin_ctzll(after);
        pairs[__builtin_ctzll(behind)] = LLM_VOCAB_NONE;
        live ^= behind ^ after;
        tokens[at] = least >> PLACE_BITS;
        after &= after - 1;
        pairs[at] =
            after ? pair_of(v, p + at, p + __builtin_ctzll(after), end, at) : LLM_VOCAB_NONE;
        if (!before) continue;
        int last = 63 - __builtin_clzll(before);
        pairs[last] = pair_of(v, p + last, p + next, end, last);
    }
    for (live ^= (uint64_t)1 << len; live; live &= live - 1)
        ids[n++] = tokens[__builtin_ctzll(live)];
    return n;
}

static uint32_t three_bytes(const uint8_t *p) {
    return (uint32_t)(p[0] & 15) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
}

uint64_t llm_bpe_cuts(const llm_vocab *v, const uint8_t *p, size_t len) {
    uint64_t cuts = len < 64 ? (uint64_t)1 << len : 0, is_wide = 0;
    uint32_t before = 0;
    for (size_t at = 0; at < len && at < 64;) {
        if (p[at] >> 4 != 0xE) {
            is_wide = 0;
            at += p[at] < 0x80 ? 1 : p[at] < 0xE0 ? 2 : 4;
            continue;
        }
        uint32_t code = three_bytes(p + at); /* no branches: where words end nobody can guess */
        cuts |= (~llm_vocab_spans(v, before, code) & is_wide) << at;
        before = code, is_wide = 1;
        at += 3;
    }
    return cuts;
}
