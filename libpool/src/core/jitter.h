/* SPDX-License-Identifier: MIT */
/*
 * jitter: what should not happen to all at once happens to each a little earlier than it might. From a
 * seeded generator, so that a simulated run can be repeated.
 */
#ifndef LP_CORE_JITTER_H
#define LP_CORE_JITTER_H

#include <stdint.h>

/* xorshift64: enough for jitter. The state must not be 0. */
static inline uint64_t lp_jitter_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* The most that lp_jitter_less takes away. */
static inline uint64_t lp_jitter_range(uint64_t value, uint32_t percent)
{
    return value / 100 * percent + value % 100 * percent / 100;
}

/* The value (below UINT64_MAX), less up to so many percent of it; only 0 becomes 0. */
static inline uint64_t lp_jitter_less(uint64_t *state, uint64_t value, uint32_t percent)
{
    uint64_t less = value - lp_jitter_next(state) % (lp_jitter_range(value, percent) + 1);
    return less ? less : value != 0;
}

#endif
