/* SPDX-License-Identifier: MIT */
#include "core/backoff.h"

#include "core/jitter.h"

#define DOUBLINGS_MAX 20u
#define JITTER_PERCENT 25u

void lp_backoff_init(struct lp_backoff *backoff, uint64_t min_ns, uint64_t max_ns, uint64_t seed)
{
    *backoff = (struct lp_backoff){.min_ns = min_ns, .max_ns = max_ns, .random = seed | 1};
}

static uint64_t pause_ns(const struct lp_backoff *backoff, uint32_t failures)
{
    uint32_t doublings = failures - 1;
    if (doublings > DOUBLINGS_MAX)
        doublings = DOUBLINGS_MAX;
    bool is_most = backoff->min_ns >= backoff->max_ns >> doublings;
    return is_most ? backoff->max_ns : backoff->min_ns << doublings;
}

void lp_backoff_failed(struct lp_backoff *backoff, uint64_t now_ns, int error)
{
    backoff->error = error;
    backoff->failed_ns = now_ns;
    if (!lp_backoff_allows(backoff, now_ns))
        return;
    if (backoff->failures < UINT32_MAX)
        backoff->failures++;
    backoff->until_ns = now_ns + lp_jitter_less(&backoff->random,
                                                pause_ns(backoff, backoff->failures),
                                                JITTER_PERCENT);
}

void lp_backoff_succeeded(struct lp_backoff *backoff)
{
    backoff->failures = 0;
    backoff->until_ns = 0;
    backoff->error = 0;
}

bool lp_backoff_forgive(struct lp_backoff *backoff, uint64_t now_ns)
{
    if (backoff->error || now_ns < backoff->forgives_again_ns)
        return false;
    backoff->until_ns = 0;
    backoff->forgiven_ns = now_ns;
    uint32_t failures = backoff->failures < UINT32_MAX ? backoff->failures + 1 : UINT32_MAX;
    backoff->forgives_again_ns = now_ns + pause_ns(backoff, failures);
    return true;
}

bool lp_backoff_allows(const struct lp_backoff *backoff, uint64_t now_ns)
{
    return now_ns >= backoff->until_ns;
}
