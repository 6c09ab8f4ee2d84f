/* SPDX-License-Identifier: MIT */
/*
 * child: all that runs between fork and the first line of the worker's own code.
 *
 * The zygote has prepared what can be prepared once (default signal dispositions, /dev/null, a
 * descriptor table without the host's); the rest is here. Nothing here allocates, and nothing can
 * fail that the worker could not do without, except its doorbell.
 */
#ifndef LP_OS_CHILD_H
#define LP_OS_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "os/cgroup.h"
#include "os/zygote.h"

#define LP_CHILD_DOORBELL 3     /* and 4 is its lifeline, if there can be one */
#define LP_CHILD_UNPREPARED 127 /* exit code of a worker that could not be set up */

struct lp_child_plan {
    const struct lp_zygote_options *options;
    const struct lp_cgroup *cgroup;
    uint32_t slot, number, generation;
    pid_t zygote_pid;             /* whose death is the worker's, until the host knows it */
    int oom_score;                /* lp_child_worse_oom_score() of the zygote */
    bool makes_directories;       /* of its cgroup: it is the first in its slot */
    int doorbell_fd, lifeline_fd; /* in the zygote's table; lifeline -1: none */
};

/* In a newly forked worker. Never returns. */
_Noreturn void lp_child_run(const struct lp_child_plan *plan);

/* All signals to their default dispositions. */
void lp_child_reset_signals(void);

/* NAME:suffix, in the 15 characters that the kernel keeps; NAME is cut, not the suffix. */
void lp_child_set_name(const char *name, const char *suffix);

/* With which a worker is a better victim for the OOM killer than this process; never a worse one. */
int lp_child_worse_oom_score(void);

#endif
