/* estimate: how many tokens a text has, without a vocabulary: the sum, over its bytes, of how often
 * a token began in such a place in the texts that the table was made from
 * (core/data/estimate/README.md has them, and the errors). Reads only; threads may share it. */
#ifndef LLM_TOKENIZER_ESTIMATE_H
#define LLM_TOKENIZER_ESTIMATE_H

#include <stddef.h>
#include <stdint.h>

enum {
    LLM_ESTIMATE_CLASSES = 40, /* of bytes */
    LLM_ESTIMATE_KINDS = 8,    /* of classes */
    LLM_ESTIMATE_RUNS = 8,     /* lengths of a run of bytes of one kind */
    LLM_ESTIMATE_SIZE =
        LLM_ESTIMATE_RUNS * LLM_ESTIMATE_CLASSES * LLM_ESTIMATE_CLASSES * LLM_ESTIMATE_KINDS,
};

/* The estimate by the table of a family, "o200k_base" or "cl100k_base"; -1: there is none. */
int64_t llm_estimate_tokens(const char *family, const char *text, size_t len);

/* What the table has a row for: the bytes before a byte and itself, in classes and kinds. */
typedef struct llm_place {
    unsigned run; /* how many bytes of one kind are before it, up to a limit */
    unsigned before, class, kind_before, kind;
} llm_place;

extern const uint8_t llm_estimate_class[256], llm_estimate_kind[256];

/* The place of the first byte of a text: as after the end of a line. */
static inline llm_place llm_place_first(uint8_t byte) {
    return (llm_place){0, llm_estimate_class['\n'], llm_estimate_class[byte],
        llm_estimate_kind['\n'], llm_estimate_kind[byte]};
}

/* Where the table says how often a token begins at a place that is followed by next. */
static inline unsigned llm_place_index(llm_place p, uint8_t next) {
    unsigned row = (p.run * LLM_ESTIMATE_CLASSES + p.before) * LLM_ESTIMATE_CLASSES + p.class;
    return row * LLM_ESTIMATE_KINDS + llm_estimate_kind[next];
}

/* The place of the byte that follows. */
static inline llm_place llm_place_next(llm_place p, uint8_t next) {
    unsigned goes_on = p.kind == p.kind_before; /* masked: a branch would be guessed wrong */
    unsigned run = p.run < LLM_ESTIMATE_RUNS - 1 ? p.run : LLM_ESTIMATE_RUNS - 2;
    return (llm_place){
        1 + (run & -goes_on), p.class, llm_estimate_class[next], p.kind, llm_estimate_kind[next]};
}

#endif
