/* SPDX-License-Identifier: MIT */
/*
 * headroom: how much memory is left here, and how hard the kernel works for it.
 *
 * What is left to this process is the least of what the machine has available and what its memory cgroup and
 * each one above it have before their limit. Inactive file pages count as free there: the kernel drops them
 * first, and a cgroup that has read files for a while is full of them.
 */
#ifndef LP_OS_HEADROOM_H
#define LP_OS_HEADROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "os/cgroup_find.h"

#define LP_HEADROOM_UNKNOWN UINT64_MAX

/* Where the process's memory cgroups stand; "": there is none of that kind. */
struct lp_headroom {
    char v1[LP_CGROUP_PATH_BYTES], v2[LP_CGROUP_PATH_BYTES];
};

/* Finds them, as they are now. What can't be found is none. */
void lp_headroom_find(struct lp_headroom *headroom);

/* In bytes; LP_HEADROOM_UNKNOWN where the kernel does not tell of the machine. */
uint64_t lp_headroom_free(const struct lp_headroom *headroom);

/*
 * "some avg10" in 1/100 %, of the machine or of the process's v2 cgroup, whichever is higher; -ENOTSUP:
 * neither is told.
 */
int lp_headroom_pressure(const struct lp_headroom *headroom);

#endif
