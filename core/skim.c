/* skim: see skim.h. A pattern is compiled into nodes in the order of its text; an event is walked
 * with the JSON reader beside it. An event that has the bytes of the latest delta around its text
 * needs no walk: the same bytes mean the same, as long as one JSON string stands between them. */
#include "skim.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

enum {
    LARGEST = 33,      /* nodes: the root, and 32 members and elements */
    MEMO_BYTES = 4096, /* an event with more around its text is not worth remembering */
};

typedef enum node_kind { TEXT, SKIP, ARRAY, OBJECT, SCALAR } node_kind;

typedef struct node {
    node_kind kind;
    llm_json_token scalar; /* SCALAR: what the event must have; its text is not used */
    size_t text, text_len; /* SCALAR strings: in bytes */
    size_t key, key_len;   /* members: in bytes */
    int next;              /* after the last node within this one */
} node;

struct llm_skim {
    node nodes[LARGEST];
    int count, texts;
    llm_buffer bytes; /* keys and strings */
};

/* --- the pattern -------------------------------------------------------------------------------- */

typedef struct compiler {
    llm_skim *skim;
    llm_json json;
    llm_json_token token;
    llm_err *err;
} compiler;

static int compile_value(compiler *c);

static int next_token(compiler *c) { return llm_json_next(&c->json, &c->token, c->err); }

static int keep_text(compiler *c, size_t *at, size_t *len) {
    *at = llm_buffer_len(&c->skim->bytes), *len = c->token.len;
    int rc = llm_buffer_append(&c->skim->bytes, c->token.text, c->token.len);
    if (rc == 0) rc = llm_buffer_append(&c->skim->bytes, "", 1); /* so that there are bytes */
    return rc < 0 ? llm_fail(c->err, rc, "out of memory") : 1;
}

static int compile_array(compiler *c) {
    for (;;) {
        int rc = next_token(c);
        if (rc < 0 || c->token.kind == LLM_JSON_ARRAY_END) return rc;
        rc = compile_value(c);
        if (rc < 0) return rc;
    }
}

static int compile_object(compiler *c) {
    for (;;) {
        int rc = next_token(c);
        if (rc < 0 || c->token.kind == LLM_JSON_OBJECT_END) return rc;
        size_t key, key_len;
        int member = c->skim->count;
        rc = keep_text(c, &key, &key_len);
        if (rc == 1) rc = next_token(c);
        if (rc == 1) rc = compile_value(c);
        if (rc < 0) return rc;
        c->skim->nodes[member].key = key, c->skim->nodes[member].key_len = key_len;
    }
}

static bool is_string(const llm_json_token *token, const char *text, size_t len) {
    return token->kind == LLM_JSON_STRING && token->len == len &&
           memcmp(token->text, text, len) == 0;
}

static int compile_scalar(compiler *c, node *n) {
    if (is_string(&c->token, "$skip", 5)) {
        n->kind = SKIP;
    } else if (is_string(&c->token, "$text", 5)) {
        n->kind = TEXT;
        c->skim->texts++;
    } else {
        n->kind = SCALAR;
        n->scalar = c->token;
        if (c->token.kind == LLM_JSON_STRING) return keep_text(c, &n->text, &n->text_len);
    }
    return 1;
}

/* The value whose first token was read. */
static int compile_value(compiler *c) {
    llm_skim *s = c->skim;
    if (s->count == LARGEST) return llm_fail(c->err, LLM_EINVAL, "a pattern of too many members");
    node *n = &s->nodes[s->count++];
    int rc;
    if (c->token.kind == LLM_JSON_ARRAY) {
        n->kind = ARRAY;
        rc = compile_array(c);
    } else if (c->token.kind == LLM_JSON_OBJECT) {
        n->kind = OBJECT;
        rc = compile_object(c);
    } else {
        rc = compile_scalar(c, n);
    }
    n->next = s->count;
    return rc;
}

