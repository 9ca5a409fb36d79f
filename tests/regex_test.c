/* regex: what matches, what is refused, and that no pattern and no text takes long. */
#include "regex.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "failing.h"

Test(regex, matches_as_ecma_262_does) {
    static const struct {
        const char *pattern, *text;
        int found;
    } CASES[] = {
        {"a+", "xxaayy", 1},
        {"^a*$", "", 1},
        {"^a*$", "abc", 0},
        {"^abc$", "abc\n", 0}, /* $ is the end, not the last line */
        {"^\\u00e9$", "\xC3\xA9", 1},
        {"^\\u{1F600}$", "\xF0\x9F\x98\x80", 1},
        {"^\\d$", "\xDF\x80", 0}, /* NKO digit zero: \d is ASCII */
        {"^\\w$", "\xC3\xA9", 0},
        {"^\\p{L}$", "\xC3\xA9", 1},
        {"^.$", "\xF0\x9F\x98\x80", 1},
        {"(?<=x)y", "0123456789012345678901234567890123456789xy", 1},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        llm_err err;
        llm_regex *regex = llm_regex_new(CASES[i].pattern, strlen(CASES[i].pattern), &err);
        cr_assert_not_null(regex, "case %zu", i);
        int found = llm_regex_matches(regex, CASES[i].text, strlen(CASES[i].text), &err);
        cr_expect_eq(found, CASES[i].found, "case %zu", i);
        llm_regex_free(regex);
    }
}

/* A match is found on either side of every seam between two windows. */
Test(regex, windows_leave_no_gap) {
    llm_regex *regex = llm_regex_new("\\u00e9b", 7, NULL);
    char text[140];
    for (size_t at = 0; at + 3 <= sizeof text; at++) {
        memset(text, 'a', sizeof text);
        memcpy(text + at,
            "\xC3\xA9"
            "b",
            3);
        cr_expect_eq(llm_regex_matches(regex, text, sizeof text, NULL), 1, "at %zu", at);
    }
    llm_regex_free(regex);
}

static void expect_refused(const char *pattern, size_t len, int code, const char *words) {
    llm_err err = {0};
    cr_expect_null(llm_regex_new(pattern, len, &err));
    cr_expect_eq(err.code, code, "%s", err.msg);
    cr_expect(strstr(err.msg, words), "%s", err.msg);
}

Test(regex, what_is_no_pattern) {
    expect_refused("a(b", 3, LLM_ESYNTAX, "at byte 4");
    expect_refused("\\C", 2, LLM_ESYNTAX, "at byte");
    expect_refused("\xFF", 1, LLM_ESYNTAX, "at byte");
    expect_refused("(?:(?:a{1000}){1000}){9}", 24, LLM_ESYNTAX, "too large");
    size_t len = 1 << 20;
    char *long_one = malloc(len);
    memset(long_one, '(', len);
    expect_refused(long_one, len, LLM_ETOOBIG, "longer than 32768 bytes");
    expect_refused(long_one, LLM_REGEX_PATTERN, LLM_ESYNTAX, "nested");
    free(long_one);
}

Test(regex, a_text_that_is_not_utf8) {
    llm_regex *regex = llm_regex_new("a", 1, NULL);
    llm_err err;
    cr_expect_eq(llm_regex_matches(regex, "\xFF", 1, &err), LLM_ESYNTAX);
    llm_regex_free(regex);
}

/* Each of these would run for minutes or years. */
Test(regex, hostile_patterns_end) {
    static const char *const PATTERNS[] = {
        "^(a|a)*$",
        "(a+)+$",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(?:a?){18}[bc]",
        "[a-z]+[@#]",
        "(?R)?a",
        "^(?:a*)*b",
        "(.*)*[xy](.*)*[yz]",
    };
    size_t len = 200000; /* below LLM_REGEX_STEPS: the clock has to end some of them */
    char *text = malloc(len);
    memset(text, 'a', len);
    for (size_t i = 0; i < sizeof PATTERNS / sizeof *PATTERNS; i++) {
        llm_err err;
        llm_regex *regex = llm_regex_new(PATTERNS[i], strlen(PATTERNS[i]), &err);
        cr_assert_not_null(regex, "%s: %s", PATTERNS[i], err.msg);
        clock_t start = clock();
        int rc = llm_regex_matches(regex, text, len, &err);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        cr_expect(rc == LLM_ETOOBIG || rc == 0 || rc == 1, "%s gives %d", PATTERNS[i], rc);
        cr_expect(seconds < 10, "%s takes %g s", PATTERNS[i], seconds);
        llm_regex_free(regex);
    }
    free(text);
}

Test(regex, without_memory) {
    bool failed;
    int n = 0;
    do {
        llm_err err = {0};
        fail_after(n++);
        llm_regex *regex = llm_regex_new("a", 1, &err);
        failed = fail_stop();
        cr_assert_eq(err.code, failed ? LLM_ENOMEM : 0);
        llm_regex_free(regex);
    } while (failed);
}
