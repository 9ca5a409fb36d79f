/* utf8: what is valid, and how much of the rest one U+FFFD replaces. */
#include "utf8.h"

#include <criterion/criterion.h>

#include "failing.h"
#include "guard.h"

#define FFFD "\xEF\xBF\xBD"

static const struct {
    const char *text;
    size_t valid;
    const char *repaired;
} CASES[] = {
    {"", 0, ""},
    {"plain ASCII, more than eight", 28, "plain ASCII, more than eight"},
    {"\xC2\x80\xDF\xBF", 4, "\xC2\x80\xDF\xBF"},
    {"\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80", 9, "\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80"},
    {"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8, "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"},
    {"a\x80", 1, "a" FFFD},
    {"\xC0\x80", 0, FFFD FFFD},
    {"\xC1\xBF", 0, FFFD FFFD},
    {"\xE0\x9F\x80", 0, FFFD FFFD FFFD},
    {"\xED\xA0\x80", 0, FFFD FFFD FFFD},
    {"\xF0\x8F\x80\x80", 0, FFFD FFFD FFFD FFFD},
    {"\xF4\x90\x80\x80", 0, FFFD FFFD FFFD FFFD},
    {"\xF5\xFF", 0, FFFD FFFD},
    /* the example of the Unicode standard, table 3-11 */
    {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", 0, FFFD FFFD FFFD FFFD "A"},
    {"abcdefgh\xE2\x82", 8, "abcdefgh" FFFD},
    {"\xE2\x82\xE2\x82\xAC", 0, FFFD "\xE2\x82\xAC"},
};

Test(utf8, repairs) {
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        size_t len = strlen(CASES[i].text);
        guarded g = guard_text(CASES[i].text, len);
        llm_buffer out = {0};
        cr_expect_eq(llm_utf8_valid(g.text, len), CASES[i].valid, "case %zu", i);
        cr_assert_eq(llm_utf8_append(&out, g.text, len), 0);
        cr_assert_eq(llm_buffer_append(&out, "", 1), 0);
        cr_expect_str_eq(llm_buffer_data(&out), CASES[i].repaired, "case %zu", i);
        llm_buffer_clear(&out);
        guard_free(&g);
    }
}

/* Much text is checked 64 bytes at a time: as it is one character at a time. */
Test(utf8, finds_the_first_wrong_byte_of_a_long_text) {
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        for (size_t at = 2; at < 140; at += 2) {
            char text[256];
            for (size_t k = 0; k < sizeof text; k += 2) memcpy(text + k, "\xC3\xA9", 2);
            memcpy(text + at, CASES[i].text, strlen(CASES[i].text));
            size_t valid = 0;
            for (int step; valid < sizeof text; valid += (size_t)step) {
                if ((step = llm_utf8_step(text + valid, text + sizeof text)) < 0) break;
            }
            cr_assert_eq(llm_utf8_valid(text, sizeof text), valid, "case %zu at %zu", i, at);
        }
    }
}

/* Of all code points exactly those that are no surrogates survive the way out and back. */
Test(utf8, puts_every_code_point) {
    for (unsigned long code = 0; code <= 0x10FFFF; code++) {
        char bytes[4];
        size_t len = llm_utf8_put(bytes, code);
        bool surrogate = code >= 0xD800 && code <= 0xDFFF;
        cr_assert_eq(llm_utf8_valid(bytes, len), surrogate ? 0 : len, "U+%lX", code);
    }
}

Test(utf8, runs_out_of_memory_cleanly) {
    char text[1000];
    memset(text, 'a', sizeof text);
    text[500] = '\xFF';
    bool failed;
    int n = 0;
    do {
        llm_buffer out = {0};
        fail_after(n++);
        int rc = llm_utf8_append(&out, text, sizeof text);
        failed = fail_stop();
        cr_expect_eq(rc, failed ? LLM_ENOMEM : 0);
        llm_buffer_clear(&out);
    } while (failed);
    cr_expect_gt(n, 2);
}
