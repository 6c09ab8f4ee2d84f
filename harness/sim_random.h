/* SPDX-License-Identifier: MIT */
/*
 * sim_random: everything that a schedule leaves to chance comes out of its seed through here.
 */
#ifndef HARNESS_SIM_RANDOM_H
#define HARNESS_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct hn_random {
    uint64_t state;
};

/* splitmix64: any seed will do, 0 too. */
static inline uint64_t hn_random_next(struct hn_random *random)
{
    uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* 0 to n - 1; n must not be 0. */
static inline uint32_t hn_random_below(struct hn_random *random, uint32_t n)
{
    return (uint32_t)((hn_random_next(random) >> 32) * n >> 32);
}

static inline uint32_t hn_random_between(struct hn_random *random, uint32_t least, uint32_t most)
{
    return least + hn_random_below(random, most - least + 1);
}

static inline bool hn_random_chance(struct hn_random *random, uint32_t percent)
{
    return hn_random_below(random, 100) < percent;
}

/* Up to `most`, all orders of magnitude alike: half of the draws are tiny. */
static inline uint64_t hn_random_time_ns(struct hn_random *random, uint64_t most)
{
    if (most == 0)
        return 0;
    uint32_t bits = 64 - (uint32_t)__builtin_clzll(most);
    uint64_t mask = UINT64_MAX >> (63 - hn_random_below(random, bits));
    uint64_t drawn = hn_random_next(random) & mask;
    return drawn < most ? drawn : most;
}

#endif
