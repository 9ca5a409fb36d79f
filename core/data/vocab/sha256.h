/* sha256: FIPS 180-4, for the build only: it proves that the ranks are the published ones. */
#ifndef LLM_DATA_SHA256_H
#define LLM_DATA_SHA256_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t sha256_rotate(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void sha256_block(uint32_t state[8], const uint32_t k[64], const uint8_t *p) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++, p += 4) {
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (sha256_rotate(a, 7) ^ sha256_rotate(a, 18) ^ a >> 3) +
               (sha256_rotate(b, 17) ^ sha256_rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t e = s[4], a = s[0];
        uint32_t one = s[7] + k[i] + w[i] + ((e & s[5]) ^ (~e & s[6])) +
                       (sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25));
        uint32_t two = ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2])) +
                       (sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += one, s[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

/* The first 32 bits of the fraction of a root; exact in a long double of 64 bits. */
static uint32_t sha256_fraction(long double root) {
    return (uint32_t)(uint64_t)((root - floorl(root)) * 4294967296.0L);
}

static void sha256_hex(const uint8_t *bytes, size_t len, char hex[65]) {
    uint32_t k[64], state[8];
    for (int i = 0, prime = 2; i < 64; prime++) {
        int divisor = 2;
        while (prime % divisor) divisor++;
        if (divisor < prime) continue;
        if (i < 8) state[i] = sha256_fraction(sqrtl(prime));
        k[i++] = sha256_fraction(cbrtl(prime));
    }
    size_t at = 0;
    for (; len - at >= 64; at += 64) sha256_block(state, k, bytes + at);
    uint8_t tail[128] = {0};
    size_t rest = len - at, total = rest < 56 ? 64 : 128;
    memcpy(tail, bytes + at, rest);
    tail[rest] = 0x80;
    for (int i = 0; i < 8; i++) tail[total - 1 - i] = (uint8_t)((uint64_t)len * 8 >> 8 * i);
    for (at = 0; at < total; at += 64) sha256_block(state, k, tail + at);
    for (int i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", (unsigned)state[i]);
}

#endif
