/* SPDX-License-Identifier: MIT */
/*
 * cpus: how many workers can run at once here. A process in a container sees all CPUs of its host; what
 * it may use of them is told by its affinity mask and by the quotas of its cgroup and of all those above.
 */
#ifndef LP_OS_CPUS_H
#define LP_OS_CPUS_H

#include <stdbool.h>
#include <stdint.h>

#define LP_CPUS_ANY UINT32_MAX /* no quota */

/*
 * At least 1. Of the calling thread's affinity, and of the process's cgroups as they are now. `cores`: the
 * hardware threads of one core count once.
 */
uint32_t lp_cpus_usable(bool cores);

/*
 * The smallest quota from this directory up to the root, in CPUs, rounded up; LP_CPUS_ANY without one.
 * `path` is worked on, and cut. Of v1 the directory is one of the cpu controller's.
 */
uint32_t lp_cpus_quota(char *path, bool is_v2);

#endif
