/* The allocator of Lua states: against a plain copy of what every block should hold. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "failing.h"
#include "pool.h"

enum { BLOCKS = 200, ROUNDS = 20000, LARGEST = 2000 };

typedef struct block {
    unsigned char *bytes;
    size_t size;
    unsigned char fill;
} block;

static void check(const block *b, size_t size) {
    for (size_t i = 0; i < size; i++) cr_assert_eq(b->bytes[i], b->fill);
}

static size_t random_size(void) { return (size_t)(rand() % 4 ? rand() % 600 : rand() % LARGEST); }

/* Blocks of all sizes come, grow, shrink and go; nothing overlaps, nothing is lost on a move. */
Test(pool, blocks_keep_what_they_hold) {
    llm_pool *pool = llm_pool_new();
    block blocks[BLOCKS] = {0};
    srand(3);
    for (int round = 0; round < ROUNDS; round++) {
        block *b = &blocks[rand() % BLOCKS];
        size_t size = rand() % 3 ? random_size() : 0;
        check(b, b->size);
        size_t type_tag = (size_t)(rand() % 9); /* what Lua passes as the size of a new block */
        unsigned char *moved = llm_pool_alloc(pool, b->bytes, b->bytes ? b->size : type_tag, size);
        cr_assert_eq(moved == NULL, size == 0);
        cr_assert_eq((uintptr_t)moved % 16, 0);
        b->bytes = moved;
        check(b, size < b->size ? size : b->size);
        b->size = size, b->fill = (unsigned char)rand();
        if (size) memset(moved, b->fill, size);
    }
    for (int i = 0; i < BLOCKS; i++) {
        check(&blocks[i], blocks[i].size);
        if (blocks[i].bytes) llm_pool_alloc(pool, blocks[i].bytes, blocks[i].size, 0);
    }
    llm_pool_free(pool);
}

Test(pool, gives_a_freed_block_out_again) {
    llm_pool *pool = llm_pool_new();
    void *first = llm_pool_alloc(pool, NULL, 0, 40);
    llm_pool_alloc(pool, first, 40, 0);
    cr_assert_eq(llm_pool_alloc(pool, NULL, 0, 48), first, "the same size class");
    cr_assert_eq(llm_pool_alloc(pool, first, 48, 33), first, "it stays within its class");
    cr_assert_neq(llm_pool_alloc(pool, NULL, 0, 40), first);
    cr_assert_null(llm_pool_alloc(pool, NULL, 7, 0));
    llm_pool_free(pool);
}

/* Without memory a block stays what it was. */
Test(pool, says_when_memory_is_out) {
    fail_after(0);
    cr_assert_null(llm_pool_new());
    fail_stop();
    llm_pool *pool = llm_pool_new();
    char *small = llm_pool_alloc(pool, NULL, 0, 16), *large = llm_pool_alloc(pool, NULL, 0, 5000);
    strcpy(small, "small");
    strcpy(large, "large");
    fail_after(0);
    cr_assert_null(llm_pool_alloc(pool, small, 16, 600));
    cr_assert_null(llm_pool_alloc(pool, large, 5000, 9000));
    while (llm_pool_alloc(pool, NULL, 0, 512)) continue; /* the rest of the chunk */
    cr_assert_null(llm_pool_alloc(pool, NULL, 0, 512));
    fail_stop();
    cr_assert_str_eq(small, "small");
    cr_assert_str_eq(large, "large");
    llm_pool_alloc(pool, large, 5000, 0);
    llm_pool_free(pool);
}
