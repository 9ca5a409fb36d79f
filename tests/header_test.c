/* Header lines: what may be sent, what is found in a reply, whether a reply's end is certain. */
#include <criterion/criterion.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "guard.h"
#include "http.h"

static const char *fault_of(const char *name, const char *value) {
    return llm_header_fault(name, strlen(name), value, strlen(value));
}

Test(header, takes_what_rfc_9110_takes) {
    cr_assert_null(fault_of("X-Name", "value"));
    cr_assert_null(fault_of("!#$%&'*+-.^_`|~09azAZ", ""));
    cr_assert_null(fault_of("a", "two words, a\ttab, \xC3\xA9 and \"quotes\""));
}

Test(header, refuses_what_would_break_the_request) {
    static const char *const names[] = {
        "", " ", "a b", "a:", "a\r", "a\n", "a\t", "\xC3\xA9", "a\x7f", "(a)", "a/b", "a\"", "{}"};
    static const char *const values[] = {
        "a\r\nX-Evil: 1", "a\nb", "a\rb", "\n", " a", "a ", "\ta", "a\t", " ", "a\x01", "\x7f"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_assert_not_null(fault_of(names[i], "x"), "name %zu", i);
    }
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        cr_assert_not_null(fault_of("a", values[i]), "value %zu", i);
    }
    cr_assert_not_null(llm_header_fault("a", 1, "b\0c", 3));
    cr_assert_not_null(llm_header_fault("a\0", 2, "b", 1));
}

static llm_buffer block_of(const char *text) {
    size_t len = strlen(text);
    return (llm_buffer){.bytes = guard_text(text, len).text, .end = len, .capacity = len};
}

static void expect(const char *text, const char *name, const char *wanted) {
    llm_buffer block = block_of(text);
    size_t len = 0;
    const char *value = llm_header_find(&block, name, &len);
    cr_assert_eq(value == NULL, wanted == NULL, "%s in %s", name, text);
    if (wanted) cr_assert(len == strlen(wanted) && memcmp(value, wanted, len) == 0, "%s", text);
}

Test(header, finds_the_first_value) {
    expect("A: 1\r\nB: 2\r\n", "b", "2");
    expect("A: 1\r\nA: 2\r\n", "a", "1");
    expect("AB: 1\r\nA: 2\r\n", "a", "2");
    expect("A:\t 1 2 \t\r\n", "a", "1 2");
    expect("A:\r\n", "a", "");
    expect("A:", "a", "");
    expect("A: 1", "a", "1");
    expect("A: 1\nB: 2", "b", "2");
    expect("A: b: 2\r\n", "b", NULL);
    expect("A\r\n", "a", NULL);
    expect("\r\n\r\n", "a", NULL);
    llm_buffer nothing = {0};
    size_t len;
    cr_assert_null(llm_header_find(&nothing, "a", &len));
}

/* S04: in a Turkish locale the lower case of I is another letter. */
Test(header, folds_case_whatever_the_locale) {
    if (!setlocale(LC_ALL, "tr_TR.UTF-8")) setlocale(LC_ALL, "C.UTF-8");
    expect("X-REQUEST-ID: 7\r\n", "x-request-id", "7");
    expect("content-LENGTH: 7\r\n", "content-length", "7");
}

static bool is_certain(const char *text) {
    llm_buffer block = block_of(text);
    return llm_header_framing_fault(&block) == NULL;
}

Test(header, knows_when_a_replys_end_is_not_certain) {
    cr_assert(is_certain("A: 1\r\n"));
    cr_assert(is_certain(""));
    cr_assert(is_certain("Content-Length: 0\r\n"));
    cr_assert(is_certain("Content-Length: 5\r\nA: 1\r\ncontent-length: 5\r\n"));
    cr_assert(is_certain("Transfer-Encoding: chunked\r\n"));
    static const char *const wrong[] = {"-1", "+1", "0x5", "1e3", "5, 5", "5 5", "", "5a",
        "1234567890123456789", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char block[64];
        snprintf(block, sizeof block, "Content-Length: %s\r\n", wrong[i]);
        cr_assert_not(is_certain(block), "%s", wrong[i]);
    }
    cr_assert_not(is_certain("Content-Length: 5\r\nContent-Length: 7\r\n"));
    cr_assert_not(is_certain("Content-Length: 5\r\nContent-Length: 50\r\n"));
    cr_assert_not(is_certain("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"));
    cr_assert_not(is_certain("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"));
}
