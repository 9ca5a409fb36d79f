/* base64: RFC 4648, the standard alphabet with padding. Nothing is owned. */
#ifndef LLM_BASE64_H
#define LLM_BASE64_H

#include <stddef.h>

/* Bytes that llm_base64_encode writes for len bytes, and at most what llm_base64_decode writes for
 * len letters. */
static inline size_t llm_base64_encoded(size_t len) { return (len + 2) / 3 * 4; }
static inline size_t llm_base64_decoded(size_t len) { return (len + 3) / 4 * 3; }

/* Writes llm_base64_encoded(len) letters to text, no NUL. */
void llm_base64_encode(const void *bytes, size_t len, char *text);

/* Reads letters of either alphabet (RFC 4648, sections 4 and 5), with or without padding; white
 * space is passed over. Returns 0 with *written set, or LLM_ESYNTAX: another character, a single
 * letter at the end, or letters after the padding. bytes may be text itself. */
int llm_base64_decode(const char *text, size_t len, char *bytes, size_t *written);

#endif
