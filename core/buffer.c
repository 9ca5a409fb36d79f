/* buffer: see buffer.h. Growth is by half, after moving what is left to the front. */
#include "buffer.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 128 };

void llm_buffer_init(llm_buffer *b) { *b = (llm_buffer){0}; }

void llm_buffer_clear(llm_buffer *b) {
    free(b->bytes);
    llm_buffer_init(b);
}

char *llm_buffer_reserve(llm_buffer *b, size_t len) {
    if (len <= b->capacity - b->end) return b->bytes + b->end;
    size_t used = llm_buffer_len(b);
    if (b->start > b->capacity / 2 && len <= b->capacity - used) {
        memmove(b->bytes, b->bytes + b->start, used);
        b->start = 0, b->end = used;
        return b->bytes + b->end;
    }
    size_t capacity = b->capacity ? b->capacity + b->capacity / 2 : FIRST_CAPACITY;
    if (len > (size_t)-1 / 2 - b->end) return NULL;
    if (capacity < b->end + len) capacity = b->end + len;
    char *bytes = realloc(b->bytes, capacity);
    if (!bytes) return NULL;
    b->bytes = bytes, b->capacity = capacity;
    return b->bytes + b->end;
}

int llm_buffer_append(llm_buffer *b, const void *bytes, size_t len) {
    if (len == 0) return 0;
    char *room = llm_buffer_reserve(b, len);
    if (!room) return LLM_ENOMEM;
    memcpy(room, bytes, len);
    b->end += len;
    return 0;
}

void llm_buffer_take(llm_buffer *b, size_t len) {
    if (len >= llm_buffer_len(b)) {
        b->start = b->end = 0;
    } else {
        b->start += len;
    }
}

void llm_buffer_reset(llm_buffer *b, size_t keep) {
    if (b->capacity > keep) {
        llm_buffer_clear(b);
    } else {
        b->start = b->end = 0;
    }
}
