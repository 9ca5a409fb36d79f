/* tokenizer: every encoding against plain byte-pair merging, the splitters against a table of
 * pieces, texts against a guard page, and memory that runs out. Ids against npm tiktoken: specs. */
#include "tokenizer/tokenizer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "failing.h"
#include "guard.h"
#include "tokenizer/bpe.h"
#include "tokenizer/encoding.h"
#include "tokenizer/estimate.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const NAMES[] = {"o200k_base", "cl100k_base", "p50k_base", "r50k_base"};

/* xorshift64: the same numbers in every run */
static uint64_t random_bits(void) {
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static llm_vocab vocab_named(const char *name) {
    const llm_encoding *e = llm_encoding_find(name);
    return llm_vocab_at(e->vocab, e->n_ranks);
}

/* Merges the pair of lowest rank, the first of equals, until none is left. */
static size_t merge_plainly(const llm_vocab *v, const uint8_t *p, size_t len, uint32_t *ids) {
    size_t starts[512], n = len;
    for (size_t i = 0; i <= len; i++) starts[i] = i;
    for (;;) {
        uint32_t best = LLM_VOCAB_NONE;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            size_t size = starts[i + 2] - starts[i];
            uint32_t rank = llm_vocab_find(v, p + starts[i], size, p + len);
            if (rank < best) best = rank, at = i;
        }
        if (best == LLM_VOCAB_NONE) break;
        memmove(starts + at + 1, starts + at + 2, (n - at - 1) * sizeof *starts);
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        ids[i] = llm_vocab_find(v, p + starts[i], starts[i + 1] - starts[i], p + len);
    }
    return n;
}

static void check_merge(const llm_vocab *v, const uint8_t *p, size_t len) {
    uint32_t expected[512], ids[512];
    uint64_t dead[512 / 64 + 1] = {0};
    size_t n = merge_plainly(v, p, len, expected);
    size_t got = llm_bpe_encode(v, p, len, p + len, ids, dead);
    cr_assert_eq(got, n, "%zu for %zu tokens of '%.*s'", got, n, (int)len, (const char *)p);
    cr_assert_eq(memcmp(ids, expected, n * sizeof *ids), 0, "%.*s", (int)len, (const char *)p);
    for (size_t i = 0; i < COUNT(dead); i++) cr_assert_eq(dead[i], 0);
}

/* Letters of a small alphabet: many tokens fit, most of them wrongly. */
static size_t random_text(uint8_t *text, size_t most) {
    static const char *const ALPHABETS[] = {"ab", " \t\n", "etaoinshr",
        "-=", "abcdefghijklmnopqrstuvwxyz", "\xE4\xB8\x80\xAD", "019", "aA "};
    const char *alphabet = ALPHABETS[random_bits() % COUNT(ALPHABETS)];
    size_t len = 1 + random_bits() % most, letters = strlen(alphabet);
    for (size_t i = 0; i < len; i++) text[i] = (uint8_t)alphabet[random_bits() % letters];
    return len;
}

Test(bpe, merges_as_plain_pair_merging_does) {
    for (size_t name = 0; name < COUNT(NAMES); name++) {
        llm_vocab v = vocab_named(NAMES[name]);
        uint8_t text[300];
        for (int i = 0; i < 3000; i++) {
            size_t len = random_text(text, i % 50 ? 30 : 300);
            check_merge(&v, text, len);
        }
    }
}

Test(bpe, builds_every_token_from_its_bytes) {
    for (size_t name = 0; name < COUNT(NAMES); name++) {
        llm_vocab v = vocab_named(NAMES[name]);
        for (uint32_t rank = 0; rank < v.n_ranks; rank++) {
            const uint8_t *p = v.bytes + v.starts[rank];
            size_t len = llm_vocab_token_len(&v, rank);
            uint32_t ids[LLM_VOCAB_LONGEST];
            uint64_t dead[LLM_VOCAB_LONGEST / 64 + 1] = {0};
            if (len == 0) continue;
            cr_assert_eq(llm_vocab_find(&v, p, len, p + len), rank);
            cr_assert_eq(llm_bpe_encode(&v, p, len, p + len, ids, dead), 1);
            cr_assert_eq(ids[0], rank);
        }
    }
}

/* Wherever a piece is cut, the parts alone give what the whole gives. */
Test(bpe, cuts_only_where_nothing_merges) {
    llm_vocab v = vocab_named("o200k_base");
    for (int i = 0; i < 3000; i++) {
        uint8_t text[120];
        size_t len = 0, whole, parts = 0;
        for (int n = (int)(random_bits() % 40); n >= 0; n--) {
            unsigned code = 0x4E00 + random_bits() % 0x1000;
            text[len++] = (uint8_t)(0xE0 | code >> 12);
            text[len++] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
            text[len++] = (uint8_t)(0x80 | (code & 0x3F));
        }
        uint32_t expected[120], ids[120];
        whole = merge_plainly(&v, text, len, expected);
        for (size_t at = 0, cut; at < len; at += cut) {
            uint64_t cuts = llm_bpe_cuts(&v, text + at, len - at);
            cut = cuts ? (size_t)__builtin_ctzll(cuts) : len - at;
            parts += merge_plainly(&v, text + at, cut, ids + parts);
        }
        cr_assert_eq(parts, whole);
        cr_assert_eq(memcmp(ids, expected, whole * sizeof *ids), 0);
    }
}

