/* json: a pull reader and the pieces of a canonical writer (RFC 8259), no locale, no recursion.
 *
 * Reader: llm_json_init over one complete text, then llm_json_next until LLM_JSON_END. The grammar
 * is enforced; anything after the value but white space is an error. Numbers without fraction and
 * exponent that fit 64 bits are integers, all others are the nearest double (1e999 is an error, -0
 * is the double -0.0). Strings are valid UTF-8: a lone surrogate escape or an invalid byte becomes
 * U+FFFD. A UTF-8 byte order mark in front is skipped. Duplicate keys are all reported, in order.
 *
 * Writer: every function appends to a buffer and returns 0 or LLM_ENOMEM. Doubles are written in
 * the shortest form that reads back as the same double, always as a double (1.0 as "1.0"); NaN and
 * infinities are LLM_EINVAL. */
#ifndef LLM_JSON_H
#define LLM_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "utf8.h"

enum { LLM_JSON_DEPTH = 512 }; /* default and largest nesting of arrays and objects */

typedef enum llm_json_kind {
    LLM_JSON_END,
    LLM_JSON_NULL,
    LLM_JSON_FALSE,
    LLM_JSON_TRUE,
    LLM_JSON_INTEGER,
    LLM_JSON_NUMBER,
    LLM_JSON_STRING,
    LLM_JSON_KEY,
    LLM_JSON_ARRAY,      /* [ */
    LLM_JSON_ARRAY_END,  /* ] */
    LLM_JSON_OBJECT,     /* { */
    LLM_JSON_OBJECT_END, /* } */
} llm_json_kind;

typedef struct llm_json_token {
    llm_json_kind kind;
    const char *text; /* STRING, KEY: unescaped UTF-8, may hold NUL; valid until the next call */
    size_t len;
    int64_t integer;
    double number; /* set for INTEGER too */
} llm_json_token;

typedef struct llm_json {
    const char *begin, *at, *end;
    llm_buffer scratch; /* unescaped strings */
    int depth, max_depth;
    int expect;                                /* what the grammar allows next; private */
    uint8_t objects[(LLM_JSON_DEPTH + 7) / 8]; /* bit i: level i is an object */
} llm_json;

/* text (len bytes) must outlive the reader. max_depth 1..LLM_JSON_DEPTH, 0 for the default. */
void llm_json_init(llm_json *j, const char *text, size_t len, int max_depth);
void llm_json_clear(llm_json *j);

/* 1 a token (LLM_JSON_END after the value, again and again), negative LLM_ESYNTAX, LLM_EDEPTH or
 * LLM_ENOMEM with the byte offset (from 0) in err's text. The reader stays where the error is, so
 * an error repeats. */
int llm_json_next(llm_json *j, llm_json_token *token, llm_err *err);

/* Where a value or a member is due: 1 and the whole of it passed over, or a negative error. */
int llm_json_skip(llm_json *j, llm_err *err);

int llm_json_write_string(
    llm_buffer *out, const char *text, size_t len); /* with quotes; invalid UTF-8 becomes U+FFFD */
int llm_json_write_integer(llm_buffer *out, int64_t value);
int llm_json_write_number(llm_buffer *out, double value);

#endif
