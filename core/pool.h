/* pool: an allocator for Lua states that lua_newstate takes. Small blocks come from lists by size
 * class and go back there; they are what a script makes by the million. Larger ones are malloc's.
 * One pool serves one state; memory of small blocks is kept until llm_pool_free. */
#ifndef LLM_POOL_H
#define LLM_POOL_H

#include <stddef.h>

typedef struct llm_pool llm_pool;

llm_pool *llm_pool_new(void); /* NULL when memory is out */
void llm_pool_free(llm_pool *pool);

/* A lua_Alloc; user is the pool. */
void *llm_pool_alloc(void *user, void *block, size_t old_size, size_t new_size);

#endif
