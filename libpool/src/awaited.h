/* SPDX-License-Identifier: MIT */
/*
 * awaited: what a thread waits for: that a word tells something else than it did.
 *
 * A future's word says that it has ended, a gather's how many of its futures have. Looking costs a load;
 * one bit of the word says that somebody sleeps on it, so who changes it knows whether to wake.
 */
#ifndef LP_AWAITED_H
#define LP_AWAITED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LP_AWAITED 2u /* the bit: somebody sleeps on the word */

struct lp_awaited {
    _Atomic uint32_t *word;
    uint32_t mask; /* which bits count; LP_AWAITED is none of them */
    uint32_t seen; /* what they were */
};

static inline bool lp_awaited_came(const struct lp_awaited *awaited)
{
    uint32_t now = atomic_load_explicit(awaited->word, memory_order_acquire);
    return (now & awaited->mask) != awaited->seen;
}

/* Sleeps on it. 0 or -ETIMEDOUT; deadline_ns is absolute, UINT64_MAX: none. */
int lp_awaited_sleep(const struct lp_awaited *awaited, uint64_t deadline_ns);

#endif
