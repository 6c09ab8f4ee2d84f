/* SPDX-License-Identifier: MIT */
#include "core/backoff.h"

#define DOUBLINGS_MAX 20u

void lp_backoff_init(struct lp_backoff *backoff, uint64_t min_ns, uint64_t max_ns, uint64_t seed)
{
    *backoff = (struct lp_backoff){.min_ns = min_ns, .max_ns = max_ns, .random = seed | 1};
}

/* xorshift64: enough for jitter. */
static uint64_t next_random(struct lp_backoff *backoff)
{
    uint64_t x = backoff->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return backoff->random = x;
}

static uint64_t pause_ns(const struct lp_backoff *backoff)
{
    uint32_t doublings = backoff->failures - 1;
    if (doublings > DOUBLINGS_MAX)
        doublings = DOUBLINGS_MAX;
    uint64_t pause = backoff->min_ns << doublings;
    return pause < backoff->max_ns ? pause : backoff->max_ns;
}

void lp_backoff_failed(struct lp_backoff *backoff, uint64_t now_ns, int error)
{
    backoff->error = error;
    backoff->failed_ns = now_ns;
    if (!lp_backoff_allows(backoff, now_ns))
        return;
    if (backoff->failures < UINT32_MAX)
        backoff->failures++;
    uint64_t pause = pause_ns(backoff);
    backoff->until_ns = now_ns + pause - next_random(backoff) % (pause / 4 + 1);
}

void lp_backoff_succeeded(struct lp_backoff *backoff)
{
    backoff->failures = 0;
    backoff->until_ns = 0;
    backoff->error = 0;
}

bool lp_backoff_allows(const struct lp_backoff *backoff, uint64_t now_ns)
{
    return now_ns >= backoff->until_ns;
}
