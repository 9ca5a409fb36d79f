/* decimal: numbers against strtod and printf, also under a locale with another point. */
#include "decimal.h"

#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The value of text, which must be one number to its end; NaN if it is not. */
static double read_exactly(const char *text, size_t len) {
    llm_decimal value;
    return llm_decimal_read(text, text + len, &value) == text + len ? value.number : NAN;
}

static double read_all(const char *text) {
    guarded g = guard_text(text, strlen(text));
    double number = read_exactly(g.text, strlen(text));
    guard_free(&g);
    return number;
}

static bool same(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

/* xorshift64: the same numbers in every run */
static uint64_t random_bits(void) {
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static const struct {
    const char *text;
    double value;
} READ[] = {
    {"0", 0.0},
    {"-0", -0.0},
    {"0e999999999999999999999", 0.0},
    {"1e22", 1e22},
    {"1e23", 1e23},
    {"-123.456e-7", -123.456e-7},
    {"9007199254740993.0", 0x1p53},        /* a tie goes to even */
    {"9007199254740993.0001", 0x1p53 + 2}, /* a little more does not */
    {"2.2250738585072011e-308", 0x0.fffffffffffffp-1022},
    {"2.2250738585072014e-308", 0x1p-1022},
    {"4.9e-324", 0x1p-1074},
    {"2e-324", 0.0},
    {"1.7976931348623157e308", 0x1.fffffffffffffp1023},
    {"1.7976931348623159e308", INFINITY},
    {"-1e99999999999999999999999", -INFINITY},
    {"1e-99999999999999999999999", 0.0},
    {"9223372036854775808", 0x1p63},
    {"12345678901234567890123456789", 12345678901234567890123456789.0},
};

Test(decimal, reads_the_nearest_double) {
    for (size_t i = 0; i < COUNT(READ); i++) {
        double got = read_all(READ[i].text);
        cr_expect(same(got, READ[i].value), "%s read as %a", READ[i].text, got);
    }
}

Test(decimal, reads_what_strtod_reads) {
    for (int i = 0; i < 200000; i++) {
        char text[80];
        int digits = 1 + (int)(random_bits() % 25), exponent = (int)(random_bits() % 700) - 350;
        unsigned long long a = random_bits() >> 4, b = random_bits() >> 4;
        snprintf(
            text, sizeof text, "%llu.%0*llue%d", a, digits, b, i % 3 ? exponent % 25 : exponent);
        double got = read_exactly(text, strlen(text)), expected = strtod(text, NULL);
        if (!same(got, expected)) cr_assert_fail("%s: %a, strtod says %a", text, got, expected);
    }
}

/* Half way between two doubles takes hundreds of digits; whatever follows them still decides. */
Test(decimal, looks_at_the_last_of_many_digits) {
    char text[4000];
    int len = snprintf(text, sizeof text, "%.1075Lf", ldexpl(3, -1075)); /* a tie */
    cr_expect_eq(read_all(text), ldexp(1, -1073));
    snprintf(text + len - 1, sizeof text - (size_t)len, "4%01000d", 9); /* less than the final 5 */
    cr_expect_eq(read_all(text), ldexp(1, -1074));
    snprintf(text + len - 1, sizeof text - (size_t)len, "5%01000d", 9); /* a trace more */
    cr_expect_eq(read_all(text), ldexp(1, -1073));
    snprintf(text, sizeof text, "9007199254740993.%01000d", 0);
    cr_expect_eq(read_all(text), 0x1p53);
    snprintf(text, sizeof text, "9007199254740993.%01000d", 1);
    cr_expect_eq(read_all(text), 0x1p53 + 2);
    snprintf(text, sizeof text, "0.%01000de1000", 7);
    cr_expect_eq(read_all(text), 7);
}

Test(decimal, knows_integers_from_doubles) {
    static const struct {
        const char *text;
        bool is_integer;
        int64_t integer;
    } CASES[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"18446744073709551617", false, 0},
        {"-0", false, 0},
        {"1.0", false, 0},
        {"1e0", false, 0},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        llm_decimal value;
        const char *text = CASES[i].text, *end = text + strlen(text);
        cr_assert_eq(llm_decimal_read(text, end, &value), end, "%s", text);
        cr_expect_eq(value.is_integer, CASES[i].is_integer, "%s", text);
        if (value.is_integer) cr_expect_eq(value.integer, CASES[i].integer, "%s", text);
    }
}

Test(decimal, refuses_what_is_no_number) {
    static const char *const CASES[] = {
        "", "-", "+1", ".5", "5.", "-.5", "01", "-01", "1e", "1e+", "1.e5", "e5", "x", "1.2e-"};
    for (size_t i = 0; i < COUNT(CASES); i++) {
        guarded g = guard_text(CASES[i], strlen(CASES[i]));
        llm_decimal value;
        cr_expect_null(llm_decimal_read(g.text, g.text + strlen(CASES[i]), &value), "%s", CASES[i]);
        guard_free(&g);
    }
}

static const struct {
    double value;
    const char *text;
} WRITTEN[] = {
    {0.0, "0.0"},
    {-0.0, "-0.0"},
    {1, "1.0"},
    {-1, "-1.0"},
    {0.7, "0.7"},
    {-0.25, "-0.25"},
    {0.0001, "0.0001"},
    {0.000025, "2.5e-05"},
    {0.1 + 0.2, "0.30000000000000004"},
    {123456.789, "123456.789"},
    {99999999999999, "99999999999999.0"},
    {100000000000000, "100000000000000.0"},
    {1e15, "1e+15"},
    {0x1p53, "9007199254740992.0"},
    {1e20, "1e+20"},
    {1e23, "1e+23"},
    {0x1p-1074, "4.94065645841247e-324"},
    {0x1.fffffffffffffp1023, "1.7976931348623157e+308"},
};

static const char *written(double value) {
    static char text[LLM_DECIMAL_SIZE + 1];
    text[llm_decimal_write(text, value)] = '\0';
    return text;
}

Test(decimal, writes_short_forms) {
    for (size_t i = 0; i < COUNT(WRITTEN); i++) {
        cr_expect_str_eq(written(WRITTEN[i].value), WRITTEN[i].text);
    }
    char text[LLM_DECIMAL_SIZE];
    cr_expect_eq(llm_decimal_write_integer(text, INT64_MIN), 20);
    cr_expect_eq(memcmp(text, "-9223372036854775808", 20), 0);
    cr_expect_eq(llm_decimal_write_integer(text, 0), 1);
    cr_expect_eq(text[0], '0');
}

/* What printf writes with the least precision from 15 on that reads back, and nothing else. */
static void check_against_printf(double value) {
    char expected[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(expected, sizeof expected, "%.*g", precision, value);
        if (strtod(expected, NULL) == value) break;
    }
    if (!strpbrk(expected, ".e")) strcat(expected, ".0");
    const char *text = written(value);
    bool right = strcmp(text, expected) == 0 && same(read_exactly(text, strlen(text)), value);
    if (!right) cr_assert_fail("%s for %s", text, expected); /* a passed assertion takes 50 us */
}

Test(decimal, writes_what_printf_would) {
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = random_bits();
        double any;
        memcpy(&any, &bits, sizeof any);
        if (isfinite(any)) check_against_printf(any);
        double few = (double)(int64_t)(bits >> 40) / 1000;
        check_against_printf(i % 2 ? -few : few);
        check_against_printf((double)(int64_t)bits / 1e6);
        check_against_printf((double)(bits >> 11) / 0x1p53);
    }
}

