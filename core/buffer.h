/* buffer: bytes that grow at the end and are taken from the front.
 * Embedded by its owner: llm_buffer_init / llm_buffer_clear. An appended byte stays at its offset
 * from llm_buffer_data() until it is taken; any append may move the whole. */
#ifndef LLM_BUFFER_H
#define LLM_BUFFER_H

#include <stddef.h>

#include "error.h"

typedef struct llm_buffer {
    char *bytes; /* NULL while nothing was ever appended */
    size_t start, end, capacity;
} llm_buffer;

void llm_buffer_init(llm_buffer *b);
void llm_buffer_clear(llm_buffer *b); /* frees; the buffer is empty and usable again */

static inline size_t llm_buffer_len(const llm_buffer *b) { return b->end - b->start; }
static inline char *llm_buffer_data(const llm_buffer *b) { return b->bytes + b->start; }

/* Room for len more bytes at the end; NULL when memory is out. Follow with llm_buffer_grow. */
char *llm_buffer_reserve(llm_buffer *b, size_t len);
static inline void llm_buffer_grow(llm_buffer *b, size_t len) { b->end += len; }

/* 0, or LLM_ENOMEM with the buffer unchanged. bytes may be NULL when len is 0. */
int llm_buffer_append(llm_buffer *b, const void *bytes, size_t len);

/* Drops len bytes (at most all) from the front. */
void llm_buffer_take(llm_buffer *b, size_t len);

/* Drops everything, keeps the memory for the next use if it is at most keep bytes. */
void llm_buffer_reset(llm_buffer *b, size_t keep);

#endif