/* cl100k_base has a token of the bytes A4 ED: it reaches from one character into the next. */
Test(bpe, cuts_no_token_that_holds_parts_of_characters) {
    llm_vocab v = vocab_named("cl100k_base");
    const uint8_t *reached = (const uint8_t *)"\xE4\xB8\xA4\xED\x95\x9C";
    cr_assert_neq(llm_vocab_find(&v, reached + 2, 2, reached + 6), LLM_VOCAB_NONE);
    cr_assert_eq(llm_bpe_cuts(&v, reached, 6), 1 << 6);
    const uint8_t *apart = (const uint8_t *)"\xE4\xB8\xA4\xE9\xBE\x98";
    cr_assert_eq(llm_bpe_cuts(&v, apart, 6), 1 << 6 | 1 << 3);
}

/* The pieces of a text, "|" between them; 'o', 'c' and 'g' stand for the three patterns. */
static const struct {
    char pattern;
    const char *text, *pieces;
} SPLIT[] = {
    {'o', "HTTPServer iPhone", "HTTPServer| i|Phone"},
    {'c', "HTTPServer iPhone", "HTTPServer| iPhone"},
    {'o', "parseJSON don't", "parse|JSON| don't"},
    {'c', "parseJSON don't", "parseJSON| don|'t"},
    {'g', "don't DON'T 'll", "don|'t| DON|'|T| '|ll"},
    {'c', "don't DON'T 'll", "don|'t| DON|'T| '|ll"},
    {'o', "it'\xC5\xBF x", "it'\xC5\xBF| x"},
    {'o', "1234567 12", "123|456|7| |12"},
    {'g', "1234567 12", "1234567| 12"},
    {'o', "a  b   \n\n c\t d ", "a| | b|   \n\n| c|\t| d| "},
    {'g', "a  b   \n\n c", "a| | b|   \n\n| c"},
    {'c', "a \r\n  \r\n x", "a| \r\n  \r\n| x"},
    {'o', "x //\n/\ny", "x| //\n/\n|y"},
    {'c', "x //\n/\ny", "x| //\n|/\n|y"},
    {'o',
        "\xE4\xB8\xAD"
        "ABC",
        "\xE4\xB8\xAD|ABC"},
    {'o',
        "\xE4\xB8\xAD"
        "ABc",
        "\xE4\xB8\xAD"
        "ABc"},
    {'o',
        "!\xCC\x81 \xCC\x81"
        "AB",
        "!\xCC\x81| \xCC\x81|AB"},
    {'c',
        "!\xCC\x81"
        "a",
        "!\xCC\x81|a"},
    {'o', "1\xCC\x81!", "1|\xCC\x81|!"},
    {'o', "1\xCC\x81 AB", "1|\xCC\x81| AB"},
    {'o', "\xC2\x85x\xEF\xBB\xBFy", "\xC2\x85x|\xEF\xBB\xBFy"},
    {'o', "(foo) !(foo)", "(foo|)| !(|foo|)"},
};

Test(split, cuts_where_the_patterns_do) {
    llm_vocab v = vocab_named("p50k_base"); /* knows no tokens that would keep wide pieces whole */
    for (size_t i = 0; i < COUNT(SPLIT); i++) {
        llm_splitter *split = SPLIT[i].pattern == 'o'   ? llm_split_o200k
                              : SPLIT[i].pattern == 'c' ? llm_split_cl100k
                                                        : llm_split_gpt2;
        guarded g = guard_text(SPLIT[i].text, strlen(SPLIT[i].text));
        const uint8_t *p = (const uint8_t *)g.text;
        llm_cursor c = {.at = p, .end = p + strlen(SPLIT[i].text), .stop = p};
        char pieces[100] = "";
        llm_span span;
        while (split(&v, &c, &span, 1)) {
            if (pieces[0]) strcat(pieces, "|");
            strncat(pieces, (const char *)span.at, span.len);
        }
        cr_assert_str_eq(pieces, SPLIT[i].pieces);
        guard_free(&g);
    }
}

/* Where the first piece of a text ends. */
static size_t first_piece(llm_splitter *split, const llm_vocab *v, const uint8_t *p, size_t len) {
    llm_cursor c = {.at = p, .end = p + len, .stop = p};
    llm_span span;
    return split(v, &c, &span, 1) ? span.len : 0;
}

