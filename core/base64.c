/* base64: see base64.h. */
#include "base64.h"

#include <stdint.h>
#include <string.h>

#include "error.h"

static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void llm_base64_encode(const void *bytes, size_t len, char *text) {
    const unsigned char *p = bytes;
    for (; len >= 3; len -= 3, p += 3, text += 4) {
        text[0] = LETTERS[p[0] >> 2];
        text[1] = LETTERS[(p[0] & 3) << 4 | p[1] >> 4];
        text[2] = LETTERS[(p[1] & 15) << 2 | p[2] >> 6];
        text[3] = LETTERS[p[2] & 63];
    }
    if (len == 0) return;
    unsigned second = len == 2 ? p[1] : 0;
    text[0] = LETTERS[p[0] >> 2];
    text[1] = LETTERS[(p[0] & 3) << 4 | second >> 4];
    text[2] = len == 2 ? LETTERS[(second & 15) << 2] : '=';
    text[3] = '=';
}

enum { BLANK = -1, PADDING = -2, INVALID = -3 };

static int value_of(char letter) {
    if (letter >= 'A' && letter <= 'Z') return letter - 'A';
    if (letter >= 'a' && letter <= 'z') return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9') return letter - '0' + 52;
    if (letter == '+' || letter == '-') return 62;
    if (letter == '/' || letter == '_') return 63;
    if (letter == '=') return PADDING;
    return letter && strchr(" \t\r\n", letter) ? BLANK : INVALID;
}

int llm_base64_decode(const char *text, size_t len, char *bytes, size_t *written) {
    uint32_t bits = 0;
    size_t letters = 0, paddings = 0, at = 0;
    for (size_t i = 0; i < len; i++) {
        int value = value_of(text[i]);
        if (value == BLANK) continue;
        if (value == PADDING) {
            paddings++;
            continue;
        }
        if (value == INVALID || paddings) return LLM_ESYNTAX;
        bits = bits << 6 | (uint32_t)value;
        if (++letters % 4 != 1) bytes[at++] = (char)(bits >> (6 - 2 * ((letters - 1) % 4)));
    }
    if (letters % 4 == 1 || paddings > 2) return LLM_ESYNTAX;
    if (paddings && (letters + paddings) % 4 != 0) return LLM_ESYNTAX;
    *written = at;
    return 0;
}
