/* encode: how fast the core alone is: megabytes a second of processor time for the second half of a
 * file, first by a tokenizer that has seen nothing, then encoded and counted by such that have seen
 * the first half; then the estimate of the whole.
 *     encode NAME FILE */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../../core/tokenizer/estimate.h"
#include "../../../core/tokenizer/tokenizer.h"

enum { MAX_BYTES = 64 << 20 };

typedef struct text {
    const char *p;
    size_t len;
} text;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double encode(llm_tokenizer *t, text s) {
    llm_buffer ids = {0};
    double begin = seconds();
    if (llm_tokenizer_encode(t, s.p, s.len, NULL, &ids) != 0) exit(1);
    double took = seconds() - begin;
    llm_buffer_clear(&ids);
    return (double)s.len / 1e6 / took;
}

static double count(llm_tokenizer *t, text s) {
    size_t n;
    double begin = seconds();
    if (llm_tokenizer_count(t, s.p, s.len, SIZE_MAX - 1, &n) != 0) exit(1);
    return (double)s.len / 1e6 / (seconds() - begin);
}

int main(int argc, char **argv) {
    char *bytes = malloc(MAX_BYTES);
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (!file || !bytes) return 1;
    size_t len = fread(bytes, 1, MAX_BYTES - 1, file), middle = len / 2;
    while (middle < len && (bytes[middle] & 0xC0) == 0x80) middle++;
    text old = {bytes, middle}, new = {bytes + middle, len - middle};
    llm_tokenizer *fresh = llm_tokenizer_new(argv[1], NULL);
    llm_tokenizer *encoder = llm_tokenizer_new(argv[1], NULL);
    llm_tokenizer *counter = llm_tokenizer_new(argv[1], NULL);
    if (!fresh || !encoder || !counter) return 1;
    double first = encode(fresh, new);
    encode(encoder, old);
    double warm = encode(encoder, new);
    count(counter, old);
    double counted = count(counter, new), begin = seconds();
    llm_estimate_tokens(argv[1], bytes, len);
    double estimate = (double)len / 1e6 / (seconds() - begin);
    printf("%f %f %f %f\n", first, warm, counted, estimate);
    return 0;
}
