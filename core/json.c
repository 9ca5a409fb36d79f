/* json: see json.h. Every step of the reader works on a local pointer and moves the reader only
 * when it succeeds; strings without escapes and invalid bytes are handed out where they stand. */
#include "json.h"

#include <math.h>
#include <string.h>

#include "decimal.h"

/* what the grammar allows next */
enum { VALUE, FIRST_ELEMENT, FIRST_KEY, AFTER_VALUE };

static bool is_plain(unsigned char c) { return c >= 0x20 && c < 0x80 && c != '"' && c != '\\'; }

/* The first byte that is not plain ASCII string content. */
static const char *skip_plain(const char *p, const char *end) {
    const uint64_t ones = 0x0101010101010101, tops = ones << 7;
    for (; end - p >= 8; p += 8) {
        uint64_t eight;
        memcpy(&eight, p, 8);
        uint64_t quote = eight ^ ones * '"', backslash = eight ^ ones * '\\';
        /* x - ones has the top bit of a byte set if it was 0 (or by a borrow from such a byte) */
        if ((eight | (eight - ones * 0x20) | (quote - ones) | (backslash - ones)) & tops) break;
    }
    while (p < end && is_plain((unsigned char)*p)) p++;
    return p;
}

/* The first byte that ends a string, begins an escape or is not allowed in one. */
static const char *skip_text(const char *p, const char *end) {
    for (;;) {
        p = skip_plain(p, end);
        if (p == end || (unsigned char)*p < 0x80) return p;
        int step = llm_utf8_step(p, end);
        if (step < 0) return p;
        p += step;
    }
}

static const char *skip_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

static int fail_at(const llm_json *j, const char *at, llm_err *err, int code, const char *what) {
    const char *where = at == j->end ? "unexpected end, " : "";
    return llm_fail(
        err, code, "JSON: %s%s at byte offset %zu", where, what, (size_t)(at - j->begin));
}

static int bad(const llm_json *j, const char *at, llm_err *err, const char *what) {
    return fail_at(j, at, err, LLM_ESYNTAX, what);
}

static int give(llm_json *j, const char *next, int expect, llm_json_token *token, int kind) {
    j->at = next;
    j->expect = expect;
    token->kind = (llm_json_kind)kind;
    return 1;
}

/* The code unit of the four hexadecimal digits at p, or -1. */
static long read_unit(const char *p, const char *end) {
    if (end - p < 4) return -1;
    long unit = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i], lower = (char)(c | 0x20);
        int digit = c >= '0' && c <= '9'           ? c - '0'
                    : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                   : -1;
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* At the four digits of a \u escape; takes the second half of a surrogate pair along. */
static const char *read_unicode(const char *p, const char *end, unsigned long *code) {
    long high = read_unit(p, end);
    if (high < 0) return NULL;
    *code = (unsigned long)high;
    if (high < 0xD800 || high > 0xDFFF) return p + 4;
    *code = 0xFFFD;
    if (high > 0xDBFF || end - p < 10 || p[4] != '\\' || p[5] != 'u') return p + 4;
    long low = read_unit(p + 6, end);
    if (low < 0xDC00 || low > 0xDFFF) return p + 4;
    *code = 0x10000 + ((unsigned long)(high - 0xD800) << 10) + (unsigned long)(low - 0xDC00);
    return p + 10;
}

