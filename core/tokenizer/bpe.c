/* bpe: see bpe.h. */
#include "bpe.h"

/* Whether the merges leave left | right apart where they meet at p. Walks back through the merges
 * of the two, the latest first: at each step the pair across the boundary must not be one that is
 * merged before the step that was just undone (a tie goes to the pair further left). */
static bool stay_apart(
    const llm_vocab *v, const uint8_t *p, uint32_t left, uint32_t right, const uint8_t *end) {
    uint32_t limit = LLM_VOCAB_NONE;
    for (;;) {
        size_t before = llm_vocab_token_len(v, left), after = llm_vocab_token_len(v, right);
        if (llm_vocab_find(v, p - before, before + after, end) < limit) return false;
        if (left > right) {
            if (before == 1) return true;
            limit = left, left = v->parts[left].right;
        } else {
            if (after == 1) return true;
            limit = right + 1, right = v->parts[right].left;
        }
    }
}

/* No token at p, of which len bytes are left, is longer. */
static size_t longest(const llm_vocab *v, const uint8_t *p, size_t len) {
    if (len <= LLM_VOCAB_SHORT) return len;
    size_t most = llm_vocab_longest(v, p);
    if (most < LLM_VOCAB_SHORT) return LLM_VOCAB_SHORT;
    return most < len ? most : len;
}

static bool is_dead(const uint64_t *dead, size_t at) { return dead[at / 64] >> at % 64 & 1; }

size_t llm_bpe_encode(const llm_vocab *v, const uint8_t *p, size_t len, const uint8_t *end,
    uint32_t *ids, uint64_t *dead) {
    size_t n = 0, at = 0, lost = 0, try = longest(v, p, len);
    uint32_t good_left = LLM_VOCAB_NONE, good_right = LLM_VOCAB_NONE; /* known to stay apart */
    while (at < len) {
        uint32_t rank = LLM_VOCAB_NONE;
        for (; try > 0; try--) {
            rank = llm_vocab_find(v, p + at, try, end);
            if (rank == LLM_VOCAB_NONE || (lost && is_dead(dead, at + try))) continue;
            if (n == 0 || (ids[n - 1] == good_left && rank == good_right)) break;
            if (stay_apart(v, p + at, ids[n - 1], rank, end)) {
                good_left = ids[n - 1], good_right = rank;
                break;
            }
        }
        if (try > 0) {
            ids[n++] = rank;
            at += try;
            try = longest(v, p + at, len - at);
        } else { /* no encoding goes through here: never come back */
            dead[at / 64] |= (uint64_t)1 << at % 64;
            lost = at > lost ? at : lost;
            size_t back = llm_vocab_token_len(v, ids[--n]);
            at -= back;
            try = back - 1;
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
