/* Any bytes: what the reader accepts is written again, and reading that gives the same text once
 * more; skipping agrees with reading; any bytes as a string come back as repaired UTF-8. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds) abort();
}

static void write_token(llm_buffer *out, const llm_json_token *token) {
    static const char MARKS[] = "?nft??\"\"[]{}";
    switch (token->kind) {
    case LLM_JSON_INTEGER: must(llm_json_write_integer(out, token->integer) == 0); break;
    case LLM_JSON_NUMBER: must(llm_json_write_number(out, token->number) == 0); break;
    case LLM_JSON_KEY:
    case LLM_JSON_STRING:
        must(llm_utf8_valid(token->text, token->len) == token->len);
        must(llm_json_write_string(out, token->text, token->len) == 0);
        if (token->kind == LLM_JSON_KEY) llm_buffer_append(out, ":", 1);
        break;
    case LLM_JSON_NULL: llm_buffer_append(out, "null", 4); break;
    case LLM_JSON_FALSE: llm_buffer_append(out, "false", 5); break;
    case LLM_JSON_TRUE: llm_buffer_append(out, "true", 4); break;
    default: llm_buffer_append(out, &MARKS[token->kind], 1);
    }
}

/* Where a comma belongs: between a finished value and what does not close its table. */
static bool ends_value(llm_json_kind kind) {
    return kind != LLM_JSON_KEY && kind != LLM_JSON_ARRAY && kind != LLM_JSON_OBJECT;
}

static int rewrite(llm_buffer *out, const char *text, size_t len) {
    llm_json j;
    llm_json_token token;
    llm_err err;
    bool after_value = false;
    int rc;
    llm_json_init(&j, text, len, 0);
    while ((rc = llm_json_next(&j, &token, &err)) == 1 && token.kind != LLM_JSON_END) {
        bool closes = token.kind == LLM_JSON_ARRAY_END || token.kind == LLM_JSON_OBJECT_END;
        if (after_value && !closes) llm_buffer_append(out, ",", 1);
        write_token(out, &token);
        after_value = ends_value(token.kind);
    }
    must(rc == 1 || (rc == err.code && llm_json_next(&j, &token, NULL) == rc));
    llm_json_clear(&j);
    return rc;
}

static void check_skip(const char *text, size_t len, bool readable) {
    llm_json j;
    llm_json_token token;
    llm_json_init(&j, text, len, 0);
    bool whole = llm_json_skip(&j, NULL) == 1 && llm_json_next(&j, &token, NULL) == 1;
    must(whole == readable);
    llm_json_clear(&j);
}

static void check_string(const char *text, size_t len) {
    llm_buffer quoted = {0}, repaired = {0};
    llm_json j;
    llm_json_token token;
    must(llm_json_write_string(&quoted, text, len) == 0);
    must(llm_utf8_append(&repaired, text, len) == 0);
    llm_json_init(&j, quoted.bytes, quoted.end, 0);
    must(llm_json_next(&j, &token, NULL) == 1 && token.kind == LLM_JSON_STRING);
    must(token.len == repaired.end);
    must(token.len == 0 || memcmp(token.text, repaired.bytes, token.len) == 0);
    llm_json_clear(&j);
    llm_buffer_clear(&quoted);
    llm_buffer_clear(&repaired);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = size > 0 ? (const char *)data : "";
    llm_buffer once = {0}, twice = {0};
    int rc = rewrite(&once, text, size);
    if (rc == 1) {
        must(rewrite(&twice, once.bytes, once.end) == 1);
        must(once.end == twice.end && memcmp(once.bytes, twice.bytes, once.end) == 0);
    }
    check_skip(text, size, rc == 1);
    check_string(text, size);
    llm_buffer_clear(&once);
    llm_buffer_clear(&twice);
    return 0;
}
