/* data: the compiled vocabularies (core/data/vocab/compile.c), as pages of the program itself: the
 * kernel maps them when they are first touched and shares them between processes. */
#include "data.h"

#define VOCABULARY(name)                                      \
    __asm__(".section .rodata, \"a\"\n"                       \
            ".balign 4096\n"                                  \
            ".global llm_vocab_" #name "\n"                   \
            ".hidden llm_vocab_" #name "\n"                   \
            "llm_vocab_" #name ":\n"                          \
            ".incbin \"" LLM_VOCAB_DIR "/" #name ".vocab\"\n" \
            ".previous\n")

VOCABULARY(o200k_base);
VOCABULARY(cl100k_base);
VOCABULARY(p50k_base);
