/* SPDX-License-Identifier: MIT */
/*
 * inject: faults that the judge commits itself, on one exact process.
 *
 * A process is pinned by a pidfd first and compared with the one that was chosen afterwards, so a
 * re-used pid is never hit. What outlives a process (limits, pressure) is the guardian's.
 */
#ifndef HARNESS_INJECT_H
#define HARNESS_INJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/procfs.h"

/* True when that is what the signal does to a process that does nothing about it. */
bool hn_signal_ends(int signal);

/*
 * Sends the signal and returns when it has had its effect: the process is stopped, goes on, or is
 * dead (its pidfd says so); deadline at most. 0; -ESRCH: it is another one or gone; -EALREADY: the
 * signal would change nothing there, and was not sent; -ETIMEDOUT: it has changed nothing.
 */
int hn_inject_signal(const struct hn_process *victim, int signal, uint64_t deadline_ns);

/*
 * The memory cgroup that is the process's alone: not that of `other` (the target). 0; -ENOENT: it
 * has none of its own.
 */
int hn_inject_own_memcg(pid_t pid, pid_t other, char *path, size_t size);

#endif