/* The host may have called setlocale: German text has "1,5", and groups of three. */
static bool use_comma(char *folder) {
    char path[64], command[160];
    if (!mkdtemp(folder)) return false;
    snprintf(path, sizeof path, "%s/source", folder);
    FILE *source = fopen(path, "w");
    if (!source) return false;
    fputs("LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \".\"\ngrouping 3;3\nEND LC_NUMERIC\n",
        source);
    fclose(source);
    snprintf(
        command, sizeof command, "localedef -c -i %s %s/comma >%s/log 2>&1", path, folder, folder);
    int ignored = system(command); /* it warns that the other categories are missing */
    (void)ignored;
    setenv("LOCPATH", folder, 1);
    return setlocale(LC_NUMERIC, "comma") != NULL;
}

Test(decimal, ignores_the_locale) {
    char folder[] = "/tmp/llm-decimal-XXXXXX", command[64], shown[16];
    bool comma = use_comma(folder);
    snprintf(command, sizeof command, "rm -r %s", folder);
    int ignored = system(command);
    (void)ignored;
    if (!comma) cr_skip_test("localedef made no locale");
    snprintf(shown, sizeof shown, "%g", 1.5);
    cr_assert_str_eq(shown, "1,5");
    for (size_t i = 0; i < COUNT(WRITTEN); i++) {
        cr_expect_str_eq(written(WRITTEN[i].value), WRITTEN[i].text);
    }
    for (size_t i = 0; i < COUNT(READ); i++) {
        cr_expect(same(read_all(READ[i].text), READ[i].value), "%s", READ[i].text);
    }
    cr_expect(same(read_all("1.2345678901234567890123e-5"), 1.2345678901234567890123e-5));
}