/* After a backslash: the character it stands for; returns what follows, NULL for a bad escape. */
static const char *read_escape(const char *p, const char *end, unsigned long *code) {
    static const char NAMES[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
    if (p == end) return NULL;
    if (*p == 'u') return read_unicode(p + 1, end, code);
    const char *name = memchr(NAMES, *p, sizeof NAMES - 1);
    if (!name) return NULL;
    *code = (unsigned char)MEANT[name - NAMES];
    return p + 1;
}

/* One thing in a string that does not stand for itself: an escape or an invalid byte sequence. */
static int unescape(llm_json *j, const char **at, llm_err *err) {
    const char *p = *at;
    unsigned long code = 0xFFFD;
    if (p < j->end && *p == '\\') {
        p = read_escape(p + 1, j->end, &code);
        if (!p) return bad(j, *at, err, "bad escape in a string");
    } else if (p < j->end && (unsigned char)*p >= 0x80) {
        p -= llm_utf8_step(p, j->end);
    } else {
        return bad(j, p, err, p == j->end ? "string not closed" : "control character in a string");
    }
    char bytes[4];
    *at = p;
    return llm_buffer_append(&j->scratch, bytes, llm_utf8_put(bytes, code));
}

/* From p, which stands after the quote, to after the closing quote. */
static int read_string(llm_json *j, const char **p, llm_json_token *token, llm_err *err) {
    const char *begin = *p, *at = skip_text(begin, j->end);
    if (at < j->end && *at == '"') {
        token->text = begin, token->len = (size_t)(at - begin);
        *p = at + 1;
        return 0;
    }
    llm_buffer_take(&j->scratch, llm_buffer_len(&j->scratch));
    for (;;) {
        int rc = llm_buffer_append(&j->scratch, begin, (size_t)(at - begin));
        if (rc == 0 && at < j->end && *at == '"') break;
        if (rc == 0) rc = unescape(j, &at, err);
        if (rc == LLM_ENOMEM) return fail_at(j, at, err, rc, "out of memory");
        if (rc != 0) return rc;
        begin = at;
        at = skip_text(begin, j->end);
    }
    token->text = llm_buffer_data(&j->scratch), token->len = llm_buffer_len(&j->scratch);
    *p = at + 1;
    return 0;
}

static bool in_object(const llm_json *j) {
    return j->depth > 0 && j->objects[(j->depth - 1) / 8] >> (j->depth - 1) % 8 & 1;
}

static int open_level(llm_json *j, const char *p, llm_json_token *token, llm_err *err) {
    if (j->depth == j->max_depth) return fail_at(j, p, err, LLM_EDEPTH, "nested too deep");
    uint8_t bit = (uint8_t)(1 << j->depth % 8), *bits = &j->objects[j->depth / 8];
    j->depth++;
    if (*p == '{') {
        *bits |= bit;
        return give(j, p + 1, FIRST_KEY, token, LLM_JSON_OBJECT);
    }
    *bits &= (uint8_t)~bit;
    return give(j, p + 1, FIRST_ELEMENT, token, LLM_JSON_ARRAY);
}

static int close_level(llm_json *j, const char *p, llm_json_token *token) {
    int kind = in_object(j) ? LLM_JSON_OBJECT_END : LLM_JSON_ARRAY_END;
    j->depth--;
    return give(j, p + 1, AFTER_VALUE, token, kind);
}

static int read_number(llm_json *j, const char *p, llm_json_token *token, llm_err *err) {
    llm_decimal value;
    const char *after = llm_decimal_read(p, j->end, &value);
    if (!after) return bad(j, p, err, "malformed number");
    if (isinf(value.number)) return bad(j, p, err, "number out of range");
    token->integer = value.integer, token->number = value.number;
    return give(
        j, after, AFTER_VALUE, token, value.is_integer ? LLM_JSON_INTEGER : LLM_JSON_NUMBER);
}

static int read_word(llm_json *j, const char *p, llm_json_token *token, llm_err *err) {
    size_t left = (size_t)(j->end - p);
    if (left >= 4 && memcmp(p, "true", 4) == 0) {
        return give(j, p + 4, AFTER_VALUE, token, LLM_JSON_TRUE);
    }
    if (left >= 4 && memcmp(p, "null", 4) == 0) {
        return give(j, p + 4, AFTER_VALUE, token, LLM_JSON_NULL);
    }
    if (left >= 5 && memcmp(p, "false", 5) == 0) {
        return give(j, p + 5, AFTER_VALUE, token, LLM_JSON_FALSE);
    }
    return bad(j, p, err, "expected a value");
}

static int read_value(llm_json *j, const char *p, llm_json_token *token, llm_err *err) {
    if (p == j->end) return bad(j, p, err, "expected a value");
    if (*p == '{' || *p == '[') return open_level(j, p, token, err);
    if (*p == '-' || (*p >= '0' && *p <= '9')) return read_number(j, p, token, err);
    if (*p != '"') return read_word(j, p, token, err);
    p++;
    int rc = read_string(j, &p, token, err);
    return rc != 0 ? rc : give(j, p, AFTER_VALUE, token, LLM_JSON_STRING);
}

static int read_key(llm_json *j, const char *p, llm_json_token *token, llm_err *err) {
    if (p == j->end || *p != '"') return bad(j, p, err, "expected a key");
    p++;
    int rc = read_string(j, &p, token, err);
    if (rc != 0) return rc;
    p = skip_space(p, j->end);
    if (p == j->end || *p != ':') return bad(j, p, err, "expected ':'");
    return give(j, p + 1, VALUE, token, LLM_JSON_KEY);
}

static int after_value(llm_json *j, const char *p, llm_json_token *token, llm_err *err) {
    if (j->depth == 0) {
        if (p == j->end) return give(j, p, AFTER_VALUE, token, LLM_JSON_END);
        return bad(j, p, err, "more after the value");
    }
    bool object = in_object(j);
    if (p < j->end && *p == (object ? '}' : ']')) return close_level(j, p, token);
    if (p == j->end || *p != ',') {
        return bad(j, p, err, object ? "expected ',' or '}'" : "expected ',' or ']'");
    }
    p = skip_space(p + 1, j->end);
    return object ? read_key(j, p, token, err) : read_value(j, p, token, err);
}

void llm_json_init(llm_json *j, const char *text, size_t len, int max_depth) {
    bool limited = max_depth > 0 && max_depth < LLM_JSON_DEPTH;
    if (!text) text = "";
    *j = (llm_json){.begin = text, .at = text, .end = text + len, .expect = VALUE};
    j->max_depth = limited ? max_depth : LLM_JSON_DEPTH;
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) j->at += 3;
}

