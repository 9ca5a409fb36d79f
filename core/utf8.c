/* utf8: see utf8.h. */
#include "utf8.h"

#include <stdint.h>
#include <string.h>

#include "bytes.h"

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

/* How many of the 64 bytes at p are whole characters, 0 if one of them is none. */
static size_t whole_characters(const uint8_t *p) {
    uint64_t two = llm_bytes_within(p, 0, 0xC2, 0xDF), three = llm_bytes_within(p, 0, 0xE0, 0xEF);
    uint64_t four = llm_bytes_within(p, 0, 0xF0, 0xF4), more = llm_bytes_within(p, 0, 0x80, 0xBF);
    uint64_t many = two | three | four, begun = many | more | llm_bytes_within(p, 0, 0, 0x7F);
    uint64_t low = llm_bytes_within(p, 0, 0x80, 0x9F), lowest = llm_bytes_within(p, 0, 0x80, 0x8F);
    uint64_t wrong = ~begun | (more ^ (many << 1 | (three | four) << 2 | four << 3));
    wrong |= llm_bytes_within(p, 0, 0xE0, 0xE0) << 1 & low; /* as in llm_utf8_step */
    wrong |= llm_bytes_within(p, 0, 0xED, 0xED) << 1 & ~low;
    wrong |= llm_bytes_within(p, 0, 0xF0, 0xF0) << 1 & lowest;
    wrong |= llm_bytes_within(p, 0, 0xF4, 0xF4) << 1 & ~lowest;
    uint64_t cut = (many & (uint64_t)1 << 63) | ((three | four) & (uint64_t)1 << 62) |
                   (four & (uint64_t)1 << 61);
    return wrong ? 0 : cut ? (size_t)__builtin_ctzll(cut) : 64;
}

size_t llm_utf8_valid(const char *text, size_t len) {
    const char *p = text, *end = text + len, *slow = text; /* up to there by single characters */
    while (p < end) {
        uint64_t eight = 0;
        if (end - p >= 8) memcpy(&eight, p, 8);
        if (end - p >= 8 && !(eight & 0x8080808080808080)) {
            p += 8;
            continue;
        }
        size_t whole = p >= slow && end - p >= 64 ? whole_characters((const uint8_t *)p) : 0;
        if (whole == 0 && p >= slow) slow = p + 64;
        int step = whole ? (int)whole : llm_utf8_step(p, end);
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
