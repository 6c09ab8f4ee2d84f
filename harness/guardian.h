/* SPDX-License-Identifier: MIT */
/*
 * guardian: the process between the judge and the target that owns every undo.
 *
 * It makes the cgroups of the run, forks the target into them, and puts faults that outlive a
 * process (limits, pressure) in force itself, each with its undo written down first. It is the
 * sub-reaper of everything below, in a session of its own, and sees the judge die through a pidfd:
 * then, as when it is told to finish, it undoes the faults, kills all its descendants until none is
 * left, and removes the cgroups.
 *
 * The judge's side is a handle with small calls that wait for the answer.
 */
#ifndef HARNESS_GUARDIAN_H
#define HARNESS_GUARDIAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/cgroups.h"
#include "harness/world.h"

struct hn_guardian {
    pid_t pid;
    int pid_fd;
    int socket_fd;  /* requests to the guardian */
    int command_fd; /* commands to the target */
    char name[64];  /* of the run */
};

struct hn_guardian_options {
    struct hn_world *world;
    const char *name; /* of this run, unique in the judge: part of the cgroups' names */
    int (*live)(const void *context, int command_fd); /* the target's life; its exit code */
    const void *context;
};

/*
 * Starts guardian and target. The calling process is the judge. 0 or -errno; on failure nothing is
 * left.
 */
int hn_guardian_start(struct hn_guardian *guardian, const struct hn_guardian_options *options);

/* Faults. `step` identifies it for undoing; one fault a step and cgroup. */
int hn_guardian_limit_memory(const struct hn_guardian *guardian, uint32_t step, const char *cgroup,
                             uint64_t bytes);
/* bytes UINT64_MAX - 1: no more than there are now. */
#define HN_PIDS_CURRENT (UINT64_MAX - 1)
int hn_guardian_limit_pids(const struct hn_guardian *guardian, uint32_t step, uint64_t processes);
int hn_guardian_press(const struct hn_guardian *guardian, uint32_t step, uint32_t cpu_workers,
                      uint32_t vm_workers, uint64_t vm_bytes);
/* All faults of the step. 0; -ENOENT: none is in force; -ESRCH: stress-ng had ended by itself. */
int hn_guardian_undo(const struct hn_guardian *guardian, uint32_t step);

/* Brings the counters in the world up to date: oom_kills, pids_refused. 0; -errno: they are not. */
int hn_guardian_count(const struct hn_guardian *guardian);

/*
 * Waits until nothing but the target and the sentinel lives below the guardian, deadline at most;
 * what does is in world->census. 0; -ETIMEDOUT: somebody does; any other error: nobody looked.
 */
int hn_guardian_census(const struct hn_guardian *guardian, uint64_t deadline_ns);

/* Directories that somebody else made beneath the run's cgroups and that are there now; -errno. */
int hn_guardian_foreign_cgroups(const struct hn_guardian *guardian, char *first, size_t size);

/*
 * Everything undone, the guardian gone, the handle closed. How many processes or cgroups could not
 * be removed (0: none), or -errno.
 */
int hn_guardian_finish(struct hn_guardian *guardian);

bool hn_guardian_lives(const struct hn_guardian *guardian);

#endif
