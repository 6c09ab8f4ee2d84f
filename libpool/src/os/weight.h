/* SPDX-License-Identifier: MIT */
/*
 * weight: how much memory processes hold, as far as /proc tells: resident anonymous memory.
 *
 * A worker is a copy of the application's, and its children are copies of it: what they share is in
 * everybody's resident memory. So a tree is weighed in two steps. The sum of all resident memory, less
 * what the worker has inherited, is cheap (1 us a process) and no less than the truth but for inherited
 * pages that were written to. Only when that is above the limit the kernel is asked for shares of what
 * is shared (3 ms a GiB).
 */
#ifndef LP_OS_WEIGHT_H
#define LP_OS_WEIGHT_H

#include <stdint.h>
#include <sys/types.h>

/* Of this process. 0: it can't be told. */
uint64_t lp_weight_own(void);

/*
 * Of a process and its descendants, without what it has inherited from this one, its zygote. Exact when it
 * is more than limit_bytes. Who dies meanwhile weighs nothing.
 */
uint64_t lp_weight_tree(pid_t root, uint64_t limit_bytes);

#endif
