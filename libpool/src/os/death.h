/* SPDX-License-Identifier: MIT */
/*
 * death: how a process ended, asked through its pidfd by somebody who is not its parent.
 *
 * Usually the zygote tells, being the parent. When it is gone, newer kernels (6.15) remember the
 * status for whoever holds a pidfd; older ones don't.
 */
#ifndef LP_OS_DEATH_H
#define LP_OS_DEATH_H

/*
 * The process has ended (its pidfd is readable). 0 and how; -ENOTSUP: this kernel can't tell;
 * -EAGAIN: its parent has not reaped it yet. Reaps it when this process is its parent by adoption.
 * The descriptor stays the caller's.
 */
int lp_death_ask(int pid_fd, int *code, int *signal, int *core_dumped);

#endif
