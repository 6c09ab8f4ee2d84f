/* SPDX-License-Identifier: MIT */
/*
 * histogram: how often times of about so long were seen. Eight buckets for each power of two, so a
 * bucket's bounds are no more than an eighth apart; exact below 16. A few additions for each time.
 */
#ifndef LP_CORE_HISTOGRAM_H
#define LP_CORE_HISTOGRAM_H

#include <assert.h>
#include <stdint.h>

#include <libpool.h>

static inline uint32_t lp_histogram_bucket(uint64_t ns)
{
    if (ns < 8)
        return (uint32_t)ns;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(ns);
    return (power - 2) * 8 + (uint32_t)(ns >> (power - 3) & 7);
}

/* The longest time that is counted in a bucket. */
static inline uint64_t lp_histogram_bound(uint32_t bucket)
{
    if (bucket < 8)
        return bucket;
    uint32_t shift = bucket / 8 - 1;
    return ((UINT64_C(9) + bucket % 8) << shift) - 1; /* of the last: 0 - 1 */
}

static inline void lp_histogram_add(libpool_histogram *histogram, uint64_t ns)
{
    histogram->count++;
    histogram->sum_ns += ns;
    if (ns > histogram->max_ns)
        histogram->max_ns = ns;
    histogram->buckets[lp_histogram_bucket(ns)]++;
}

static_assert(LIBPOOL_HISTOGRAM_BUCKETS == (63 - 2) * 8 + 8, "a bucket for each 64-bit number");

#endif
