/* SPDX-License-Identifier: MIT */
/*
 * usage: what a process that has not been reaped yet has used so far: CPU time with that of the children it
 * has waited for, to 10 ms each, and the most memory it has ever had.
 *
 * Of a task that is killed the result is told when the kill is sent, long before the kernel could tell
 * what it came to. Both files are read without a lock that a task could hold.
 */
#ifndef LP_OS_USAGE_H
#define LP_OS_USAGE_H

#include <stdint.h>
#include <sys/types.h>

struct lp_usage {
    uint64_t user_ns, system_ns;
    uint64_t max_rss_bytes; /* 0: it is dead already */
};

/* 0; -ESRCH: the number may be another's by now; another negated errno: it can't be told. */
int lp_usage_read(pid_t pid, int pid_fd, struct lp_usage *usage);

#endif
