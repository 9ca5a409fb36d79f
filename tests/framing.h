/* framing: holds a framer against a table of cases, each whole against a guard page, byte by byte,
 * and at every split in two. */
#ifndef LLM_TEST_FRAMING_H
#define LLM_TEST_FRAMING_H

#include <criterion/criterion.h>

#include "frames.h"
#include "guard.h"

typedef struct framing_case {
    const char *input;
    size_t len;
    const char *expected; /* as frames.h writes it */
    size_t max_bytes;     /* 0: plenty */
} framing_case;

#define BYTES(literal) (literal), sizeof(literal) - 1

static inline void framing_check(
    const char *kind, const framing_case *c, const char *text, size_t first, size_t step) {
    llm_buffer out;
    llm_buffer_init(&out);
    llm_framer *f = llm_framer_new(kind, c->max_bytes ? c->max_bytes : 1000, NULL);
    frames_of(f, text, c->len, first, step, &out);
    frames_put(&out, "", 1);
    cr_assert_str_eq(llm_buffer_data(&out), c->expected, "%s: got %s, expected %s (first %zu)",
        c->input, llm_buffer_data(&out), c->expected, first);
    llm_framer_free(f);
    llm_buffer_clear(&out);
}

static inline void framing_check_all(const char *kind, const framing_case *cases, size_t count) {
    for (const framing_case *c = cases; c < cases + count; c++) {
        guarded g = guard_text(c->input, c->len);
        framing_check(kind, c, g.text, 0, 0);
        framing_check(kind, c, g.text, 0, 1);
        for (size_t split = 0; split < c->len; split++)
            framing_check(kind, c, g.text, split, c->len);
        guard_free(&g);
    }
}

#endif
