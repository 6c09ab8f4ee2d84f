/* SPDX-License-Identifier: MIT */
/*
 * death: how a process ended, asked through its pidfd by somebody who is not its parent.
 *
 * Usually the zygote tells, being the parent. When it is gone, newer kernels (6.15) remember the
 * status for whoever holds a pidfd; older ones don't.
 */
#ifndef LP_OS_DEATH_H
#define LP_OS_DEATH_H

#include <stdint.h>
#include <sys/types.h>

/*
 * A pidfd of the process that has this number and was born in this span of CLOCK_BOOTTIME: the number
 * alone may have been given to another since. -ESRCH: it is dead; else -errno: can't be told now
 * (-ENOTSUP: /proc shows other numbers).
 */
int lp_death_pin(pid_t pid, uint64_t born_from_ns, uint64_t born_by_ns);

/*
 * The process has ended (its pidfd is readable). 0 and how; -ENOTSUP: this kernel can't tell;
 * -EAGAIN: its parent has not reaped it yet. Reaps it when this process is its parent by adoption.
 * The descriptor stays the caller's.
 */
int lp_death_ask(int pid_fd, int *code, int *signal, int *core_dumped);

#endif
