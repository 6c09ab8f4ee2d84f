/* SPDX-License-Identifier: MIT */
/*
 * check: the checkers of the never-broken invariant, one for each clause.
 *
 * Each reads what is named in its findings: /proc, kernel counters, the records that the workers
 * wrote themselves, the target's results; never the pool's own counters alone. They are functions
 * of plain memory, so that the unit tests can show each of them a fabricated violation.
 */
#ifndef HARNESS_CHECK_H
#define HARNESS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/findings.h"
#include "harness/tasks.h"
#include "harness/world.h"

/* What was done to the pool in this run: what a checker may take as a reason. */
struct hn_case {
    const struct hn_world *world;
    const struct hn_group *groups;
    uint32_t groups_count;
    uint32_t finalizer_timeout_ms; /* in force; 0: no finalizer */
    bool shut_down;                /* a shutdown or close was asked for while tasks were left */
    bool may_init_fail;            /* the initializer is told to fail */
    bool memory_limited;           /* a memory limit was set, or there was memory pressure */
    bool host_killed;
    uint32_t strength;         /* workers the pool is to have, whatever there is to do */
    uint32_t recycle_parallel; /* at most so many of them are replaced at a time; 0: no recycle */
    bool settled; /* nothing was under way when the pool was closed: every event was read */
    uint64_t memory_limit_bytes; /* the pool's; 0: none */
    bool memory_sampled;         /* it has no cgroups for that */
    bool threads;                /* its workers are: whoever would be killed is asked */
    bool callbacks;              /* each task has some */
    bool unserved; /* its server was closed: what that cancels its clients are told as shutdown */
};

/* I1, I5, I7: how each task ended against its kind, its start and end records and the faults. */
void hn_check_tasks(const struct hn_case *of, struct hn_findings *findings);

/* Tasks of groups with `ordered` started in order of submission (I5). */
void hn_check_order(const struct hn_case *of, struct hn_findings *findings);

/*
 * I2: one snapshot in itself, and against the one before it (NULL: none).
 */
void hn_check_books(const libpool_stats *before, const libpool_stats *now,
                    struct hn_findings *findings);

/* I1: what the pool told by callbacks, against what became of the tasks. */
void hn_check_callbacks(const struct hn_case *of, struct hn_findings *findings);

/* I2: a snapshot taken when all has settled, against what the target counted itself. */
void hn_check_accounts(const struct hn_case *of, const libpool_stats *settled,
                       struct hn_findings *findings);

/* I2: what the server of the pool counted when all has settled, against what its clients did. */
void hn_check_served(const struct hn_case *of, struct hn_findings *findings);

/* I4: what is alive below the guardian; expected are the target (unless gone) and the sentinel. */
void hn_check_census(const struct hn_census *census, const char *when,
                     struct hn_findings *findings);

/* I4 and I11: the application before open and after close. */
void hn_check_residue(const struct hn_snapshot *before, const struct hn_snapshot *after,
                      struct hn_findings *findings);
void hn_check_host(const struct hn_snapshot *before, const struct hn_snapshot *after,
                   struct hn_findings *findings);

/* I6: every call of the target against its bound. */
void hn_check_bounds(const struct hn_case *of, struct hn_findings *findings);

/* I8: the sentinel lives, unstopped, and no signal is pending for it. */
void hn_check_sentinel(const struct hn_process *sentinel, struct hn_findings *findings);

/* I9: a worker that ended as corrupt had run a task that scribbles. */
void hn_check_containment(const struct hn_case *of, struct hn_findings *findings);

/* I10: at most one finalizer a worker process, bounded. */
void hn_check_finalizers(const struct hn_case *of, struct hn_findings *findings);

/* I3: a recycle leaves enough workers that are ready. */
void hn_check_recycle(const struct hn_case *of, struct hn_findings *findings);

/* The harness itself: gates expired, records dropped. */
void hn_check_harness(const struct hn_world *world, struct hn_findings *findings);

#endif
