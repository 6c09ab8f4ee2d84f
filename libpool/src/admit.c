/* SPDX-License-Identifier: MIT */
#include "admit.h"

#include <errno.h>

bool lp_admit_is_wanted(const libpool_options *options)
{
    return options->admit_free_bytes || options->admit_pressure;
}

int lp_admit_find(struct lp_headroom *headroom, const libpool_options *options)
{
    if (!lp_admit_is_wanted(options))
        return 0;
    lp_headroom_find(headroom, options->cgroup);
    if (options->admit_free_bytes && lp_headroom_free(headroom) == LP_HEADROOM_UNKNOWN)
        return -ENOTSUP;
    return options->admit_pressure && lp_headroom_pressure(headroom) < 0 ? -ENOTSUP : 0;
}

/* Should the kernel tell no more, it is as if nobody had asked. */
bool lp_admit_is_scarce(const struct lp_headroom *headroom, const libpool_options *options)
{
    if (options->admit_free_bytes && lp_headroom_free(headroom) < options->admit_free_bytes)
        return true;
    int pressure = options->admit_pressure ? lp_headroom_pressure(headroom) : -1;
    return pressure >= 0 && (uint32_t)pressure >= options->admit_pressure;
}
