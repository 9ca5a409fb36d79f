/* The bucket of a number is read from its bits: the exponent and the six highest bits of the
 * fraction, counted from that of the smallest number. IEEE 754 doubles are in order as integers. */
#include "histogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

enum { SHIFT = 52 - 6, STEP = 64 /* buckets grow by a power of two at a time */ };
static const double smallest = 0x1p-40, largest = 0x1p60;

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static int bucket_of(double value) {
    double within = value < smallest ? smallest : value > largest ? largest : value;
    return (int)((bits_of(within) >> SHIFT) - (bits_of(smallest) >> SHIFT));
}

/* The middle of a bucket; what was too small for one counts as 0. */
static double value_of(int bucket) {
    if (bucket == 0) return 0;
    uint64_t bits = ((uint64_t)bucket << SHIFT) + bits_of(smallest) + (1ull << (SHIFT - 1));
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

llm_histogram *llm_histogram_new(void) { return calloc(1, sizeof(llm_histogram)); }

void llm_histogram_free(llm_histogram *h) {
    if (!h) return;
    free(h->buckets);
    free(h);
}

/* Makes room for the buckets from..to. */
static int cover(llm_histogram *h, int from, int to) {
    if (h->len > 0 && from >= h->first && to < h->first + h->len) return 0;
    if (h->len > 0 && h->first < from) from = h->first;
    if (h->len > 0 && h->first + h->len - 1 > to) to = h->first + h->len - 1;
    int first = from / STEP * STEP, len = (to / STEP + 1) * STEP - first;
    uint32_t *buckets = calloc((size_t)len, sizeof *buckets);
    if (!buckets) return LLM_ENOMEM;
    if (h->len > 0) {
        memcpy(buckets + (h->first - first), h->buckets, (size_t)h->len * sizeof *buckets);
    }
    free(h->buckets);
    h->buckets = buckets;
    h->first = first;
    h->len = len;
    return 0;
}

static void widen(llm_histogram *h, double min, double max) {
    if (h->count == 0 || min < h->min) h->min = min;
    if (h->count == 0 || max > h->max) h->max = max;
}

int llm_histogram_add(llm_histogram *h, double value) {
    if (isnan(value) || value < 0) return 0;
    int bucket = bucket_of(value);
    int rc = cover(h, bucket, bucket);
    if (rc != 0) return rc;
    h->buckets[bucket - h->first]++;
    widen(h, value, value);
    h->count++;
    h->sum += value;
    return 0;
}

int llm_histogram_merge(llm_histogram *h, const llm_histogram *other) {
    if (other->count == 0) return 0;
    int rc = cover(h, other->first, other->first + other->len - 1);
    if (rc != 0) return rc;
    for (int i = 0; i < other->len; i++)
        h->buckets[other->first + i - h->first] += other->buckets[i];
    widen(h, other->min, other->max);
    h->count += other->count;
    h->sum += other->sum;
    return 0;
}

double llm_histogram_percentile(const llm_histogram *h, double share) {
    uint64_t seen = 0;
    for (int i = 0; share < 1 && i < h->len; i++) {
        seen += h->buckets[i];
        if (h->buckets[i] == 0 || (double)seen < share * (double)h->count) continue;
        return fmax(h->min, fmin(h->max, value_of(h->first + i)));
    }
    return h->max;
}

uint64_t llm_histogram_up_to(const llm_histogram *h, double bound) {
    uint64_t seen = 0;
    for (int i = 0; i < h->len && value_of(h->first + i) <= bound; i++) seen += h->buckets[i];
    return seen;
}
