/* SPDX-License-Identifier: MIT */
/*
 * cgroup_own: where the process's own cgroups stand, and what they and those above them grant: the least of
 * all that is told on the way up.
 */
#ifndef LP_OS_CGROUP_OWN_H
#define LP_OS_CGROUP_OWN_H

#include <stdint.h>

#include "os/cgroup_find.h"

/*
 * The directories in that controller's v1 hierarchy and in v2 (NULL: not asked for); "": there is none that
 * can be seen. 0 or -errno, and none then.
 */
int lp_cgroup_own_find(const char *controller, char v1[LP_CGROUP_PATH_BYTES],
                       char v2[LP_CGROUP_PATH_BYTES]);

/* The least of `least` and of number() for the directory and for each above it; "" has none. */
uint64_t lp_cgroup_own_least(const char *path, uint64_t (*number)(int directory_fd),
                             uint64_t least);

#endif