void llm_json_clear(llm_json *j) { llm_buffer_clear(&j->scratch); }

int llm_json_next(llm_json *j, llm_json_token *token, llm_err *err) {
    const char *p = skip_space(j->at, j->end);
    switch (j->expect) {
    case AFTER_VALUE: return after_value(j, p, token, err);
    case FIRST_KEY:
        if (p < j->end && *p == '}') return close_level(j, p, token);
        return read_key(j, p, token, err);
    case FIRST_ELEMENT:
        if (p < j->end && *p == ']') return close_level(j, p, token);
        return read_value(j, p, token, err);
    default: return read_value(j, p, token, err);
    }
}

int llm_json_skip(llm_json *j, llm_err *err) {
    int depth = j->depth;
    llm_json_token token;
    do {
        int rc = llm_json_next(j, &token, err);
        if (rc < 0) return rc;
    } while (token.kind == LLM_JSON_KEY || j->depth > depth);
    return 1;
}

/* Control characters, quote, backslash; a byte beyond ASCII comes here only if it is invalid. */
static int write_escaped(llm_buffer *out, unsigned char c) {
    static const char NAMES[] = "\"\\bfnrt", MEANT[] = "\"\\\b\f\n\r\t", HEX[] = "0123456789abcdef";
    if (c >= 0x80) return llm_buffer_append(out, "\xEF\xBF\xBD", 3);
    const char *meant = memchr(MEANT, c, sizeof MEANT - 1);
    if (meant) return llm_buffer_append(out, (char[2]){'\\', NAMES[meant - MEANT]}, 2);
    return llm_buffer_append(out, (char[6]){'\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15]}, 6);
}

int llm_json_write_string(llm_buffer *out, const char *text, size_t len) {
    const char *p = text, *end = text + len;
    if (!llm_buffer_reserve(out, len + 2)) return LLM_ENOMEM;
    int rc = llm_buffer_append(out, "\"", 1);
    while (rc == 0 && p < end) {
        const char *plain = p;
        p = skip_text(p, end);
        rc = llm_buffer_append(out, plain, (size_t)(p - plain));
        if (rc != 0 || p == end) break;
        rc = write_escaped(out, (unsigned char)*p);
        p += (unsigned char)*p < 0x80 ? 1 : -llm_utf8_step(p, end);
    }
    return rc != 0 ? rc : llm_buffer_append(out, "\"", 1);
}

int llm_json_write_integer(llm_buffer *out, int64_t value) {
    char text[LLM_DECIMAL_SIZE];
    return llm_buffer_append(out, text, llm_decimal_write_integer(text, value));
}

int llm_json_write_number(llm_buffer *out, double value) {
    char text[LLM_DECIMAL_SIZE];
    if (!isfinite(value)) return LLM_EINVAL;
    return llm_buffer_append(out, text, llm_decimal_write(text, value));
}