/* Less than 64 bytes are split character by character, more of them by arithmetic on sets. */
static void check_split(llm_splitter *split, const llm_vocab *v, const uint8_t *p, size_t len) {
    llm_cursor c = {.at = p, .end = p + len, .stop = p};
    llm_span span;
    while (split(v, &c, &span, 1)) {
        size_t left = (size_t)(p + len - span.at), some = left < 63 ? left : 63;
        if (span.len + 2 >= some && some < left) continue; /* depends on what is cut off here */
        cr_assert_eq(first_piece(split, v, span.at, some), span.len, "'%.*s' in '%.*s'",
            (int)span.len, (const char *)span.at, (int)len, (const char *)p);
    }
}

Test(split, cuts_much_text_as_it_cuts_little) {
    static const char *const ALPHABETS[] = {"ab B'sS tT", "aB \n\r\t/;(", "aZz09 .,'llLvVeErRdDmM",
        "\n \t  \n\r;", "a'b's't'll'x", "0123456789a. ", "a /\n//'", "\x7F\x01\x1C\x1F a\x0B\x0C\t",
        "etaoin shrdlu.,  \n", "x= 1(\"Ab_c"};
    llm_vocab v = vocab_named("p50k_base");
    for (int round = 0; round < 40000; round++) {
        uint8_t text[200];
        const char *alphabet = ALPHABETS[random_bits() % COUNT(ALPHABETS)];
        for (size_t i = 0; i < sizeof text; i++) {
            text[i] = (uint8_t)alphabet[random_bits() % strlen(alphabet)];
        }
        if (round % 3 == 0) memcpy(text + 70, "\xC5\xBF\xE4\xB8\xAD", 5);
        check_split(llm_split_o200k, &v, text, sizeof text);
        check_split(llm_split_cl100k, &v, text, sizeof text);
    }
}

Test(tokenizer, reads_no_byte_beyond_the_text) {
    llm_tokenizer *t = llm_tokenizer_new("o200k_base", NULL);
    const char *text = "A text of \xE4\xB8\xAD\xE6\x96\x87 and \xF0\x9F\x98\x80 don't stop\xE4";
    for (size_t len = 0; len <= strlen(text); len++) {
        guarded g = guard_text(text, len);
        size_t count, keep;
        llm_buffer ids;
        llm_buffer_init(&ids);
        cr_assert_eq(llm_tokenizer_encode(t, g.text, len, NULL, &ids), 0);
        cr_assert_eq(llm_tokenizer_count(t, g.text, len, SIZE_MAX - 1, &count), 0);
        cr_assert_eq(count, llm_buffer_len(&ids) / sizeof(uint32_t));
        cr_assert_eq(llm_tokenizer_truncate(t, g.text, len, 3, &keep), 0);
        cr_assert_leq(keep, len);
        cr_assert_geq(llm_estimate_tokens("o200k_base", g.text, len), 0);
        llm_buffer_clear(&ids);
        guard_free(&g);
    }
    llm_tokenizer_free(t);
}

static int work(void) {
    static const char text[] = "antidisestablishmentarianism \xFF zqxj <|endoftext|>";
    llm_specials all = {NULL, 0, 1};
    llm_err err = {0, ""};
    llm_buffer ids, back;
    llm_buffer_init(&ids);
    llm_buffer_init(&back);
    llm_tokenizer *t = llm_tokenizer_new("cl100k_base", &err);
    int rc = t ? llm_tokenizer_encode(t, text, sizeof text - 1, &all, &ids) : err.code;
    const uint32_t *id = (const uint32_t *)(void *)llm_buffer_data(&ids);
    size_t n = llm_buffer_len(&ids) / sizeof *id;
    if (rc == 0) rc = llm_tokenizer_decode(t, id, n, &back, &err);
    llm_tokenizer_free(t);
    llm_buffer_clear(&ids);
    llm_buffer_clear(&back);
    return rc;
}

Test(tokenizer, survives_without_memory) {
    bool failed;
    int n = 0;
    do {
        fail_after(n++);
        int rc = work();
        failed = fail_stop();
        cr_assert_eq(rc, failed ? LLM_ENOMEM : 0);
    } while (failed);
    cr_assert_gt(n, 4);
}

Test(tokenizer, names_what_it_does_not_know) {
    llm_err err;
    cr_assert_null(llm_tokenizer_new("gpt-4", &err));
    cr_assert_eq(err.code, LLM_EINVAL);
    llm_tokenizer *t = llm_tokenizer_new("r50k_base", &err);
    llm_buffer text;
    llm_buffer_init(&text);
    uint32_t bad = 50257;
    cr_assert_eq(llm_tokenizer_decode(t, &bad, 1, &text, &err), LLM_EINVAL);
    cr_assert_str_eq(err.msg, "r50k_base has no token 50257");
    cr_assert_eq(llm_tokenizer_special(t, "<|endoftext|>", 13), 50256);
    cr_assert_eq(llm_tokenizer_special(t, "<|endofprompt|>", 15), -1);
    cr_assert_eq(llm_estimate_tokens("claude", "x", 1), -1);
    llm_tokenizer_free(t);
}