static int compile(llm_skim *s, const char *pattern, size_t len, llm_err *err) {
    compiler c = {.skim = s, .err = err};
    llm_json_init(&c.json, pattern, len, 0);
    int rc = next_token(&c);
    if (rc == 1) rc = compile_value(&c);
    if (rc == 1) rc = next_token(&c); /* nothing may follow */
    llm_json_clear(&c.json);
    if (rc == 1 && s->texts != 1) {
        return llm_fail(err, LLM_EINVAL, "a pattern with $text %d times", s->texts);
    }
    return rc;
}

llm_skim *llm_skim_new(const char *pattern, size_t len, llm_err *err) {
    llm_skim *s = calloc(1, sizeof *s);
    if (!s) {
        llm_fail(err, LLM_ENOMEM, "out of memory");
        return NULL;
    }
    llm_buffer_init(&s->bytes);
    if (compile(s, pattern, len, err) == 1) return s;
    llm_skim_free(s);
    return NULL;
}

void llm_skim_free(llm_skim *s) {
    if (s) llm_buffer_clear(&s->bytes);
    free(s);
}

/* --- the walk ----------------------------------------------------------------------------------- */

typedef struct walk {
    const llm_skim *skim;
    llm_json json;
    llm_json_token token;
    const char *before;          /* where the reader stood before token */
    const char *text, *text_end; /* the JSON string at $text, quotes included; NULL until met */
    uint64_t seen;               /* bit i: member node i */
} walk;

static int match_value(walk *w, int i);

static int step(walk *w) {
    w->before = w->json.at;
    return llm_json_next(&w->json, &w->token, NULL);
}

static int match_rest(walk *w) {
    int depth = w->json.depth - 1;
    if (w->token.kind == LLM_JSON_ARRAY_END) return 0; /* an array shorter than the pattern's */
    if (w->token.kind != LLM_JSON_ARRAY && w->token.kind != LLM_JSON_OBJECT) return 1;
    while (w->json.depth > depth) {
        int rc = step(w);
        if (rc < 0) return rc;
    }
    return 1;
}

static int match_scalar(walk *w, const node *n) {
    const llm_json_token *is = &w->token, *wanted = &n->scalar;
    if (is->kind != wanted->kind) return 0;
    switch (is->kind) {
    case LLM_JSON_STRING: return is_string(is, w->skim->bytes.bytes + n->text, n->text_len);
    case LLM_JSON_INTEGER: return is->integer == wanted->integer;
    case LLM_JSON_NUMBER: return is->number == wanted->number;
    default: return 1;
    }
}

static int match_array(walk *w, int i) {
    const node *nodes = w->skim->nodes;
    if (w->token.kind != LLM_JSON_ARRAY) return 0;
    for (int child = i + 1; child < nodes[i].next; child = nodes[child].next) {
        int rc = step(w);
        if (rc == 1) rc = match_value(w, child);
        if (rc != 1) return rc;
    }
    int rc = step(w);
    return rc < 0 ? rc : w->token.kind == LLM_JSON_ARRAY_END;
}

/* The member of node i that token names, or -1. */
static int find_member(const walk *w, int i) {
    const node *nodes = w->skim->nodes;
    const char *bytes = w->skim->bytes.bytes;
    for (int child = i + 1; child < nodes[i].next; child = nodes[child].next) {
        const node *n = &nodes[child];
        if (n->key_len != w->token.len) continue;
        if (memcmp(bytes + n->key, w->token.text, n->key_len) == 0) return child;
    }
    return -1;
}

static int match_object(walk *w, int i) {
    if (w->token.kind != LLM_JSON_OBJECT) return 0;
    for (;;) {
        int rc = step(w);
        if (rc < 0 || w->token.kind == LLM_JSON_OBJECT_END) return rc;
        int member = find_member(w, i);
        if (member < 0 || w->seen >> member & 1) return 0;
        w->seen |= (uint64_t)1 << member;
        rc = step(w);
        if (rc == 1) rc = match_value(w, member);
        if (rc != 1) return rc;
    }
}

