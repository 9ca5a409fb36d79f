/* utf8: what is valid UTF-8 (Unicode 15, table 3-7) and what replaces the rest. Nothing is owned.
 * An invalid sequence becomes one U+FFFD per maximal subpart, as WHATWG's decoder does. */
#ifndef LLM_UTF8_H
#define LLM_UTF8_H

#include "buffer.h"

/* Bytes of the sequence that starts at text < end when it is valid, else minus the number of bytes
 * that one U+FFFD stands for. */
int llm_utf8_step(const char *text, const char *end);

/* The length of the longest valid prefix. */
size_t llm_utf8_valid(const char *text, size_t len);

/* Appends text with U+FFFD for what is invalid; 0 or LLM_ENOMEM. */
int llm_utf8_append(llm_buffer *out, const char *text, size_t len);

/* The bytes of a code point up to 0x10FFFF that is no surrogate; returns how many, 1..4. */
size_t llm_utf8_put(char bytes[4], unsigned long code);

#endif
