/* terminal: see terminal.h. */
#include "terminal.h"

#include <stdbool.h>
#include <string.h>

#include "utf8.h"

/* The length of the dangerous sequence at p, 0 for harmless bytes. */
static size_t dangerous(const unsigned char *p, size_t left) {
    if (*p == 0x7f) return 1;
    if (*p < 0x20) return *p != '\n' && *p != '\t';
    if (left >= 2 && p[0] == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F) return 2; /* C1 */
    if (left < 3 || p[0] != 0xE2) return 0;
    bool override = p[1] == 0x80 && p[2] >= 0xAA && p[2] <= 0xAE; /* U+202A … U+202E */
    bool isolate = p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9;  /* U+2066 … U+2069 */
    return override || isolate ? 3 : 0;
}

size_t llm_terminal_safe(const char *text, size_t len, char *out) {
    char *to = out;
    for (size_t at = 0; at < len;) {
        unsigned char c = (unsigned char)text[at];
        size_t bad = dangerous((const unsigned char *)text + at, len - at);
        if (!bad) {
            *to++ = text[at++];
            continue;
        }
        char picture[] = {(char)0xE2, (char)0x90, (char)(0x80 + c)};
        memcpy(to, c < 0x20 ? picture : "\xEF\xBF\xBD", 3); /* or U+FFFD */
        to += 3, at += bad;
    }
    return (size_t)(to - out);
}

typedef struct range {
    unsigned long first, last;
} range;

/* Wide and full-width: EastAsianWidth.txt of Unicode 14; what is not assigned between two of them
 * counts as they do. */
static const range wide[] = {{0x1100, 0x115F}, {0x231A, 0x231B}, {0x2329, 0x232A}, {0x23E9, 0x23EC},
    {0x23F0, 0x23F0}, {0x23F3, 0x23F3}, {0x25FD, 0x25FE}, {0x2614, 0x2615}, {0x2648, 0x2653},
    {0x267F, 0x267F}, {0x2693, 0x2693}, {0x26A1, 0x26A1}, {0x26AA, 0x26AB}, {0x26BD, 0x26BE},
    {0x26C4, 0x26C5}, {0x26CE, 0x26CE}, {0x26D4, 0x26D4}, {0x26EA, 0x26EA}, {0x26F2, 0x26F3},
    {0x26F5, 0x26F5}, {0x26FA, 0x26FA}, {0x26FD, 0x26FD}, {0x2705, 0x2705}, {0x270A, 0x270B},
    {0x2728, 0x2728}, {0x274C, 0x274C}, {0x274E, 0x274E}, {0x2753, 0x2755}, {0x2757, 0x2757},
    {0x2795, 0x2797}, {0x27B0, 0x27B0}, {0x27BF, 0x27BF}, {0x2B1B, 0x2B1C}, {0x2B50, 0x2B50},
    {0x2B55, 0x2B55}, {0x2E80, 0x303E}, {0x3041, 0x3247}, {0x3250, 0x4DBF}, {0x4E00, 0xA4C6},
    {0xA960, 0xA97C}, {0xAC00, 0xD7A3}, {0xF900, 0xFAD9}, {0xFE10, 0xFE19}, {0xFE30, 0xFE6B},
    {0xFF01, 0xFF60}, {0xFFE0, 0xFFE6}, {0x16FE0, 0x1B2FB}, {0x1F004, 0x1F004}, {0x1F0CF, 0x1F0CF},
    {0x1F18E, 0x1F18E}, {0x1F191, 0x1F19A}, {0x1F200, 0x1F320}, {0x1F32D, 0x1F335},
    {0x1F337, 0x1F37C}, {0x1F37E, 0x1F393}, {0x1F3A0, 0x1F3CA}, {0x1F3CF, 0x1F3D3},
    {0x1F3E0, 0x1F3F0}, {0x1F3F4, 0x1F3F4}, {0x1F3F8, 0x1F43E}, {0x1F440, 0x1F440},
    {0x1F442, 0x1F4FC}, {0x1F4FF, 0x1F53D}, {0x1F54B, 0x1F54E}, {0x1F550, 0x1F567},
    {0x1F57A, 0x1F57A}, {0x1F595, 0x1F596}, {0x1F5A4, 0x1F5A4}, {0x1F5FB, 0x1F64F},
    {0x1F680, 0x1F6C5}, {0x1F6CC, 0x1F6CC}, {0x1F6D0, 0x1F6D2}, {0x1F6D5, 0x1F6DF},
    {0x1F6EB, 0x1F6EC}, {0x1F6F4, 0x1F6FC}, {0x1F7E0, 0x1F7F0}, {0x1F90C, 0x1F93A},
    {0x1F93C, 0x1F945}, {0x1F947, 0x1F9FF}, {0x1FA70, 0x1FAF6}, {0x20000, 0x3134A}};

/* Put on the character before: the blocks of combining marks of any script, and selectors. */
static const range combining[] = {{0x300, 0x36F}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF},
    {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xE0100, 0xE01EF}};

static bool is_in(unsigned long code, const range *ranges, size_t count) {
    for (size_t i = 0; i < count && ranges[i].first <= code; i++)
        if (code <= ranges[i].last) return true;
    return false;
}

static size_t width_of(unsigned long code) {
    if (code < combining[0].first) return 1;
    if (is_in(code, combining, sizeof combining / sizeof *combining)) return 0;
    return is_in(code, wide, sizeof wide / sizeof *wide) ? 2 : 1;
}

static unsigned long code_of(const char *sequence, int len) {
    unsigned long code = (unsigned char)sequence[0] & (len == 1 ? 0x7F : 0x7F >> len);
    for (int i = 1; i < len; i++) code = code << 6 | ((unsigned char)sequence[i] & 0x3F);
    return code;
}

size_t llm_terminal_width(const char *text, size_t len) {
    size_t width = 0;
    for (const char *p = text, *end = text + len; p < end;) {
        int step = llm_utf8_step(p, end);
        width += step < 0 ? 1 : width_of(code_of(p, step));
        p += step < 0 ? -step : step;
    }
    return width;
}
