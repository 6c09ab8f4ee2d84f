/* SPDX-License-Identifier: MIT */
#include "core/histogram.h"

#include "harness/test.h"

TEST(histogram, each_time_is_in_the_bucket_of_its_bounds)
{
    for (uint32_t shift = 0; shift < 64; shift++)
        for (int64_t around = -3; around <= 3; around++) {
            uint64_t ns = (UINT64_C(1) << shift) + (uint64_t)around;
            uint32_t bucket = lp_histogram_bucket(ns);
            CU_ASSERT_FATAL(bucket < LIBPOOL_HISTOGRAM_BUCKETS);
            CU_ASSERT(ns <= lp_histogram_bound(bucket));
            CU_ASSERT(bucket == 0 || ns > lp_histogram_bound(bucket - 1));
        }
}

TEST(histogram, bounds_rise_by_an_eighth_at_most)
{
    for (uint32_t bucket = 1; bucket < LIBPOOL_HISTOGRAM_BUCKETS; bucket++) {
        uint64_t below = lp_histogram_bound(bucket - 1), bound = lp_histogram_bound(bucket);
        CU_ASSERT(bound > below);
        CU_ASSERT(bound - (below + 1) <= (below + 1) / 8);
    }
    CU_ASSERT_EQUAL(lp_histogram_bound(15), 15);
    CU_ASSERT_EQUAL(libpool_histogram_bound(LIBPOOL_HISTOGRAM_BUCKETS - 1), UINT64_MAX);
    CU_ASSERT_EQUAL(libpool_histogram_bound(LIBPOOL_HISTOGRAM_BUCKETS), UINT64_MAX);
}

TEST(histogram, a_quantile_is_at_most_an_eighth_too_long)
{
    libpool_histogram histogram = {.size = sizeof histogram};
    CU_ASSERT_EQUAL(libpool_histogram_quantile(&histogram, 0.5), 0);
    for (uint64_t us = 1; us <= 1000; us++)
        lp_histogram_add(&histogram, us * 1000);
    CU_ASSERT_EQUAL(histogram.count, 1000);
    CU_ASSERT_EQUAL(histogram.sum_ns, 500500000);
    for (uint64_t percent = 1; percent <= 100; percent++) {
        uint64_t ns = libpool_histogram_quantile(&histogram, (double)percent / 100);
        CU_ASSERT(ns >= percent * 10000);
        CU_ASSERT(ns <= percent * 10000 + percent * 10000 / 8);
    }
    CU_ASSERT_EQUAL(libpool_histogram_quantile(&histogram, 0), 1023); /* the shortest */
    CU_ASSERT_EQUAL(libpool_histogram_quantile(&histogram, 1), 1000000);
    CU_ASSERT_EQUAL(libpool_histogram_quantile(&histogram, 7), 1000000);
}
