/* decimal: numbers to and from JSON's decimal text (RFC 8259 section 6), whatever the locale.
 * Reading is exact: the nearest double, ties to even. Writing is the fewest digits that read back
 * as the same double. Nothing is allocated. */
#ifndef LLM_DECIMAL_H
#define LLM_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LLM_DECIMAL_SIZE = 32 }; /* bytes that every written number fits in */

typedef struct llm_decimal {
    bool is_integer; /* no fraction, no exponent, fits 64 bits, not -0 */
    int64_t integer;
    double number; /* set in either case; infinite when out of range */
} llm_decimal;

/* Reads the number at text; returns what follows it, or NULL if no number stands there. */
const char *llm_decimal_read(const char *text, const char *end, llm_decimal *out);

/* Both return the length; no NUL is added. A double always has a point or an exponent ("1.0"), so
 * that it is not read back as an integer; it must be finite. */
size_t llm_decimal_write(char text[LLM_DECIMAL_SIZE], double value);
size_t llm_decimal_write_integer(char text[LLM_DECIMAL_SIZE], int64_t value);

#endif
