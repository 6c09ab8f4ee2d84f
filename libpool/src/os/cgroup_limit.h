/* SPDX-License-Identifier: MIT */
/*
 * cgroup_limit: the memory limit of one cgroup directory, written and read back.
 *
 * v1 limits memory, and memory with swap where swap is counted. v2 limits memory, allows no swap, and
 * has the kernel end the whole group when it has to end one.
 */
#ifndef LP_OS_CGROUP_LIMIT_H
#define LP_OS_CGROUP_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * 0: the kernel says that it is in force, but for less than a page size. -errno: it is not; -EIO: the
 * kernel took it and says something else. `directory` is relative to the descriptor.
 */
int lp_cgroup_limit_set(int parent_fd, const char *directory, bool is_v2, uint64_t bytes);

#endif
