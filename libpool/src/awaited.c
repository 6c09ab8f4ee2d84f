/* SPDX-License-Identifier: MIT */
#include "awaited.h"

#include <errno.h>

#include "sys/sys.h"

int lp_awaited_sleep(const struct lp_awaited *awaited, uint64_t deadline_ns)
{
    uint32_t now = atomic_fetch_or(awaited->word, LP_AWAITED) | LP_AWAITED;
    for (; (now & awaited->mask) == awaited->seen; now = atomic_load(awaited->word)) {
        int error = lp_sys.futex_wait_until(awaited->word, now, deadline_ns);
        if (error == -ETIMEDOUT && !lp_awaited_came(awaited))
            return -ETIMEDOUT;
    }
    return 0;
}
