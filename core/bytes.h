/* bytes: sets of bytes among 64, one bit a byte, the first in the lowest place: what a scanner asks
 * of many bytes at once. */
#ifndef LLM_BYTES_H
#define LLM_BYTES_H

#include <stdint.h>

#if defined(__SSE2__) && !defined(LLM_PORTABLE) /* as on every x86-64 */
#include <emmintrin.h>

/* The bytes from low to high of the 64 at p; the bits of fold are set in each before. */
static inline __attribute__((always_inline)) uint64_t llm_bytes_within(
    const uint8_t *p, uint8_t fold, uint8_t low, uint8_t high) {
    const __m128i least = _mm_set1_epi8((char)(0x80 - low));
    const __m128i above = _mm_set1_epi8((char)(0x80 + high - low + 1));
    uint64_t set = 0;
    for (int i = 0; i < 64; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        bytes = _mm_add_epi8(_mm_or_si128(bytes, _mm_set1_epi8((char)fold)), least);
        set |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmplt_epi8(bytes, above)) << i;
    }
    return set;
}
#else
static inline __attribute__((always_inline)) uint64_t llm_bytes_within(
    const uint8_t *p, uint8_t fold, uint8_t low, uint8_t high) {
    uint64_t set = 0;
    for (int i = 0; i < 64; i++) {
        uint8_t above = (uint8_t)((p[i] | fold) - low);
        set |= (uint64_t)(above <= high - low) << i;
    }
    return set;
}
#endif

#endif
