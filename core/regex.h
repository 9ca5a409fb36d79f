/* regex: does a text hold a match of a pattern? PCRE2 with its bounds set, for patterns and texts
 * that nobody vouches for.
 *
 * Syntax is PCRE2's in UTF mode with the readings of ECMA-262 where they differ: $ is the end of the
 * text, \uXXXX and \u{X} are characters, \d and \w are ASCII; \C is refused. A pattern longer than
 * LLM_REGEX_PATTERN bytes is an error. A match that would take long ends with LLM_ETOOBIG: after
 * LLM_REGEX_STEPS of backtracking at one place, LLM_REGEX_HEAP_KIB of memory, or about
 * LLM_REGEX_CPU_MS of processor time for all places. */
#ifndef LLM_REGEX_H
#define LLM_REGEX_H

#include <stddef.h>

#include "error.h"

enum {
    LLM_REGEX_PATTERN = 32 << 10,
    LLM_REGEX_STEPS = 250000,
    LLM_REGEX_HEAP_KIB = 16 << 10,
    LLM_REGEX_CPU_MS = 250,
};

typedef struct llm_regex llm_regex;

/* The caller frees. NULL with LLM_ESYNTAX (the text names the byte), LLM_ETOOBIG, LLM_ENOMEM, or
 * LLM_ESYSTEM when the library cannot be opened. */
llm_regex *llm_regex_new(const char *pattern, size_t len, llm_err *err);
void llm_regex_free(llm_regex *regex); /* NULL is allowed */

/* 1 when text holds a match, 0 when not, LLM_ESYNTAX for a text that is not UTF-8, LLM_ETOOBIG. Not
 * for use by two threads at once. */
int llm_regex_matches(llm_regex *regex, const char *text, size_t len, llm_err *err);

#endif
