/* skim_oracle: what core/skim should say, found the long way: pattern and event become trees, and
 * the trees are compared. */
#ifndef LLM_TEST_SKIM_ORACLE_H
#define LLM_TEST_SKIM_ORACLE_H

#include <stdlib.h>
#include <string.h>

#include "json.h"

typedef struct oracle_value {
    llm_json_token token; /* its text is owned */
    char *key;
    size_t key_len;
    struct oracle_value *first, *next; /* members or elements */
} oracle_value;

static inline char *oracle_copy(const char *text, size_t len) {
    char *copy = malloc(len + 1);
    if (len) memcpy(copy, text, len);
    return copy;
}

static inline void oracle_free(oracle_value *v) {
    while (v) {
        oracle_value *next = v->next;
        oracle_free(v->first);
        free(v->key);
        if (v->token.kind == LLM_JSON_STRING) free((char *)v->token.text);
        free(v);
        v = next;
    }
}

/* The value that begins with the token; what is nested in it is read until its end. */
static inline int oracle_read(llm_json *j, const llm_json_token *token, oracle_value **at) {
    oracle_value *v = *at = calloc(1, sizeof *v);
    v->token = *token;
    if (token->kind == LLM_JSON_STRING) v->token.text = oracle_copy(token->text, token->len);
    if (token->kind != LLM_JSON_ARRAY && token->kind != LLM_JSON_OBJECT) return 1;
    for (oracle_value **child = &v->first;; child = &(*child)->next) {
        llm_json_token t;
        char *key = NULL;
        size_t key_len = 0;
        int rc = llm_json_next(j, &t, NULL);
        if (rc != 1 || t.kind == LLM_JSON_ARRAY_END || t.kind == LLM_JSON_OBJECT_END) return rc;
        if (t.kind == LLM_JSON_KEY) {
            key = oracle_copy(t.text, key_len = t.len);
            rc = llm_json_next(j, &t, NULL);
        }
        if (rc == 1) rc = oracle_read(j, &t, child);
        if (*child) {
            (*child)->key = key, (*child)->key_len = key_len;
        } else {
            free(key);
        }
        if (rc != 1) return rc;
    }
}

/* NULL if text is no JSON text. */
static inline oracle_value *oracle_parse(const char *text, size_t len) {
    llm_json j;
    llm_json_token token;
    oracle_value *v = NULL;
    llm_json_init(&j, text, len, 0);
    int rc = llm_json_next(&j, &token, NULL);
    if (rc == 1) rc = oracle_read(&j, &token, &v);
    if (rc == 1) rc = llm_json_next(&j, &token, NULL);
    llm_json_clear(&j);
    if (rc == 1) return v;
    oracle_free(v);
    return NULL;
}

static inline int oracle_is(const oracle_value *v, const char *text, size_t len) {
    return v->token.kind == LLM_JSON_STRING && v->token.len == len &&
           memcmp(v->token.text, text, len) == 0;
}

static inline const oracle_value *oracle_member(
    const oracle_value *object, const oracle_value *like, int *count) {
    const oracle_value *found = NULL;
    *count = 0;
    for (const oracle_value *m = object->first; m; m = m->next) {
        if (m->key_len != like->key_len || memcmp(m->key, like->key, m->key_len) != 0) continue;
        if (++*count == 1) found = m;
    }
    return found;
}

static inline int oracle_match(
    const oracle_value *p, const oracle_value *v, const oracle_value **text) {
    if (oracle_is(p, "$skip", 5)) return 1;
    if (oracle_is(p, "$text", 5)) *text = v;
    if (oracle_is(p, "$text", 5)) return v->token.kind == LLM_JSON_STRING;
    if (p->token.kind != v->token.kind) return 0;
    switch (p->token.kind) {
    case LLM_JSON_STRING: return oracle_is(v, p->token.text, p->token.len);
    case LLM_JSON_INTEGER: return p->token.integer == v->token.integer;
    case LLM_JSON_NUMBER: return p->token.number == v->token.number;
    case LLM_JSON_ARRAY:
        for (p = p->first, v = v->first; p && v; p = p->next, v = v->next) {
            if (!oracle_match(p, v, text)) return 0;
        }
        return !p && !v;
    case LLM_JSON_OBJECT:
        for (const oracle_value *m = v->first; m; m = m->next) {
            int twice, named;
            oracle_member(v, m, &twice);
            const oracle_value *wanted = oracle_member(p, m, &named);
            if (twice > 1 || !wanted || !oracle_match(wanted, m, text)) return 0;
        }
        return 1;
    default: return 1;
    }
}

/* As llm_skim_text. */
static inline int oracle_text(
    const char *pattern, size_t pattern_len, const char *data, size_t len, llm_buffer *out) {
    const oracle_value *text = NULL;
    oracle_value *p = oracle_parse(pattern, pattern_len), *v = oracle_parse(data, len);
    int rc = p && v && oracle_match(p, v, &text) && text;
    if (rc) rc = llm_buffer_append(out, text->token.text, text->token.len) == 0;
    oracle_free(p);
    oracle_free(v);
    return rc;
}

#endif
