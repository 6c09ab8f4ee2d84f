/* SPDX-License-Identifier: MIT */
/*
 * backoff: when the next attempt may be made after failures in a row. Doubles from min to max, with
 * up to a quarter of jitter taken off so that pools don't beat in step. A burst of failures inside
 * one pause counts as one. Never gives up.
 */
#ifndef LP_CORE_BACKOFF_H
#define LP_CORE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct lp_backoff {
    uint64_t min_ns, max_ns;
    uint64_t random;      /* state of the jitter's generator: seeded, so runs can be repeated */
    uint64_t until_ns;    /* no attempt before; 0: none pending */
    uint32_t failures;    /* in a row */
    int error;            /* of the last failure: negated errno, or 0 */
    uint64_t failed_ns;   /* when that was: what began before it proves nothing since */
    uint64_t forgiven_ns; /* when a pause was last forgiven; 0: never */
    uint64_t forgives_again_ns; /* no other is before */
};

void lp_backoff_init(struct lp_backoff *backoff, uint64_t min_ns, uint64_t max_ns, uint64_t seed);
void lp_backoff_failed(struct lp_backoff *backoff, uint64_t now_ns, int error);
void lp_backoff_succeeded(struct lp_backoff *backoff);
/*
 * There is reason to hope: the next attempt may be made now. A pause for what the kernel refused goes on, and
 * hope has pauses, too, each as long as what the next failure makes. False: not now.
 */
bool lp_backoff_forgive(struct lp_backoff *backoff, uint64_t now_ns);
bool lp_backoff_allows(const struct lp_backoff *backoff, uint64_t now_ns);

#endif
