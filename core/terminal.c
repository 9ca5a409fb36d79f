/* terminal: see terminal.h. */
#include "terminal.h"

#include <stdbool.h>
#include <string.h>

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
