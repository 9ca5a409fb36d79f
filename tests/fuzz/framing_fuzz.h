/* The first two bytes choose the limit and the cuts; the rest are fed whole, byte by byte and in
 * parts of two sizes. All must give the same frames. */
#ifndef LLM_FRAMING_FUZZ_H
#define LLM_FRAMING_FUZZ_H

#include <stdint.h>

#include "../frames.h"

static inline llm_buffer framing_fuzz_run(
    const char *kind, size_t max_bytes, const char *text, size_t len, size_t first, size_t step) {
    llm_buffer out;
    llm_buffer_init(&out);
    llm_framer *f = llm_framer_new(kind, max_bytes, NULL);
    frames_of(f, text, len, first, step, &out);
    frames_put(&out, "", 1);
    llm_framer_free(f);
    return out;
}

static inline void framing_fuzz(const char *kind, const uint8_t *data, size_t size) {
    if (size < 2) return;
    const char *text = (const char *)data + 2;
    size_t len = size - 2, max_bytes = data[0] < 128 ? data[0] : 100000,
           first = data[1] % (len + 1);
    size_t steps[] = {1, data[1] / 16 + 2, len + 1};
    llm_buffer whole = framing_fuzz_run(kind, max_bytes, text, len, 0, 0);
    for (int i = 0; i < 3; i++) {
        llm_buffer parts = framing_fuzz_run(kind, max_bytes, text, len, first, steps[i]);
        size_t n = llm_buffer_len(&whole);
        if (llm_buffer_len(&parts) != n) abort();
        if (memcmp(llm_buffer_data(&parts), llm_buffer_data(&whole), n) != 0) abort();
        llm_buffer_clear(&parts);
    }
    llm_buffer_clear(&whole);
}

#endif
