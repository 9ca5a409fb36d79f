/* base64: the vectors of RFC 4648, section 10, every byte value, and what is refused. */
#include "base64.h"

#include <criterion/criterion.h>

#include "error.h"
#include "guard.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct {
    const char *bytes, *text;
} VECTORS[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xFB\xFF", "+/8="},
};

Test(base64, reads_and_writes_the_vectors) {
    for (size_t i = 0; i < COUNT(VECTORS); i++) {
        size_t len = strlen(VECTORS[i].bytes), text_len = strlen(VECTORS[i].text), written;
        guarded bytes = guard_text(VECTORS[i].bytes, len);
        guarded text = guard_text(VECTORS[i].text, text_len);
        char out[16];
        cr_assert_eq(llm_base64_encoded(len), text_len);
        llm_base64_encode(bytes.text, len, out);
        cr_expect_arr_eq(out, VECTORS[i].text, text_len, "case %zu", i);
        cr_assert_eq(llm_base64_decode(text.text, text_len, out, &written), 0, "case %zu", i);
        cr_assert_eq(written, len, "case %zu", i);
        cr_expect_arr_eq(out, VECTORS[i].bytes, len, "case %zu", i);
        guard_free(&bytes);
        guard_free(&text);
    }
}

Test(base64, brings_every_byte_back) {
    unsigned char bytes[256], back[258];
    char text[344];
    for (int i = 0; i < 256; i++) bytes[i] = (unsigned char)(i * 167 + 13);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        size_t written;
        llm_base64_encode(bytes, len, text);
        int rc = llm_base64_decode(text, llm_base64_encoded(len), (char *)back, &written);
        cr_assert_eq(rc, 0);
        cr_assert_eq(written, len);
        cr_assert_arr_eq(back, bytes, len);
    }
}

static const struct {
    const char *text;
    int rc;
    const char *bytes;
} LENIENT[] = {
    {"Zm9v\r\n Ym\tFy", 0, "foobar"},
    {"Zg", 0, "f"},
    {"-_8", 0, "\xFB\xFF"},
    {"Z", LLM_ESYNTAX, NULL},
    {"Zm9vY", LLM_ESYNTAX, NULL},
    {"Zg=", LLM_ESYNTAX, NULL},
    {"Zg===", LLM_ESYNTAX, NULL},
    {"Zg==Zg==", LLM_ESYNTAX, NULL},
    {"====", LLM_ESYNTAX, NULL},
    {"Zm9v*", LLM_ESYNTAX, NULL},
    {"\x80", LLM_ESYNTAX, NULL},
};

Test(base64, reads_both_alphabets_and_refuses_the_rest) {
    for (size_t i = 0; i < COUNT(LENIENT); i++) {
        size_t len = strlen(LENIENT[i].text), written = 0;
        guarded g = guard_text(LENIENT[i].text, len);
        char out[32];
        int rc = llm_base64_decode(g.text, len, out, &written);
        cr_expect_eq(rc, LENIENT[i].rc, "case %zu", i);
        if (rc == 0) {
            cr_assert_eq(written, strlen(LENIENT[i].bytes), "case %zu", i);
            cr_expect_arr_eq(out, LENIENT[i].bytes, written, "case %zu", i);
        }
        guard_free(&g);
    }
}
