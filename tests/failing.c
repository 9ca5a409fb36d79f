/* failing: see failing.h. */
#include "failing.h"

#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static int left = -1; /* allocations that may still succeed; -1: any number */
static bool failed;

void fail_after(int n) {
    left = n;
    failed = false;
}

bool fail_stop(void) {
    left = -1;
    return failed;
}

static bool refuse(void) {
    if (left < 0) return false;
    if (left == 0) return failed = true;
    left--;
    return false;
}

void *__wrap_malloc(size_t size) { return refuse() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) {
    return refuse() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *memory, size_t size) {
    return refuse() ? NULL : __real_realloc(memory, size);
}
