/* SPDX-License-Identifier: MIT */
/*
 * lifeline: the kernel kills a worker when the host is gone, whatever the worker does.
 *
 * The host holds the only writing end of a pipe and never writes. Each worker has a reading end of
 * its own (its own open file, made through /proc/self/fd) with SIGKILL as the signal of its events. The
 * end of the last writer is such an event: a worker that spins, is stopped or blocks every signal is
 * gone with its host. That needs no zygote, which does the same and more (whole trees) as long as it
 * lives. A host that forks without exec gives its child a writing end: then the zygote alone acts.
 */
#ifndef LP_OS_LIFELINE_H
#define LP_OS_LIFELINE_H

/* The host's end, CLOEXEC, to be held as long as the pool lives. -errno. */
int lp_lifeline_open(void);

/* A reading end for the zygote to inherit, CLOEXEC, above 2; -1: there can't be one. */
int lp_lifeline_follow(int host_fd);

/*
 * In a worker: an end of its own, armed, to be kept open. -EPIPE: the host is gone already. Another
 * -errno: it can't be done here, the zygote has to do.
 */
int lp_lifeline_arm(int followed_fd);

/* In the zygote: a stopped one is made to go on by the host's death, and to clear up. */
void lp_lifeline_arm_zygote(int followed_fd);

#endif
