/* tokenizer: encode then decode is the identity on valid UTF-8 and repairs the rest; count is the
 * length of encode; truncate keeps whole characters and no more tokens than it was told. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/estimate.h"
#include "tokenizer/tokenizer.h"
#include "utf8.h"

#undef NDEBUG
#include <assert.h>

static void check_truncate(llm_tokenizer *t, const char *text, size_t len, size_t n) {
    size_t keep, count;
    assert(llm_tokenizer_truncate(t, text, len, n, &keep) == 0);
    assert(keep <= len);
    assert(keep == len || (text[keep] & 0xC0) != 0x80 || llm_utf8_valid(text, len) < len);
    assert(llm_tokenizer_count(t, text, keep, SIZE_MAX - 1, &count) == 0);
    assert(count <= n);
}

static void check_text(llm_tokenizer *t, const char *text, size_t len) {
    llm_buffer ids, back, clean;
    size_t count, limited;
    llm_buffer_init(&ids);
    llm_buffer_init(&back);
    llm_buffer_init(&clean);
    assert(llm_tokenizer_encode(t, text, len, NULL, &ids) == 0);
    const uint32_t *id = (const uint32_t *)(void *)llm_buffer_data(&ids);
    size_t n = llm_buffer_len(&ids) / sizeof *id;
    assert(llm_tokenizer_decode(t, id, n, &back, NULL) == 0);
    assert(llm_utf8_append(&clean, text, len) == 0);
    assert(llm_buffer_len(&back) == llm_buffer_len(&clean));
    assert(n == 0 ||
           memcmp(llm_buffer_data(&back), llm_buffer_data(&clean), llm_buffer_len(&back)) == 0);
    assert(llm_tokenizer_count(t, text, len, SIZE_MAX - 1, &count) == 0 && count == n);
    assert(llm_tokenizer_count(t, text, len, n / 2, &limited) == 0);
    assert(limited == (n > n / 2 ? n / 2 + 1 : n));
    check_truncate(t, text, len, n / 2);
    check_truncate(t, text, len, n);
    llm_buffer_clear(&ids);
    llm_buffer_clear(&back);
    llm_buffer_clear(&clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"o200k_base", "cl100k_base", "p50k_base", "r50k_base"};
    static llm_tokenizer *tokenizers[4];
    for (int i = 0; i < 4; i++) {
        if (!tokenizers[i]) tokenizers[i] = llm_tokenizer_new(names[i], NULL);
        assert(tokenizers[i]);
        check_text(tokenizers[i], (const char *)data, size);
    }
    assert(llm_estimate_tokens("o200k_base", (const char *)data, size) >= 0);
    return 0;
}
