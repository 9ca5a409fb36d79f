/* tokenizer: see tokenizer.h. */
#include "tokenizer.h"

#include <stdlib.h>

#include "../utf8.h"
#include "encode.h"

enum { KEPT_BYTES = 64 << 10 }; /* of a repaired text, between calls */

struct llm_tokenizer {
    const llm_encoding *encoding;
    llm_encoder encoder;
    llm_buffer clean; /* the text, when it was no valid UTF-8 */
};

llm_tokenizer *llm_tokenizer_new(const char *name, llm_err *err) {
    const llm_encoding *encoding = llm_encoding_find(name);
    if (!encoding) {
        llm_fail(err, LLM_EINVAL, "no vocabulary is named '%.40s'", name);
        return NULL;
    }
    llm_tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        llm_fail(err, LLM_ENOMEM, "out of memory");
        return NULL;
    }
    t->encoding = encoding;
    llm_encoder_init(&t->encoder, encoding);
    return t;
}

void llm_tokenizer_free(llm_tokenizer *t) {
    if (!t) return;
    llm_encoder_clear(&t->encoder);
    llm_buffer_clear(&t->clean);
    free(t);
}

const char *llm_tokenizer_name(const llm_tokenizer *t) { return t->encoding->name; }

uint32_t llm_tokenizer_n_vocab(const llm_tokenizer *t) { return t->encoding->n_vocab; }

int64_t llm_tokenizer_special(const llm_tokenizer *t, const char *text, size_t len) {
    return llm_encoding_special(t->encoding, text, len);
}

static llm_cursor cursor_at(const uint8_t *p, const uint8_t *end) {
    return (llm_cursor){.at = p, .end = end, .stop = p};
}

/* Starts reading text, or what U+FFFD makes of it. */
static int start(llm_tokenizer *t, const char *text, size_t len, llm_cursor *cursor) {
    if (llm_utf8_valid(text, len) < len) {
        llm_buffer_reset(&t->clean, KEPT_BYTES);
        if (llm_utf8_append(&t->clean, text, len) != 0) return LLM_ENOMEM;
        text = llm_buffer_data(&t->clean);
        len = llm_buffer_len(&t->clean);
    }
    *cursor = cursor_at((const uint8_t *)text, (const uint8_t *)text + len);
    return 0;
}

static bool is_allowed(const llm_specials *allowed, int64_t id) {
    if (allowed->all) return true;
    for (size_t i = 0; i < allowed->n; i++) {
        if (allowed->ids[i] == id) return true;
    }
    return false;
}

/* The next allowed special token from p on: its start, or end. All are of the form <|…|>. */
static const uint8_t *find_special(const llm_tokenizer *t, const uint8_t *p, const uint8_t *end,
    const llm_specials *allowed, uint32_t *special, size_t *special_len) {
    for (; (p = memchr(p, '<', (size_t)(end - p))); p++) {
        size_t most = end - p < LLM_SPECIAL_MAX ? (size_t)(end - p) : LLM_SPECIAL_MAX;
        const uint8_t *close = memchr(p, '>', most);
        if (!close) continue;
        size_t len = (size_t)(close + 1 - p);
        int64_t id = llm_encoding_special(t->encoding, (const char *)p, len);
        if (id < 0 || !is_allowed(allowed, id)) continue;
        *special = (uint32_t)id;
        *special_len = len;
        return p;
    }
    return end;
}

static int encode_ordinary(llm_tokenizer *t, llm_cursor text, llm_buffer *ids) {
    int64_t n;
    while ((n = llm_encoder_next(&t->encoder, &text)) > 0) {
        size_t size = (size_t)n * sizeof(uint32_t);
        if (llm_buffer_append(ids, llm_encoder_ids(&t->encoder), size) != 0) return LLM_ENOMEM;
    }
    return (int)n;
}

