/* decimal: see decimal.h. Short numbers are one exact multiplication or division (W. D. Clinger,
 * "How to read floating point numbers accurately", 1990); the rest goes through strtod and
 * snprintf, around the one thing a locale changes in them: the point. */
#include "decimal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MANTISSA_DIGITS = 19, /* always fit 64 bits */
    EXACT_POWER = 22,     /* 10^22 is the last power of ten that is a double */
    /* 767 digits can lie between two doubles; one digit more says "and something beyond" */
    DECIDING_DIGITS = 770,
    FAR_EXPONENT = 100000, /* zero or infinity with any mantissa of DECIDING_DIGITS */
    SHORT_FRACTION = 6     /* fraction digits tried without snprintf */
};

static const double POWERS[EXACT_POWER + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

typedef struct digits {
    uint64_t mantissa; /* the first MANTISSA_DIGITS significant digits */
    size_t count;      /* of all significant digits */
    int64_t exponent;  /* power of ten of the last digit */
} digits;

static bool is_digit(char c) { return (unsigned)(c - '0') < 10; }

static const char *read_digits(const char *p, const char *end, digits *d) {
    for (; p < end && is_digit(*p); p++) {
        if (d->count < MANTISSA_DIGITS) d->mantissa = d->mantissa * 10 + (unsigned)(*p - '0');
        d->count += d->mantissa != 0;
    }
    return p;
}

static const char *read_fraction(const char *p, const char *end, digits *d) {
    const char *after = read_digits(p, end, d);
    d->exponent = p - after;
    return after == p ? NULL : after;
}

static const char *read_exponent(const char *p, const char *end, digits *d) {
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p == end || !is_digit(*p)) return NULL;
    int64_t value = 0;
    for (; p < end && is_digit(*p); p++) {
        if (value < INT64_MAX / 100) value = value * 10 + (*p - '0');
    }
    d->exponent += negative ? -value : value;
    return p;
}

/* strtod on the digits without their point: "1.25e7" as "125e5" means the same in every locale. */
static double read_long(const char *p, const char *end, int64_t exponent) {
    char text[DECIDING_DIGITS + 16];
    size_t len = 0;
    bool beyond = false;
    for (; p < end && (is_digit(*p) || *p == '.'); p++) {
        if (*p == '.' || (len == 0 && *p == '0')) continue;
        if (len < DECIDING_DIGITS) {
            text[len++] = *p;
        } else {
            exponent++;
            beyond |= *p != '0';
        }
    }
    if (beyond) {
        text[len++] = '1';
        exponent--;
    }
    if (exponent > FAR_EXPONENT) exponent = FAR_EXPONENT;
    if (exponent < -FAR_EXPONENT) exponent = -FAR_EXPONENT;
    snprintf(text + len, sizeof text - len, "e%d", (int)exponent);
    return strtod(text, NULL);
}

static double to_double(const char *text, const char *end, const digits *d) {
    bool exact = d->count <= MANTISSA_DIGITS && d->mantissa <= UINT64_C(1) << 53 &&
                 FLT_EVAL_METHOD == 0; /* the x87 would round twice */
    if (d->mantissa == 0) return 0;
    if (exact && d->exponent >= 0 && d->exponent <= EXACT_POWER) {
        return (double)d->mantissa * POWERS[d->exponent];
    }
    if (exact && d->exponent < 0 && d->exponent >= -EXACT_POWER) {
        return (double)d->mantissa / POWERS[-d->exponent];
    }
    return read_long(text, end, d->exponent);
}

const char *llm_decimal_read(const char *text, const char *end, llm_decimal *out) {
    digits d = {0};
    bool negative = text < end && *text == '-';
    const char *first = text + negative, *p = read_digits(first, end, &d);
    if (p == first || (*first == '0' && p > first + 1)) return NULL;
    bool integral = true;
    if (p < end && *p == '.') {
        p = read_fraction(p + 1, end, &d);
        if (!p) return NULL;
        integral = false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p = read_exponent(p + 1, end, &d);
        if (!p) return NULL;
        integral = false;
    }
    out->is_integer = integral && d.count <= MANTISSA_DIGITS && !(negative && d.mantissa == 0) &&
                      d.mantissa <= (uint64_t)INT64_MAX + negative;
    out->integer = 0;
    if (out->is_integer) {
        out->integer = negative ? -(int64_t)(d.mantissa - 1) - 1 : (int64_t)d.mantissa;
        out->number = (double)out->integer;
    } else {
        double number = to_double(first, p, &d);
        out->number = negative ? -number : number;
    }
    return p;
}

/* Writes value backwards from end and returns where it begins. */
static char *write_digits(char *end, uint64_t value) {
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

size_t llm_decimal_write_integer(char text[LLM_DECIMAL_SIZE], int64_t value) {
    char scratch[LLM_DECIMAL_SIZE], *end = scratch + sizeof scratch;
    char *start = write_digits(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    if (value < 0) *--start = '-';
    memcpy(text, start, (size_t)(end - start));
    return (size_t)(end - start);
}

/* mantissa / 10^places with a digit before the point */
static size_t write_fixed(char *text, bool negative, uint64_t mantissa, int places) {
    char scratch[LLM_DECIMAL_SIZE], *end = scratch + sizeof scratch;
    char *start = write_digits(end, mantissa), *point = end - places;
    while (start >= point) *--start = '0';
    size_t whole = (size_t)(point - start), len = 0;
    if (negative) text[len++] = '-';
    memcpy(text + len, start, whole);
    text[len + whole] = '.';
    memcpy(text + len + whole + 1, point, (size_t)places);
    return len + whole + 1 + (size_t)places;
}

/* Few digits: a mantissa below 10^15 whose quotient is exactly the value is the only decimal of 15
 * digits or fewer that reads back, so this writes what %.15g would. 0: not that short. */
static size_t write_short(char *text, double value) {
    double magnitude = fabs(value);
    if (magnitude < 1e-4 || magnitude >= 1e14) return 0;
    for (int places = 1; places <= SHORT_FRACTION; places++) {
        double scaled = nearbyint(magnitude * POWERS[places]);
        if (scaled >= 1e15) return 0;
        if (scaled / POWERS[places] == magnitude) {
            return write_fixed(text, value < 0, (uint64_t)scaled, places);
        }
    }
    return 0;
}

/* The locale's point, which may be several bytes, becomes '.'; without any, ".0" says it is a
 * double. Returns the length. */
static size_t fix_point(char *text) {
    size_t len = strlen(text), whole = strspn(text, "-0123456789");
    if (text[whole] == 'e') return len;
    if (text[whole] == '\0') {
        memcpy(text + len, ".0", 3);
        return len + 2;
    }
    size_t point = strcspn(text + whole, "0123456789");
    text[whole] = '.';
    memmove(text + whole + 1, text + whole + point, len - whole - point + 1);
    return len - point + 1;
}

size_t llm_decimal_write(char text[LLM_DECIMAL_SIZE], double value) {
    size_t len = FLT_EVAL_METHOD == 0 ? write_short(text, value) : 0;
    for (int precision = 15; len == 0; precision++) {
        char printed[LLM_DECIMAL_SIZE + 8];
        snprintf(printed, sizeof printed, "%.*g", precision, value);
        size_t printed_len = fix_point(printed);
        llm_decimal back;
        llm_decimal_read(printed, printed + printed_len, &back);
        if (precision == 17 || back.number == value) {
            memcpy(text, printed, printed_len);
            len = printed_len;
        }
    }
    return len;
}
