/* utf8: see utf8.h. */
#include "utf8.h"

#include <stdint.h>
#include <string.h>

static const char REPLACEMENT[3] = {'\xEF', '\xBF', '\xBD'};

int llm_utf8_step(const char *text, const char *end) {
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4) return -1;
    int more = p[0] < 0xE0 ? 1 : p[0] < 0xF0 ? 2 : 3;
    /* only the second byte has a narrower range: no overlong forms, surrogates, or beyond 10FFFF */
    unsigned low = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    unsigned high = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    for (int i = 1; i <= more; i++) {
        if (text + i == end || p[i] < low || p[i] > high) return -i;
        low = 0x80, high = 0xBF;
    }
    return more + 1;
}

/* The length of the run at p of characters of three bytes, none of them with a narrower range. */
static size_t three_byte_run(const unsigned char *p, const char *end) {
    const unsigned char *first = p;
    for (; (const unsigned char *)end - p >= 4; p += 3) {
        if (p[0] <= 0xE0 || p[0] >= 0xF0 || p[0] == 0xED) break;
        if (((p[1] ^ 0x80) | (p[2] ^ 0x80)) & 0xC0) break;
    }
    return (size_t)(p - first);
}

size_t llm_utf8_valid(const char *text, size_t len) {
    const char *p = text, *end = text + len;
    while (p < end) {
        uint64_t eight = 0;
        if (end - p >= 8) memcpy(&eight, p, 8);
        if (end - p >= 8 && !(eight & 0x8080808080808080)) {
            p += 8;
            continue;
        }
        p += three_byte_run((const unsigned char *)p, end);
        int step = llm_utf8_step(p, end);
        if (step < 0) break;
        p += step;
    }
    return (size_t)(p - text);
}

int llm_utf8_append(llm_buffer *out, const char *text, size_t len) {
    for (;;) {
        size_t valid = llm_utf8_valid(text, len);
        if (llm_buffer_append(out, text, valid) != 0) return LLM_ENOMEM;
        if (valid == len) return 0;
        size_t bad = (size_t)-llm_utf8_step(text + valid, text + len);
        if (llm_buffer_append(out, REPLACEMENT, sizeof REPLACEMENT) != 0) return LLM_ENOMEM;
        text += valid + bad, len -= valid + bad;
    }
}

size_t llm_utf8_put(char bytes[4], unsigned long code) {
    if (code < 0x80) {
        bytes[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6) bytes[i] = (char)(0x80 | (code & 0x3F));
    static const unsigned char LEAD[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    bytes[0] = (char)(LEAD[len] | code);
    return len;
}
