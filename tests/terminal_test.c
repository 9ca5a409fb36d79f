/* What a model's text may not do to a terminal: hardening, row L07. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "terminal.h"

static void expect(const char *text, size_t len, const char *wanted) {
    char out[300];
    size_t out_len = llm_terminal_safe(text, len, out);
    cr_assert(out_len == strlen(wanted) && memcmp(out, wanted, out_len) == 0, "%.*s for %s",
        (int)out_len, out, wanted);
}

Test(terminal, leaves_text_alone) {
    static const char text[] = "plain\ttext\n, h\xC3\xA9llo \xE4\xBD\xA0\xF0\x9F\x98\x80\xC2\xA0~";
    expect(text, sizeof text - 1, text);
    expect("", 0, "");
}

Test(terminal, shows_controls_as_pictures) {
    for (char c = 0; c < ' '; c++) {
        char picture[] = {(char)0xE2, (char)0x90, (char)(0x80 + c), '\0'};
        char same[] = {c, '\0'};
        expect(&c, 1, c == '\n' || c == '\t' ? same : picture);
    }
    expect("\x1b[2J", 4, "\xE2\x90\x9B[2J");
    expect("\x1b]52;c;eA==\x07", 12, "\xE2\x90\x9B]52;c;eA==\xE2\x90\x87");
    expect("a\r\nb", 4, "a\xE2\x90\x8D\nb");
    expect("\x7f", 1, "\xEF\xBF\xBD");
}

#define GONE "\xEF\xBF\xBD"

Test(terminal, replaces_c1_and_overrides) {
    expect("\xC2\x80\xC2\x9B[2J\xC2\x9F", 9, GONE GONE "[2J" GONE);
    expect("\xE2\x80\xA9\xE2\x80\xAA\xE2\x80\xAE\xE2\x80\xAF", 12,
        "\xE2\x80\xA9" GONE GONE "\xE2\x80\xAF");
    expect("\xE2\x81\xA5\xE2\x81\xA6\xE2\x81\xA9\xE2\x81\xAA", 12,
        "\xE2\x81\xA5" GONE GONE "\xE2\x81\xAA");
}

/* Output has room for three bytes a byte and no more; input ends at the edge of a page, cut
 * anywhere. */
Test(terminal, stays_within_its_buffers) {
    static const char text[] = "\x1b\x01\x7f\xC2\x9B\xE2\x80\xAE\xE2\x81\xA6\xC2\xE2\x80";
    for (size_t len = 0; len < sizeof text; len++) {
        const char *at_edge = guard_text(text, len).text;
        char *out = malloc(3 * len + 1);
        cr_assert_leq(llm_terminal_safe(at_edge, len, out), 3 * len);
        free(out);
    }
}

static const struct {
    const char *text;
    size_t width;
} widths[] = {
    {"", 0}, {"plain ~", 7}, {"h\xC3\xA9", 2}, /* é as one code point */
    {"he\xCC\x81", 2},                         /* and as two */
    {"\xE6\x9D\xB1\xE4\xBA\xAC", 4},           /* 東京 */
    {"\xE3\x82\xA2\xEF\xBD\xB1", 3},           /* full-width and half-width katakana */
    {"\xED\x95\x9C\xF0\xA0\x80\x80", 4},       /* Hangul; U+20000 */
    {"\xF0\x9F\x98\x80\xEF\xB8\x8F", 2},       /* an emoji and its selector */
    {"\xE2\x80\xA6\xE2\x86\x92", 2},           /* … → */
    {"\xFF\xE6\x9D", 2},                       /* an invalid byte, a character that is cut */
};

Test(terminal, counts_columns) {
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        size_t len = strlen(widths[i].text);
        guarded g = guard_text(widths[i].text, len);
        cr_expect_eq(llm_terminal_width(g.text, len), widths[i].width, "%s", widths[i].text);
        guard_free(&g);
    }
}
