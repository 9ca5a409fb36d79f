/* json: what the reader accepts, where it says an error is, and what the writer writes. */
#include "json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "failing.h"
#include "guard.h"

static int append_token(llm_buffer *out, const llm_json_token *token) {
    static const char *const WORDS[] = {[LLM_JSON_NULL] = "null",
        [LLM_JSON_FALSE] = "false",
        [LLM_JSON_TRUE] = "true",
        [LLM_JSON_ARRAY] = "[",
        [LLM_JSON_ARRAY_END] = "]",
        [LLM_JSON_OBJECT] = "{",
        [LLM_JSON_OBJECT_END] = "}"};
    int rc = llm_buffer_len(out) > 0 ? llm_buffer_append(out, " ", 1) : 0;
    if (rc != 0) return rc;
    switch (token->kind) {
    case LLM_JSON_INTEGER: return llm_json_write_integer(out, token->integer);
    case LLM_JSON_NUMBER: return llm_json_write_number(out, token->number);
    case LLM_JSON_STRING: return llm_json_write_string(out, token->text, token->len);
    case LLM_JSON_KEY:
        rc = llm_json_write_string(out, token->text, token->len);
        return rc != 0 ? rc : llm_buffer_append(out, ":", 1);
    default: return llm_buffer_append(out, WORDS[token->kind], strlen(WORDS[token->kind]));
    }
}

/* Appends all tokens of text, a space between them; 0 or the reader's or writer's error. */
static int trace(llm_buffer *out, const char *text, size_t len, int max_depth, llm_err *err) {
    llm_json j;
    llm_json_init(&j, text, len, max_depth);
    llm_json_token token;
    int rc;
    while ((rc = llm_json_next(&j, &token, err)) == 1 && token.kind != LLM_JSON_END) {
        rc = append_token(out, &token);
        if (rc != 0) break;
    }
    llm_json_clear(&j);
    return rc == 1 ? 0 : rc;
}

typedef struct accept_case {
    const char *text, *tokens;
} accept_case;

static const accept_case ACCEPTED[] = {
    {"null", "null"},
    {" \t\r\n true \n", "true"},
    {"[]", "[ ]"},
    {"{}", "{ }"},
    {"[[],{}]", "[ [ ] { } ]"},
    {" [ 1 , -2 , 3.5 ] ", "[ 1 -2 3.5 ]"},
    {"{\"a\":1,\"b\":[false]}", "{ \"a\": 1 \"b\": [ false ] }"},
    {"{\"a\" : 1, \"a\" : 2}", "{ \"a\": 1 \"a\": 2 }"},
    {"{\"__proto__\":null}", "{ \"__proto__\": null }"},
    {"\xEF\xBB\xBF[1]", "[ 1 ]"},
    /* numbers */
    {"0", "0"},
    {"-0", "-0.0"},
    {"-0.0", "-0.0"},
    {"1.0", "1.0"},
    {"1e2", "100.0"},
    {"1E+2", "100.0"},
    {"10e-1", "1.0"},
    {"9223372036854775807", "9223372036854775807"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"9223372036854775808", "9.223372036854776e+18"},
    {"18446744073709551616", "1.8446744073709552e+19"},
    {"1e-999", "0.0"},
    /* strings */
    {"\"\"", "\"\""},
    {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"a\\\"\\\\/\\b\\f\\n\\r\\t\""},
    {"\"\\u0000\\u001f\\u007F\"", "\"\\u0000\\u001f\x7F\""},
    {"\"\\u00e9\\u20AC\\ud83d\\uDE00\"", "\"\u00e9\u20ac\U0001F600\""},
    {"\"\u00e9\u20ac\U0001F600\"", "\"\u00e9\u20ac\U0001F600\""},
    {"\"\\uD800\"", "\"\uFFFD\""},
    {"\"\\uDC00x\"", "\"\uFFFDx\""},
    {"\"\\uD800\\uD83D\\uDE00\"", "\"\uFFFD\U0001F600\""},
    {"\"\\uD800\\uE000\"", "\"\uFFFD\uE000\""},
    {"\"\\uDC00\\uDC00\"", "\"\uFFFD\uFFFD\""},
    {"\"\\uD800\\n\"", "\"\uFFFD\\n\""},
    {"\"\\uD800\\u0041\"", "\"\uFFFDA\""},
    {"\"\\uFFFF\"", "\"\uFFFF\""},
    {"\"a\xFF\xE2\x82z\"", "\"a\uFFFD\uFFFDz\""},
    {"\"\xED\xA0\x80\"", "\"\uFFFD\uFFFD\uFFFD\""},
    {"{\"k\\n\":\"0123456789012345678901234567890\\t\"}",
        "{ \"k\\n\": \"0123456789012345678901234567890\\t\" }"},
};

