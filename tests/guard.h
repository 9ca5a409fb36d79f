/* guard: a copy of a text that ends where the readable memory ends, so that a read of one byte
 * beyond it is a crash even where the sanitizer does not look. */
#ifndef LLM_TEST_GUARD_H
#define LLM_TEST_GUARD_H

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct guarded {
    char *text; /* not NUL-terminated */
    char *pages;
    size_t size;
} guarded;

static inline guarded guard_text(const char *text, size_t len) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), readable = (len / page + 1) * page;
    guarded g = {.size = readable + page};
    g.pages = mmap(NULL, g.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(g.pages + readable, page, PROT_NONE);
    g.text = g.pages + readable - len;
    memcpy(g.text, text, len);
    return g;
}

static inline void guard_free(guarded *g) { munmap(g->pages, g->size); }

#endif
