/* SPDX-License-Identifier: MIT */
/*
 * cpus: how many workers can run at once here. A process in a container sees all CPUs of its host; what
 * it may use of them is told by its affinity mask and by the quotas of its cgroup and of all those above.
 */
#ifndef LP_OS_CPUS_H
#define LP_OS_CPUS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * At least 1. Of the calling thread's affinity, and of the process's cgroups as they are now. `cores`: the
 * hardware threads of one core count once.
 */
uint32_t lp_cpus_usable(bool cores);

#endif
