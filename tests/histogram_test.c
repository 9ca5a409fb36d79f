/* histogram: percentiles against the sorted truth, the ends of the range, merging, no memory. */
#include "histogram.h"

#include <criterion/criterion.h>
#include <math.h>

#include "error.h"
#include "failing.h"

Test(histogram, percentiles_are_within_their_bound) {
    llm_histogram *h = llm_histogram_new();
    for (int i = 1; i <= 10000; i++) cr_assert_eq(llm_histogram_add(h, i * 1e-5), 0);
    for (int percent = 1; percent <= 100; percent++) {
        double truth = percent * 1e-3;
        double told = llm_histogram_percentile(h, percent / 100.0);
        cr_expect(fabs(told - truth) <= 0.008 * truth, "p%d is %g, told %g", percent, truth, told);
    }
    cr_expect_eq(h->count, 10000);
    cr_expect_float_eq(h->sum, 500.05, 1e-9);
    cr_expect_eq(h->min, 1e-5);
    cr_expect_eq(h->max, 0.1);
    cr_expect(llm_histogram_up_to(h, 0.05) >= 4960 && llm_histogram_up_to(h, 0.05) <= 5040);
    llm_histogram_free(h);
}

Test(histogram, the_ends_of_the_range) {
    static const struct {
        double value;
        int counted;
    } CASES[] = {{NAN, 0}, {-1, 0}, {-INFINITY, 0}, {0, 1}, {5e-324, 1}, {INFINITY, 1}, {1e300, 1}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        llm_histogram *h = llm_histogram_new();
        cr_expect_eq(llm_histogram_percentile(h, 0.5), 0);
        cr_assert_eq(llm_histogram_add(h, CASES[i].value), 0);
        cr_expect_eq(h->count, CASES[i].counted, "case %zu", i);
        if (CASES[i].counted) cr_expect_eq(llm_histogram_percentile(h, 1), h->max, "case %zu", i);
        llm_histogram_free(h);
    }
}

Test(histogram, grows_both_ways_and_merges) {
    llm_histogram *a = llm_histogram_new(), *b = llm_histogram_new();
    llm_histogram_add(a, 1);
    llm_histogram_add(a, 1e9);
    llm_histogram_add(a, 1e-9);
    cr_assert_eq(llm_histogram_merge(a, b), 0);
    llm_histogram_add(b, 1e-3);
    cr_assert_eq(llm_histogram_merge(a, b), 0);
    cr_assert_eq(llm_histogram_merge(b, a), 0);
    cr_expect_eq(a->count, 4);
    cr_expect_eq(b->count, 5);
    cr_expect_eq(b->min, 1e-9);
    cr_expect_eq(b->max, 1e9);
    cr_expect_eq(llm_histogram_up_to(b, 0.01), 3);
    cr_expect_float_eq(llm_histogram_percentile(b, 0.6), 1e-3, 1e-5);
    llm_histogram_free(a);
    llm_histogram_free(b);
}

Test(histogram, counts_nothing_without_memory) {
    llm_histogram *h = llm_histogram_new();
    llm_histogram_add(h, 1);
    fail_after(0);
    int rc = llm_histogram_add(h, 1e6);
    cr_expect(fail_stop());
    cr_expect_eq(rc, LLM_ENOMEM);
    cr_expect_eq(h->count, 1);
    cr_expect_eq(llm_histogram_add(h, 1), 0);
    llm_histogram_free(h);
}
