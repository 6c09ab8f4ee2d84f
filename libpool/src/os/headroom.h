/* SPDX-License-Identifier: MIT */
/*
 * headroom: how much memory is left here, and how hard the kernel works for it.
 *
 * What is left is the least of what the machine has available and what the process's memory cgroup, that of
 * its workers and each one above them have before their limit. Inactive file pages count as free there: the
 * kernel drops them first, and a cgroup that has read files for a while is full of them.
 */
#ifndef LP_OS_HEADROOM_H
#define LP_OS_HEADROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "os/cgroup_find.h"

#define LP_HEADROOM_UNKNOWN UINT64_MAX

/* Where the process's memory cgroups stand, and the workers' where it is another; "": there is none. */
struct lp_headroom {
    char v1[LP_CGROUP_PATH_BYTES], v2[LP_CGROUP_PATH_BYTES], delegated[LP_CGROUP_PATH_BYTES];
};

/* Finds them, as they are now. What can't be found is none. `delegated` is a v2 directory, or NULL. */
void lp_headroom_find(struct lp_headroom *headroom, const char *delegated);

/* In bytes; LP_HEADROOM_UNKNOWN where the kernel does not tell of the machine. */
uint64_t lp_headroom_free(const struct lp_headroom *headroom);

/*
 * "some avg10" in 1/100 %, of the machine or of one of the v2 cgroups, whichever is highest; -ENOTSUP:
 * none is told.
 */
int lp_headroom_pressure(const struct lp_headroom *headroom);

#endif
