/* estimate: makes the estimator's tables, and says how far off they are.
 *     estimate fit NAME TABLE FILES…      counts, over the files, where tokens of NAME begin
 *     estimate check NAME FILES…          errors in pieces of 2,000 characters, and the speed
 * Each file has the same weight, however long. Built with the core: see core/data/estimate. */
#include "../../../core/tokenizer/estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../../core/tokenizer/encode.h"

enum { PIECE = 2000, MAX_BYTES = 64 << 20 };

typedef struct corpus {
    uint8_t *bytes, *starts; /* starts[i] is 1 where a token begins */
    size_t len;
} corpus;

static corpus read_corpus(const char *name, const char *path) {
    corpus c = {malloc(MAX_BYTES), calloc(1, MAX_BYTES), 0};
    FILE *file = fopen(path, "rb");
    if (!file || !c.bytes || !c.starts) exit(1);
    c.len = fread(c.bytes, 1, MAX_BYTES - 1, file);
    fclose(file);
    llm_encoder e;
    llm_encoder_init(&e, llm_encoding_find(name));
    llm_cursor text = {.at = c.bytes, .end = c.bytes + c.len, .stop = c.bytes};
    int64_t n;
    for (size_t at = 0; (n = llm_encoder_next(&e, &text)) > 0;) {
        for (int64_t i = 0; i < n; i++) {
            c.starts[at] = 1;
            at += llm_vocab_token_len(&e.vocab, llm_encoder_ids(&e)[i]);
        }
    }
    llm_encoder_clear(&e);
    return c;
}

static void free_corpus(corpus c) {
    free(c.bytes);
    free(c.starts);
}

/* The index of a place without the letters: what a rare place is guessed from. */
static unsigned coarse(llm_place p, uint8_t next) {
    return ((p.run << 3 | p.kind_before) << 3 | p.kind) << 3 | llm_estimate_kind[next];
}

static double fine_n[LLM_ESTIMATE_SIZE], fine_starts[LLM_ESTIMATE_SIZE];
static double coarse_n[1 << 12], coarse_starts[1 << 12];
static unsigned coarse_of[LLM_ESTIMATE_SIZE];

static void count_starts(corpus c) {
    double weight = 1e6 / (double)c.len;
    llm_place p = llm_place_first(c.bytes[0]);
    for (size_t i = 0; i < c.len; i++) {
        uint8_t next = i + 1 < c.len ? c.bytes[i + 1] : '\n';
        unsigned index = llm_place_index(p, next), rough = coarse(p, next);
        fine_n[index] += weight, fine_starts[index] += weight * c.starts[i];
        coarse_n[rough] += weight, coarse_starts[rough] += weight * c.starts[i];
        coarse_of[index] = rough;
        p = llm_place_next(p, next);
    }
}

static void fill_coarse(void) {
    for (unsigned run = 0; run < LLM_ESTIMATE_RUNS; run++) {
        for (unsigned i = 0; i < 1 << 24; i++) {
            uint8_t before = (uint8_t)(i >> 16), byte = (uint8_t)(i >> 8), next = (uint8_t)i;
            llm_place p = llm_place_next(llm_place_first(before), byte);
            p.run = run;
            coarse_of[llm_place_index(p, next)] = coarse(p, next);
        }
    }
}

static int fit(const char *name, const char *path, char **files) {
    fill_coarse();
    for (; *files; files++) {
        corpus c = read_corpus(name, *files);
        count_starts(c);
        free_corpus(c);
    }
    FILE *out = fopen(path, "wb");
    if (!out) return 1;
    for (unsigned i = 0; i < LLM_ESTIMATE_SIZE; i++) {
        unsigned rough = coarse_of[i];
        double guess = (coarse_starts[rough] + 0.3) / (coarse_n[rough] + 1);
        putc((int)lround(255 * (fine_starts[i] + 8 * guess) / (fine_n[i] + 8)), out);
    }
    return fclose(out);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(const char *name, const char *path) {
    corpus c = read_corpus(name, path);
    double *errors = malloc((c.len / PIECE + 1) * sizeof *errors), sum = 0, begin = seconds();
    llm_estimate_tokens(name, (char *)c.bytes, c.len);
    double speed = (double)c.len / 1e6 / (seconds() - begin);
    size_t n = 0;
    for (size_t at = 0, from = 0, exact = 0, characters = 0; at < c.len; at++) {
        if ((c.bytes[at] & 0xC0) != 0x80 && characters++ == PIECE) {
            int64_t guess = llm_estimate_tokens(name, (char *)c.bytes + from, at - from);
            double error = ((double)guess - (double)exact) / (double)exact;
            sum += error, errors[n++] = fabs(error);
            from = at, exact = 0, characters = 1;
        }
        exact += c.starts[at];
    }
    qsort(errors, n, sizeof *errors, by_size);
    printf("%-12s %-28s %5zu pieces, error %%: median %4.1f p95 %4.1f mean %+4.1f; %5.0f MB/s\n",
        name, strrchr(path, '/') ? strrchr(path, '/') + 1 : path, n, 100 * errors[n / 2],
        100 * errors[n * 95 / 100], 100 * sum / (double)n, speed);
    free(errors);
    free_corpus(c);
}

int main(int argc, char **argv) {
    if (argc > 4 && strcmp(argv[1], "fit") == 0) return fit(argv[2], argv[3], argv + 4);
    if (argc < 4 || strcmp(argv[1], "check") != 0) return 1;
    for (int i = 3; i < argc; i++) check(argv[2], argv[i]);
    return 0;
}
