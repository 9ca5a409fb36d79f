/* The Lua files that the program carries as bytecode, sorted by name. Written by data/embed.lua. */
#ifndef LLM_EMBEDDED_H
#define LLM_EMBEDDED_H

#include <stddef.h>

typedef struct llm_embedded {
    const char *name; /* "llm.client", "scripts.chat" */
    const unsigned char *bytes;
    size_t len;
} llm_embedded;

extern const llm_embedded llm_embedded_chunks[];
extern const int llm_embedded_count;

#endif
