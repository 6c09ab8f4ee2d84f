/* SPDX-License-Identifier: MIT */
/*
 * cgroup: a directory a slot, so that a worker's tree can be killed, proven empty, and asked about
 * the OOM killer, whatever its processes did to their sessions and parents.
 *
 * Two hierarchies are used for what each can do: v2 for cgroup.kill, and for memory events when it
 * has the memory controller; else v1 memory for its count of OOM kills. In the pool's directory
 * (cgroup_place.h) stand 0, 1, 2... What a zygote left behind when it was killed is taken over by the
 * next one, or cleared up by the host. Everything is probed by doing it once; what can't be done is
 * simply not there.
 *
 * Workers enter by writing to cgroup.procs after fork: cloning into a cgroup that was killed once
 * gives a child that is dead at birth.
 */
#ifndef LP_OS_CGROUP_H
#define LP_OS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/cgroup_place.h"

enum lp_oom_evidence {
    LP_OOM_EVIDENCE_NONE = 0,
    LP_OOM_EVIDENCE_V1,
    LP_OOM_EVIDENCE_V2
};

struct lp_cgroup {
    const struct lp_cgroup_place *place;
    int kill_parent_fd, memory_parent_fd; /* where the pool's directories stand; -1: not used */
    int kill_fd, memory_fd;               /* the pool's directories; -1: not used */
    bool
        is_new; /* none of them was there: their slots are empty, and nothing was counted in them */
    enum lp_oom_evidence evidence;
    uint64_t limit_bytes; /* of memory, for each slot; 0: no slot has one */
};

#define LP_CGROUP_NULL   \
    ((struct lp_cgroup){ \
        .kill_parent_fd = -1, .memory_parent_fd = -1, .kill_fd = -1, .memory_fd = -1})

/*
 * Probes and makes what this machine allows; also clears up after dead hosts. 0, or -errno: why there
 * is no directory in v2. place is kept. limit_bytes (0: none) is each slot's limit of memory, if that
 * can be; `limit_bytes` above tells.
 */
int lp_cgroup_open(struct lp_cgroup *cgroup, const struct lp_cgroup_place *place,
                   uint64_t limit_bytes);

/* Closes everything, after removing the directories when told (they must be empty). */
void lp_cgroup_close(struct lp_cgroup *cgroup, bool remove);

/* Makes the slot's directories if they are not there. 0, or -errno: they lack their limit. */
int lp_cgroup_prepare(const struct lp_cgroup *cgroup, uint32_t slot);

/* True of the errors that come and go with what the machine has left: descriptors, memory. */
bool lp_cgroup_is_want(int error);

/*
 * Moves the calling process into the slot's directories. 0; the want that has kept it out; where slots
 * have a limit, anything else that kept it out of that.
 */
int lp_cgroup_enter(const struct lp_cgroup *cgroup, uint32_t slot);

/* True when the kernel has been told to kill all that is in the slot's directory. */
bool lp_cgroup_kill(const struct lp_cgroup *cgroup, uint32_t slot);
/* The same for the whole pool. */
bool lp_cgroup_kill_all(const struct lp_cgroup *cgroup);

/*
 * True when something lives in the slot's directory; false also when there is none. watch_fd may be
 * -1; the answer through one makes it quiet until the next change.
 */
bool lp_cgroup_is_populated(const struct lp_cgroup *cgroup, uint32_t slot, int watch_fd);
bool lp_cgroup_is_any_populated(const struct lp_cgroup *cgroup);

/* A descriptor that polls POLLPRI when that answer may have changed since it gave one; or -errno. */
int lp_cgroup_watch(const struct lp_cgroup *cgroup, uint32_t slot);

/* How many processes the OOM killer has killed in the slot's directory, ever. */
uint64_t lp_cgroup_oom_kills(const struct lp_cgroup *cgroup, uint32_t slot);

/* True when that process is in one of this pool's directories. */
bool lp_cgroup_holds(const struct lp_cgroup *cgroup, pid_t pid);

#endif
