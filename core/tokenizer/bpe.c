/* bpe: see bpe.h. */
#include "bpe.h"

/* Whether the merges leave left | right apart where they meet at p. Walks back through the merges
 * of the two, the latest first: at each step the pair across the boundary must not be one that is
 * merged before the step that was just undone (a tie goes to the pair further left). */
static bool stay_apart(
    const llm_vocab *v, const uint8_t *p, uint32_t left, uint32_t right, const uint8_t *end) {
    uint32_t limit = LLM_VOCAB_NONE;
    for (;;) {
        llm_parts of_left = v->parts[left], of_right = v->parts[right];
        size_t len = (size_t)of_left.len + of_right.len;
        if (llm_vocab_find(v, p - of_left.len, len, end) < limit) return false;
        if (left > right) {
            if (of_left.len == 1) return true;
            limit = left, left = of_left.right;
        } else {
            if (of_right.len == 1) return true;
            limit = right + 1, right = of_right.left;
        }
    }
}

/* The lengths that a token at a place may have: longest for more than LLM_VOCAB_SHORT bytes, 0 if
 * there is none, and bit i - 1 of mask for i bytes. */
typedef struct lengths {
    size_t longest;
    unsigned mask;
} lengths;

static lengths lengths_at(const llm_vocab *v, const uint8_t *p, size_t len, const uint8_t *end) {
    lengths at = {0, 1};
    unsigned found = LLM_FILTER_PREFIX;
    for (size_t i = 2; i <= LLM_VOCAB_SHORT && i <= len; i++) {
        found = llm_vocab_filter(v, llm_vocab_hash(llm_vocab_key(p, i, end)));
        if (!(found & LLM_FILTER_PREFIX)) return at;
        if (found & LLM_FILTER_TOKEN) at.mask |= 1u << (i - 1);
    }
    if (len < LLM_VOCAB_PREFIX) return at;
    at.longest = llm_vocab_longest(v, p, len);
    return at;
}

/* The longest of them, 0 if there is none left. */
static size_t longest(lengths at) {
    if (at.longest > LLM_VOCAB_SHORT) return at.longest;
    return at.mask ? 32 - (size_t)__builtin_clz(at.mask) : 0;
}

static void drop(lengths *at, size_t from) { /* what is as long or longer */
    if (from > LLM_VOCAB_SHORT) {
        at->longest = from - 1;
    } else {
        at->longest = 0;
        at->mask &= (1u << (from - 1)) - 1;
    }
}

static bool is_dead(const uint64_t *dead, size_t at) { return dead[at / 64] >> at % 64 & 1; }

size_t llm_bpe_encode(const llm_vocab *v, const uint8_t *p, size_t len, const uint8_t *end,
    uint32_t *ids, uint64_t *dead) {
    size_t n = 0, at = 0, lost = 0, step;
    uint32_t good_left = LLM_VOCAB_NONE, good_right = LLM_VOCAB_NONE; /* known to stay apart */
    lengths tries = lengths_at(v, p, len, end);
    while (at < len) {
        uint32_t rank = LLM_VOCAB_NONE;
        for (; (step = longest(tries)) > 0; drop(&tries, step)) {
            if (lost && is_dead(dead, at + step)) continue;
            rank = llm_vocab_find(v, p + at, step, end);
            if (rank == LLM_VOCAB_NONE) continue;
            if (n == 0 || (ids[n - 1] == good_left && rank == good_right)) break;
            if (stay_apart(v, p + at, ids[n - 1], rank, end)) {
                good_left = ids[n - 1], good_right = rank;
                break;
            }
        }
        if (step > 0) {
            ids[n++] = rank;
            at += step;
            tries = lengths_at(v, p + at, len - at, end);
        } else { /* no encoding goes through here: never come back */
            dead[at / 64] |= (uint64_t)1 << at % 64;
            lost = at > lost ? at : lost;
            step = llm_vocab_token_len(v, ids[--n]);
            at -= step;
            tries = lengths_at(v, p + at, len - at, end);
            drop(&tries, step);
        }
    }
    if (lost) memset(dead, 0, (lost / 64 + 1) * sizeof *dead);
    return n;
}

static uint32_t three_bytes(const uint8_t *p) {
    return (uint32_t)(p[0] & 15) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
}

size_t llm_bpe_cut(const llm_vocab *v, const uint8_t *p, size_t len) {
    size_t at = 0;
    while (at + 6 <= len) {
        if (p[at] >> 4 != 0xE) {
            at += p[at] < 0x80 ? 1 : p[at] < 0xE0 ? 2 : 4;
            continue;
        }
        const uint8_t *second = p + at + 3;
        if (*second >> 4 == 0xE && !(v->uncut_leads >> (*second & 15) & 1)) {
            uint32_t bit = llm_vocab_cut_bit(three_bytes(p + at), three_bytes(second));
            if (!(v->cuts[bit / 64] >> bit % 64 & 1)) return at + 3;
        }
        at += 3;
    }
    return len;
}