int llm_tokenizer_encode(
    llm_tokenizer *t, const char *text, size_t len, const llm_specials *allowed, llm_buffer *ids) {
    llm_cursor c;
    if (start(t, text, len, &c) != 0) return LLM_ENOMEM;
    if (!llm_buffer_reserve(ids, (len / 4 + 1) * sizeof(uint32_t))) return LLM_ENOMEM;
    if (!allowed) return encode_ordinary(t, c, ids);
    while (c.at < c.end) {
        uint32_t special = 0;
        size_t special_len = 0;
        const uint8_t *stop = find_special(t, c.at, c.end, allowed, &special, &special_len);
        if (encode_ordinary(t, cursor_at(c.at, stop), ids) != 0) return LLM_ENOMEM;
        if (special_len && llm_buffer_append(ids, &special, sizeof special) != 0) return LLM_ENOMEM;
        c.at = stop + special_len;
    }
    return 0;
}

int llm_tokenizer_decode(
    const llm_tokenizer *t, const uint32_t *ids, size_t n, llm_buffer *text, llm_err *err) {
    const llm_vocab *v = &t->encoder.vocab;
    char special[LLM_SPECIAL_MAX + 1];
    for (size_t i = 0; i < n; i++) {
        const void *bytes = special;
        size_t len = 0;
        if (ids[i] < v->n_ranks) {
            bytes = v->bytes + v->starts[ids[i]];
            len = llm_vocab_token_len(v, ids[i]);
        }
        if (len == 0) { /* special tokens stand in gaps of the ranks or behind them */
            bytes = special;
            len = llm_encoding_special_text(t->encoding, ids[i], special);
        }
        if (len == 0) {
            return llm_fail(
                err, LLM_EINVAL, "%s has no token %lu", t->encoding->name, (unsigned long)ids[i]);
        }
        if (llm_buffer_append(text, bytes, len) != 0) {
            return llm_fail(err, LLM_ENOMEM, "out of memory");
        }
    }
    return 0;
}

int llm_tokenizer_count(
    llm_tokenizer *t, const char *text, size_t len, size_t limit, size_t *count) {
    llm_cursor c;
    if (start(t, text, len, &c) != 0) return LLM_ENOMEM;
    size_t total = 0;
    int64_t n;
    while (total <= limit && (n = llm_encoder_next(&t->encoder, &c)) != 0) {
        if (n < 0) return LLM_ENOMEM;
        total += (size_t)n;
    }
    *count = total <= limit ? total : limit + 1;
    return 0;
}

/* How far the first n ids of a stretch that starts at p reach, whole characters only. */
static size_t reach(const llm_tokenizer *t, const uint8_t *p, const uint8_t *end, size_t n) {
    const uint32_t *ids = llm_encoder_ids(&t->encoder);
    size_t at = 0, whole = 0;
    for (size_t i = 0; i < n; i++) {
        at += llm_vocab_token_len(&t->encoder.vocab, ids[i]);
        if (p + at == end || (p[at] & 0xC0) != 0x80) whole = at;
    }
    return whole;
}

/* Where in the text as it was given the first clean_len bytes of the clean one end. */
static size_t given_len(const char *text, size_t len, size_t clean_len) {
    size_t given = 0;
    for (size_t clean = 0; clean < clean_len;) {
        int step = llm_utf8_step(text + given, text + len);
        given += (size_t)abs(step);
        clean += step > 0 ? (size_t)step : 3;
    }
    return given;
}

int llm_tokenizer_truncate(
    llm_tokenizer *t, const char *text, size_t len, size_t n, size_t *keep_len) {
    llm_cursor c;
    if (start(t, text, len, &c) != 0) return LLM_ENOMEM;
    const uint8_t *first = c.at, *stop = c.at;
    while (stop == c.at && c.at < c.end) { /* until a stretch is not taken whole */
        int64_t got = llm_encoder_next(&t->encoder, &c);
        if (got < 0) return LLM_ENOMEM;
        size_t take = (size_t)got < n ? (size_t)got : n;
        stop += take == (size_t)got ? (size_t)(c.at - stop) : reach(t, stop, c.end, take);
        n -= take;
    }
    size_t keep = (size_t)(stop - first);
    *keep_len = first == (const uint8_t *)text ? keep : given_len(text, len, keep);
    return 0;
}