/* The value whose first token was read: 1 it matches, 0 it does not, negative as the reader says. */
static int match_value(walk *w, int i) {
    const node *n = &w->skim->nodes[i];
    switch (n->kind) {
    case ARRAY: return match_array(w, i);
    case OBJECT: return match_object(w, i);
    case SKIP: return match_rest(w);
    case SCALAR: return match_scalar(w, n);
    case TEXT: break;
    }
    if (w->token.kind != LLM_JSON_STRING) return 0;
    w->text_end = w->json.at;
    w->text = memchr(w->before, '"', (size_t)(w->text_end - w->before));
    return 1;
}

/* 1 and where the JSON string at $text is. All members on the way to it are there if it is. */
static int match(walk *w, const char *data, size_t len) {
    llm_json_init(&w->json, data, len, 0);
    int rc = step(w);
    if (rc == 1) rc = match_value(w, 0);
    if (rc == 1) rc = step(w); /* nothing may follow */
    llm_json_clear(&w->json);
    if (rc < 0) return rc == LLM_ENOMEM ? rc : 0;
    return rc == 1 && w->text;
}

/* --- the memo ----------------------------------------------------------------------------------- */

void llm_skim_memo_init(llm_skim_memo *m) {
    llm_buffer_init(&m->around);
    m->before_len = 0;
}

void llm_skim_memo_clear(llm_skim_memo *m) {
    llm_buffer_clear(&m->around);
    m->before_len = 0;
}

/* Appends what string means; 0 if it is not exactly one JSON string. */
static int append_string(llm_buffer *out, const char *string, size_t len) {
    if (len == 0 || *string != '"') return 0; /* the reader would pass a byte order mark */
    llm_json json;
    llm_json_token token;
    llm_json_init(&json, string, len, 0);
    int rc = llm_json_next(&json, &token, NULL);
    if (rc == 1 && token.kind == LLM_JSON_STRING && json.at == json.end) {
        rc = llm_buffer_append(out, token.text, token.len) < 0 ? LLM_ENOMEM : 1;
    } else if (rc != LLM_ENOMEM) {
        rc = 0;
    }
    llm_json_clear(&json);
    return rc;
}

static int skim_like_latest(const llm_skim_memo *m, const char *data, size_t len, llm_buffer *out) {
    size_t around_len = llm_buffer_len(&m->around), before_len = m->before_len;
    if (around_len == 0 || len < around_len) return 0;
    const char *around = llm_buffer_data(&m->around);
    size_t after_len = around_len - before_len, text_len = len - around_len;
    const char *text = data + before_len;
    if (memcmp(data, around, before_len) != 0) return 0;
    if (memcmp(text + text_len, around + before_len, after_len) != 0) return 0;
    return append_string(out, text, text_len);
}

/* A memo that finds no memory is empty: the next event is walked. */
static void learn(
    llm_skim_memo *m, const char *data, size_t len, const char *text, size_t text_len) {
    size_t after_len = (size_t)(data + len - (text + text_len));
    m->before_len = (size_t)(text - data);
    size_t around_len = m->before_len + after_len;
    llm_buffer_reset(&m->around, MEMO_BYTES);
    if (around_len == 0 || around_len > MEMO_BYTES) return;
    char *room = llm_buffer_reserve(&m->around, around_len);
    if (!room) return;
    memcpy(room, data, m->before_len);
    memcpy(room + m->before_len, text + text_len, after_len);
    llm_buffer_grow(&m->around, around_len);
}

int llm_skim_text(
    const llm_skim *s, llm_skim_memo *m, const char *data, size_t len, llm_buffer *out) {
    int rc = skim_like_latest(m, data, len, out);
    if (rc != 0) return rc;
    walk w = {.skim = s};
    rc = match(&w, data, len);
    if (rc != 1) return rc;
    size_t text_len = (size_t)(w.text_end - w.text);
    learn(m, data, len, w.text, text_len);
    return append_string(out, w.text, text_len);
}
