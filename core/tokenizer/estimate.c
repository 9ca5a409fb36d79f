/* estimate: see estimate.h. The classes: frequent small letters one by one, the others in three
 * groups (0 to 13), space, line ends and controls, digits, nine groups of symbols (17 to 25),
 * capitals, then UTF-8: continuation bytes and ten ranges of leading ones (27 to 37). */
#include "estimate.h"

#include <string.h>

#include "data.h"

/* Sixteen a row, as in a table of ASCII. */
/* clang-format off */
const uint8_t llm_estimate_class[256] = {
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    14, 25, 18, 25, 25, 25, 25, 18, 19, 20, 25, 25, 21, 24, 22, 23,
    16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 21, 21, 25, 24, 25, 25,
    25, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26,
    26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 19, 23, 20, 25, 17,
    18,  0, 11, 11, 10,  1, 12, 11, 12,  2, 13, 13,  9, 12,  8,  3,
    11, 13,  7,  5,  6,  4, 12, 12, 13, 12, 13, 19, 25, 20, 25, 15,
    27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27,
    27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27,
    27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27,
    27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 29, 29,
    29, 29, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30,
    31, 31, 31, 32, 33, 33, 33, 34, 34, 34, 35, 35, 35, 35, 36, 36,
    37, 37, 37, 37, 37, 37, 37, 37, 37, 37, 37, 37, 37, 37, 37, 37,
};

const uint8_t llm_estimate_kind[256] = {
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,
     3,  5,  5,  5,  5,  5,  5,  5,  5,  5,  5,  5,  5,  5,  5,  5,
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  5,  5,  5,  5,  5,  5,
     5,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,
     1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  5,  5,  5,  5,  5,
     5,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  5,  5,  5,  5,  4,
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
};
/* clang-format on */

static const uint8_t *table_of(const char *family) {
    if (strcmp(family, "o200k_base") == 0) return llm_estimate_o200k_base;
    if (strcmp(family, "cl100k_base") == 0) return llm_estimate_cl100k_base;
    return NULL;
}

int64_t llm_estimate_tokens(const char *family, const char *text, size_t len) {
    const uint8_t *table = table_of(family), *p = (const uint8_t *)text;
    if (!table) return -1;
    if (len == 0) return 0;
    uint64_t sum = 0; /* in 255ths of a token */
    llm_place place = llm_place_first(p[0]);
    for (size_t i = 1; i < len; i++) {
        sum += table[llm_place_index(place, p[i])];
        place = llm_place_next(place, p[i]);
    }
    sum += table[llm_place_index(place, '\n')];
    return sum < 255 ? 1 : (int64_t)((sum + 127) / 255);
}
