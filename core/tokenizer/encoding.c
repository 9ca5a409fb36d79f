/* encoding: see encoding.h. Facts from openai/tiktoken @ 4e71bbe0, openai_public.py. */
#include "encoding.h"

#include <stdio.h>

#include "data.h"

typedef struct llm_special {
    const char *text;
    uint32_t id;
} special;

static const special O200K[] = {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}, {0}};
static const special HARMONY[] = {
    {"<|startoftext|>", 199998},
    {"<|endoftext|>", 199999},
    {"<|return|>", 200002},
    {"<|constrain|>", 200003},
    {"<|channel|>", 200005},
    {"<|start|>", 200006},
    {"<|end|>", 200007},
    {"<|message|>", 200008},
    {"<|call|>", 200012},
    {"<|endofprompt|>", 200018},
    {0},
};
static const special CL100K[] = {
    {"<|endoftext|>", 100257},
    {"<|fim_prefix|>", 100258},
    {"<|fim_middle|>", 100259},
    {"<|fim_suffix|>", 100260},
    {"<|endofprompt|>", 100276},
    {0},
};
static const special GPT2[] = {{"<|endoftext|>", 50256}, {0}};

static const llm_encoding ENCODINGS[] = {
    {"o200k_base", &llm_vocab_o200k_base, 199998, 200019, llm_split_o200k, O200K, 0},
    {"o200k_harmony", &llm_vocab_o200k_base, 199998, 201088, llm_split_o200k, HARMONY, 200000},
    {"cl100k_base", &llm_vocab_cl100k_base, 100256, 100277, llm_split_cl100k, CL100K, 0},
    {"p50k_base", &llm_vocab_p50k_base, 50281, 50281, llm_split_gpt2, GPT2, 0},
    {"r50k_base", &llm_vocab_p50k_base, 50256, 50257, llm_split_gpt2, GPT2, 0},
};

const llm_encoding *llm_encoding_find(const char *name) {
    for (size_t i = 0; i < sizeof ENCODINGS / sizeof *ENCODINGS; i++) {
        if (strcmp(ENCODINGS[i].name, name) == 0) return &ENCODINGS[i];
    }
    return NULL;
}

/* Of the reserved ids those are not named so that have a name of their own; 200018 has both. */
static bool is_reserved(const llm_encoding *e, uint32_t id) {
    if (!e->reserved || id < e->reserved || id >= e->n_vocab) return false;
    for (const special *s = e->specials; s->text; s++) {
        if (s->id == id) return id == 200018;
    }
    return true;
}

int64_t llm_encoding_special(const llm_encoding *e, const char *text, size_t len) {
    if (len > LLM_SPECIAL_MAX) return -1;
    for (const special *s = e->specials; s->text; s++) {
        if (strlen(s->text) == len && memcmp(s->text, text, len) == 0) return s->id;
    }
    char copy[LLM_SPECIAL_MAX + 1] = {0}, same[LLM_SPECIAL_MAX + 1];
    memcpy(copy, text, len);
    unsigned id;
    if (sscanf(copy, "<|reserved_%6u|>", &id) != 1 || !is_reserved(e, id)) return -1;
    snprintf(same, sizeof same, "<|reserved_%u|>", id);
    return strlen(same) == len && memcmp(same, text, len) == 0 ? (int64_t)id : -1;
}

size_t llm_encoding_special_text(
    const llm_encoding *e, uint32_t id, char text[LLM_SPECIAL_MAX + 1]) {
    for (const special *s = e->specials; s->text; s++) {
        if (s->id == id) return (size_t)snprintf(text, LLM_SPECIAL_MAX + 1, "%s", s->text);
    }
    if (!is_reserved(e, id)) return 0;
    return (size_t)snprintf(text, LLM_SPECIAL_MAX + 1, "<|reserved_%u|>", (unsigned)id);
}
