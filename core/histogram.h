/* histogram: counts of positive numbers in buckets that split each power of two into 64, so that
 * any percentile is within 0.8 % of the truth (the idea of HdrHistogram). Memory grows with the
 * range that was seen: 256 bytes for a power of two. */
#ifndef LLM_HISTOGRAM_H
#define LLM_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

typedef struct llm_histogram {
    uint64_t count;
    double sum, min, max; /* min is 0 while it is empty */
    uint32_t *buckets;    /* from `first` on; owned */
    int first, len;
} llm_histogram;

llm_histogram *llm_histogram_new(void); /* NULL when out of memory */
void llm_histogram_free(llm_histogram *h);

/* Counts a value; NaN and what is below 0 are passed over, what is not between 2^-40 and 2^60 is
 * counted as these. 0, or LLM_ENOMEM, and the value is not counted. */
int llm_histogram_add(llm_histogram *h, double value);
/* Counts everything that other holds. 0 or LLM_ENOMEM, and nothing is counted. */
int llm_histogram_merge(llm_histogram *h, const llm_histogram *other);

/* The value below which the share (0 to 1) of the values lies; 0 when it is empty. */
double llm_histogram_percentile(const llm_histogram *h, double share);
/* How many values are at or below the bound, to 0.8 %. */
uint64_t llm_histogram_up_to(const llm_histogram *h, double bound);

#endif