typedef struct reject_case {
    const char *text;
    size_t offset;
    const char *says;
} reject_case;

static const reject_case REJECTED[] = {
    {"", 0, "unexpected end, expected a value"},
    {"  ", 2, "unexpected end, expected a value"},
    {"x", 0, "expected a value"},
    {"tru", 0, "expected a value"},
    {"nul", 0, "expected a value"},
    {"falsy", 0, "expected a value"},
    {"NaN", 0, "expected a value"},
    {"-Infinity", 0, "malformed number"},
    {"1 2", 2, "more after the value"},
    {"truex", 4, "more after the value"},
    {"]", 0, "expected a value"},
    {"[1", 2, "expected ',' or ']'"},
    {"[1 2]", 3, "expected ',' or ']'"},
    {"[1}", 2, "expected ',' or ']'"},
    {"[1,]", 3, "expected a value"},
    {"[,1]", 1, "expected a value"},
    {"[1]]", 3, "more after the value"},
    {"{", 1, "expected a key"},
    {"{1:2}", 1, "expected a key"},
    {"{,}", 1, "expected a key"},
    {"{\"a\"}", 4, "expected ':'"},
    {"{\"a\":}", 5, "expected a value"},
    {"{\"a\":1]", 6, "expected ',' or '}'"},
    {"{\"a\":1,}", 7, "expected a key"},
    {"{\"a\":1 \"b\":2}", 7, "expected ',' or '}'"},
    {"01", 0, "malformed number"},
    {"-", 0, "malformed number"},
    {"+1", 0, "expected a value"},
    {".5", 0, "expected a value"},
    {"[1.]", 1, "malformed number"},
    {"[1e]", 1, "malformed number"},
    {"[1e+]", 1, "malformed number"},
    {"0x10", 1, "more after the value"},
    {"[1e999]", 1, "number out of range"},
    {"[-1e999]", 1, "number out of range"},
    {"\"", 1, "string not closed"},
    {"\"abcdefghij", 11, "string not closed"},
    {"\"a\nb\"", 2, "control character"},
    {"\"\\", 1, "bad escape"},
    {"\"ab\\x\"", 3, "bad escape"},
    {"\"\\u12G4\"", 1, "bad escape"},
    {"\"\\u12", 1, "bad escape"},
    {"\"\\uD800\\u12\"", 7, "bad escape"},
    {"[\"a\",\xEF\xBB\xBF 1]", 5, "expected a value"},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

Test(json, accepts) {
    for (size_t i = 0; i < COUNT(ACCEPTED); i++) {
        const accept_case *c = &ACCEPTED[i];
        guarded g = guard_text(c->text, strlen(c->text));
        llm_buffer out = {0};
        llm_err err = {0};
        cr_assert_eq(trace(&out, g.text, strlen(c->text), 0, &err), 0, "%s: %s", c->text, err.msg);
        cr_assert_eq(llm_buffer_append(&out, "", 1), 0);
        cr_expect_str_eq(llm_buffer_data(&out), c->tokens);
        llm_buffer_clear(&out);
        guard_free(&g);
    }
}

Test(json, rejects_and_says_where) {
    for (size_t i = 0; i < COUNT(REJECTED); i++) {
        const reject_case *c = &REJECTED[i];
        guarded g = guard_text(c->text, strlen(c->text));
        llm_buffer out = {0};
        llm_err err = {0};
        char offset[40];
        snprintf(offset, sizeof offset, "at byte offset %zu", c->offset);
        cr_expect_eq(trace(&out, g.text, strlen(c->text), 0, &err), LLM_ESYNTAX, "%s", c->text);
        cr_expect_eq(err.code, LLM_ESYNTAX, "%s", c->text);
        const char *at = strstr(err.msg, offset);
        cr_expect(
            strstr(err.msg, c->says) && at && !at[strlen(offset)], "%s: %s", c->text, err.msg);
        llm_buffer_clear(&out);
        guard_free(&g);
    }
}

/* A proper prefix of an array, object or string is never a value. */
Test(json, refuses_every_prefix) {
    for (size_t i = 0; i < COUNT(ACCEPTED); i++) {
        const char *text = ACCEPTED[i].text;
        bool closed = strchr("[{\"", text[0]) != NULL;
        for (size_t len = 0; len < strlen(text); len++) {
            guarded g = guard_text(text, len);
            llm_buffer out = {0};
            int rc = trace(&out, g.text, len, 0, NULL);
            if (closed) cr_expect_eq(rc, LLM_ESYNTAX, "%.*s", (int)len, text);
            llm_buffer_clear(&out);
            guard_free(&g);
        }
    }
}

Test(json, nul_bytes_are_kept_in_strings_and_refused_elsewhere) {
    llm_buffer out = {0};
    cr_assert_eq(trace(&out, "[\"a\\u0000b\"]", 12, 0, NULL), 0);
    cr_expect_eq(llm_buffer_len(&out), strlen("[ \"a\\u0000b\" ]"));
    cr_expect_eq(trace(&out, "1\0", 2, 0, NULL), LLM_ESYNTAX);
    cr_expect_eq(trace(&out, "\"\0\"", 3, 0, NULL), LLM_ESYNTAX);
    llm_buffer_clear(&out);
}

Test(json, reports_an_error_again) {
    llm_json j;
    llm_json_token token;
    llm_err first, again;
    llm_json_init(&j, "[1,,", 4, 0);
    cr_assert_eq(llm_json_next(&j, &token, NULL), 1);
    cr_assert_eq(llm_json_next(&j, &token, NULL), 1);
    cr_assert_eq(llm_json_next(&j, &token, &first), LLM_ESYNTAX);
    cr_assert_eq(llm_json_next(&j, &token, &again), LLM_ESYNTAX);
    cr_expect_str_eq(first.msg, again.msg);
    llm_json_clear(&j);
}

Test(json, gives_the_end_again) {
    llm_json j;
    llm_json_token token;
    llm_json_init(&j, "7", 1, 0);
    cr_assert_eq(llm_json_next(&j, &token, NULL), 1);
    cr_expect_eq(token.integer, 7);
    cr_expect_eq(token.number, 7.0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(llm_json_next(&j, &token, NULL), 1);
        cr_expect_eq(token.kind, LLM_JSON_END);
    }
}

static int nested(int levels, int max_depth, llm_err *err) {
    llm_buffer text = {0}, out = {0};
    for (int i = 0; i < levels; i++)
        llm_buffer_append(&text, i % 2 ? "{\"\":" : "[", i % 2 ? 4 : 1);
    llm_buffer_append(&text, "1", 1);
    for (int i = levels; i-- > 0;) llm_buffer_append(&text, i % 2 ? "}" : "]", 1);
    int rc = trace(&out, llm_buffer_data(&text), llm_buffer_len(&text), max_depth, err);
    llm_buffer_clear(&text);
    llm_buffer_clear(&out);
    return rc;
}

Test(json, limits_the_depth) {
    llm_err err;
    cr_expect_eq(nested(512, 0, &err), 0);
    cr_expect_eq(nested(513, 0, &err), LLM_EDEPTH);
    cr_expect_eq(nested(513, 9999, &err), LLM_EDEPTH);
    cr_expect_eq(nested(100000, 0, &err), LLM_EDEPTH);
    cr_expect_eq(nested(3, 3, &err), 0);
    cr_expect_eq(nested(4, 3, &err), LLM_EDEPTH);
    cr_expect_str_eq(err.msg, "JSON: nested too deep at byte offset 6");
}

Test(json, skips_values_and_members) {
    static const char TEXT[] = "{\"a\":[1,{\"b\":[]}],\"c\":{\"d\":2},\"e\":3}";
    llm_json j;
    llm_json_token token;
    llm_json_init(&j, TEXT, sizeof TEXT - 1, 0);
    cr_assert_eq(llm_json_next(&j, &token, NULL), 1);
    cr_assert_eq(llm_json_next(&j, &token, NULL), 1);
    cr_assert_eq(llm_json_skip(&j, NULL), 1); /* the value of a */
    cr_assert_eq(llm_json_skip(&j, NULL), 1); /* c and its value */
    cr_assert_eq(llm_json_next(&j, &token, NULL), 1);
    cr_expect_eq(token.kind, LLM_JSON_KEY);
    cr_expect_eq(token.text[0], 'e');
    llm_json_init(&j, "[1,", 3, 0);
    cr_expect_eq(llm_json_skip(&j, NULL), LLM_ESYNTAX);
}

Test(json, runs_out_of_memory_cleanly) {
    static const char TEXT[] = "{\"\\n\":[\"a\\t\",1,2.5,null]}";
    bool failed;
    int n = 0;
    do {
        llm_buffer out = {0};
        llm_err err = {0};
        fail_after(n++);
        int rc = trace(&out, TEXT, sizeof TEXT - 1, 0, &err);
        failed = fail_stop();
        cr_expect_eq(rc, failed ? LLM_ENOMEM : 0, "allocation %d", n);
        llm_buffer_clear(&out);
    } while (failed);
    cr_expect_gt(n, 2);
}

/* Every byte at every distance from the ends of the eight that are looked at together. */
Test(json, finds_every_special_byte_at_every_offset) {
    for (int byte = 0; byte < 256; byte++) {
        for (size_t len = 1; len < 20; len++) {
            for (size_t at = 0; at < len; at++) {
                char text[20], expected[24];
                memset(text, 'a', sizeof text);
                memset(expected, 'a', sizeof expected);
                text[at] = (char)byte;
                memcpy(
                    expected + at, byte < 0x80 ? &text[at] : "\xEF\xBF\xBD", byte < 0x80 ? 1 : 3);
                llm_buffer out = {0};
                cr_assert_eq(llm_json_write_string(&out, text, len), 0);
                if (byte < 0x20) cr_assert_null(memchr(out.bytes, byte, out.end), "byte %d", byte);
                llm_json j;
                llm_json_token token;
                llm_json_init(&j, llm_buffer_data(&out), llm_buffer_len(&out), 0);
                cr_assert_eq(llm_json_next(&j, &token, NULL), 1, "byte %d at %zu", byte, at);
                cr_assert_eq(token.len, byte < 0x80 ? len : len + 2);
                cr_assert_eq(memcmp(token.text, expected, token.len), 0, "byte %d", byte);
                llm_json_clear(&j);
                llm_buffer_clear(&out);
            }
        }
    }
}

Test(json, escapes_no_more_than_it_must) {
    static const char TEXT[] = "/\"\\\b\f\n\r\t\x01\x1F\x7F<\u00e9\u2028";
    llm_buffer out = {0};
    cr_assert_eq(llm_json_write_string(&out, TEXT, sizeof TEXT), 0); /* with its NUL */
    cr_assert_eq(llm_buffer_append(&out, "", 1), 0);
    cr_expect_str_eq(llm_buffer_data(&out),
        "\"/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\x7F<\u00e9\u2028\\u0000\"");
    llm_buffer_clear(&out);
}

Test(json, refuses_numbers_that_json_lacks) {
    llm_buffer out = {0};
    cr_expect_eq(llm_json_write_number(&out, NAN), LLM_EINVAL);
    cr_expect_eq(llm_json_write_number(&out, INFINITY), LLM_EINVAL);
    cr_expect_eq(llm_json_write_number(&out, -INFINITY), LLM_EINVAL);
    cr_expect_eq(llm_buffer_len(&out), 0);
}
