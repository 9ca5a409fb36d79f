/* pool: see pool.h. */
#include "pool.h"

#include <stdlib.h>
#include <string.h>

enum {
    GRAIN = 16,        /* block sizes are multiples of this, which also aligns them */
    SMALL = 512,       /* largest pooled block */
    CHUNK = 32 * 1024, /* bytes taken from malloc at a time */
};

typedef struct cell {
    struct cell *next;
} cell;

typedef struct chunk {
    struct chunk *next;
    char bytes[CHUNK] __attribute__((aligned(GRAIN)));
} chunk;

struct llm_pool {
    cell *lists[SMALL / GRAIN + 1]; /* free blocks by size class */
    chunk *chunks;
    char *at; /* unused part of the newest chunk */
    size_t left;
};

llm_pool *llm_pool_new(void) { return calloc(1, sizeof(llm_pool)); }

void llm_pool_free(llm_pool *pool) {
    while (pool->chunks) {
        chunk *next = pool->chunks->next;
        free(pool->chunks);
        pool->chunks = next;
    }
    free(pool);
}

static size_t class_of(size_t size) { return (size + GRAIN - 1) / GRAIN; }

static void give_back(llm_pool *pool, void *block, size_t class) {
    cell *c = block;
    c->next = pool->lists[class];
    pool->lists[class] = c;
}

/* Cuts a block from the newest chunk; what is left of a full one goes to the lists. */
static void *cut(llm_pool *pool, size_t class) {
    size_t size = class * GRAIN;
    if (pool->left < size) {
        if (pool->left) give_back(pool, pool->at, pool->left / GRAIN);
        pool->left = 0;
        chunk *c = malloc(sizeof *c);
        if (!c) return NULL;
        c->next = pool->chunks;
        pool->chunks = c;
        pool->at = c->bytes;
        pool->left = CHUNK;
    }
    void *block = pool->at;
    pool->at += size;
    pool->left -= size;
    return block;
}

static void *take(llm_pool *pool, size_t size) {
    if (size > SMALL) return malloc(size);
    size_t class = class_of(size);
    cell *c = pool->lists[class];
    if (!c) return cut(pool, class);
    pool->lists[class] = c->next;
    return c;
}

static void release(llm_pool *pool, void *block, size_t size) {
    if (size > SMALL) {
        free(block);
    } else {
        give_back(pool, block, class_of(size));
    }
}

void *llm_pool_alloc(void *user, void *block, size_t old_size, size_t new_size) {
    llm_pool *pool = user;
    if (!block) return new_size ? take(pool, new_size) : NULL; /* old_size is a type tag then */
    if (new_size == 0) {
        if (old_size) release(pool, block, old_size);
        return NULL;
    }
    if (old_size > SMALL && new_size > SMALL) return realloc(block, new_size);
    if (old_size <= SMALL && class_of(old_size) == class_of(new_size)) return block;
    void *moved = take(pool, new_size);
    if (!moved) return NULL;
    memcpy(moved, block, old_size < new_size ? old_size : new_size);
    release(pool, block, old_size);
    return moved;
}
