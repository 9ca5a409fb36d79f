/* skim: takes the text out of a stream event that is exactly a plain text delta, without building
 * anything; every other event is left to the dialect.
 *
 * A pattern is a JSON text of the event's shape:
 *     {"id":"$skip","choices":[{"index":0,"delta":{"role":"$skip","content":"$text"},"finish_reason":null}]}
 * "$text" is the wanted string and stands once; "$skip" is any value; null, numbers, booleans and
 * other strings must be equal; an array has exactly the elements shown. A member of the pattern
 * other than those on the way to $text may be missing from the event; a member of the event that
 * the pattern does not name, or that occurs twice, means: not a plain delta. */
#ifndef LLM_SKIM_H
#define LLM_SKIM_H

#include "buffer.h"

typedef struct llm_skim llm_skim; /* a compiled pattern: immutable, shared by many streams */

/* NULL with err: LLM_ESYNTAX, LLM_EINVAL ($text not exactly once, more than 32 members and
 * elements), LLM_ENOMEM. */
llm_skim *llm_skim_new(const char *pattern, size_t len, llm_err *err);
void llm_skim_free(llm_skim *s); /* NULL allowed */

/* What one stream remembers: the bytes before and after the text of its latest delta, since the
 * next one mostly has the same. Embedded by the stream: llm_skim_memo_init / _clear. */
typedef struct llm_skim_memo {
    llm_buffer around;
    size_t before_len;
} llm_skim_memo;
void llm_skim_memo_init(llm_skim_memo *m);
void llm_skim_memo_clear(llm_skim_memo *m);

/* 1: a plain delta, its text (maybe empty; always valid UTF-8) is appended to out. 0: not one, out
 * is unchanged. Negative: LLM_ENOMEM. Malformed JSON is 0: the ordinary way reports it. */
int llm_skim_text(
    const llm_skim *s, llm_skim_memo *m, const char *data, size_t len, llm_buffer *out);

#endif
