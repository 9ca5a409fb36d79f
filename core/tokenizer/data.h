/* data: the vocabularies and the tables of the estimator that are linked into the program. */
#ifndef LLM_TOKENIZER_DATA_H
#define LLM_TOKENIZER_DATA_H

#include "estimate.h"
#include "vocab.h"

#define LLM_HIDDEN __attribute__((visibility("hidden")))
extern const llm_vocab_head llm_vocab_o200k_base LLM_HIDDEN;
extern const llm_vocab_head llm_vocab_cl100k_base LLM_HIDDEN;
extern const llm_vocab_head llm_vocab_p50k_base LLM_HIDDEN;
extern const uint8_t llm_estimate_o200k_base[LLM_ESTIMATE_SIZE] LLM_HIDDEN;
extern const uint8_t llm_estimate_cl100k_base[LLM_ESTIMATE_SIZE] LLM_HIDDEN;

#endif
