/* data: the compiled vocabularies (core/data/vocab/compile.c) and the tables of the estimator, as
 * pages of the program itself: the kernel maps them when they are first touched and shares them
 * between processes. */
#include "data.h"

#define TABLE(symbol, path)                     \
    __asm__(".section .rodata, \"a\"\n"         \
            ".balign 4096\n"                    \
            ".global " symbol "\n"              \
            ".hidden " symbol "\n" symbol ":\n" \
            ".incbin \"" path "\"\n"            \
            ".previous\n")

TABLE("llm_vocab_o200k_base", LLM_VOCAB_DIR "/o200k_base.vocab");
TABLE("llm_vocab_cl100k_base", LLM_VOCAB_DIR "/cl100k_base.vocab");
TABLE("llm_vocab_p50k_base", LLM_VOCAB_DIR "/p50k_base.vocab");
TABLE("llm_estimate_o200k_base", LLM_ESTIMATE_DIR "/o200k_base.table");
TABLE("llm_estimate_cl100k_base", LLM_ESTIMATE_DIR "/cl100k_base.table");
