/* SPDX-License-Identifier: MIT */
/* A sample is whole, however often another one is written meanwhile. */
#include <pthread.h>
#include <string.h>

#include "harness/test.h"
#include "harness/world.h"

#define SAMPLES 20000

static void fill(libpool_stats *stats, uint64_t number)
{
    uint64_t words[sizeof *stats / sizeof(uint64_t)];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        words[i] = number;
    memcpy(stats, words, sizeof *stats);
}

static void *write_samples(void *argument)
{
    for (uint64_t i = 1; i <= SAMPLES; i++) {
        libpool_stats stats;
        fill(&stats, i);
        hn_sample_write(argument, &stats, i);
    }
    return NULL;
}

TEST(world, a_sample_is_of_one_moment)
{
    static struct hn_sample sample;
    libpool_stats seen, whole;
    pthread_t writer;
    uint64_t time_ns = 0, last_ns = 0;
    bool right = true, forward = true;
    CU_ASSERT(!hn_sample_read(&sample, &seen, &time_ns));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, write_samples, &sample), 0);
    while (last_ns != SAMPLES) {
        if (!hn_sample_read(&sample, &seen, &time_ns))
            continue;
        fill(&whole, time_ns);
        right = right && memcmp(&seen, &whole, sizeof seen) == 0;
        forward = forward && time_ns >= last_ns;
        last_ns = time_ns;
    }
    CU_ASSERT(right);
    CU_ASSERT(forward);
    CU_ASSERT_EQUAL(pthread_join(writer, NULL), 0);
}
