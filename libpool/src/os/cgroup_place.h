/* SPDX-License-Identifier: MIT */
/*
 * cgroup_place: where a pool's cgroup directories stand, and how they are cleared away.
 *
 * Under the host's own cgroup (or the delegated one) stands libpool-HOSTPID-POOLID-NAMESPACE. The host
 * finds the place once, so that all its zygotes mean the same directory wherever the host is moved
 * later, and so that it can do the two things itself for which there may be no zygote: kill what a
 * lost one left, and remove the directories. It needs no descriptor for as long as there is nothing
 * to do.
 *
 * What a dead host left is killed and removed by the next pool beside it. The pid namespace is part of
 * the name because a pid of another one can't be judged.
 */
#ifndef LP_OS_CGROUP_PLACE_H
#define LP_OS_CGROUP_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/cgroup_find.h"

struct lp_cgroup_place {
    char v2_path[LP_CGROUP_PATH_BYTES];     /* the directory above the pool's; "": none */
    char memory_path[LP_CGROUP_PATH_BYTES]; /* the same in v1's memory hierarchy */
    bool is_delegated;                      /* v2_path was given by the application */
    char name[96];                          /* of the pool's directories */
};

/*
 * In the host. `delegated` is a v2 directory, absolute, or NULL: the host's own cgroup. pool_id is
 * unique among the pools of this host. 0, also when there are no cgroups; -ENOMEM, -EMFILE, -ENFILE:
 * it can't be told; -ENAMETOOLONG.
 */
int lp_cgroup_place_find(struct lp_cgroup_place *place, const char *delegated, uint64_t pool_id);

/* True when the kernel has been told to kill all that is in the slot's directory. */
bool lp_cgroup_place_kill(const struct lp_cgroup_place *place, uint32_t slot);

/* How many processes of the slot's v1 memory cgroup the OOM killer has killed. False: there is none. */
bool lp_cgroup_place_oom_kills(const struct lp_cgroup_place *place, uint32_t slot,
                               uint64_t *oom_kills);

/*
 * All is over: kills what may be left in the pool's directories, waits up to limit_ms for its end, and
 * removes them. Next to nothing when a zygote has removed them already.
 */
void lp_cgroup_place_clear(const struct lp_cgroup_place *place, int limit_ms);

/* Kills and removes what dead hosts left beside our own, within limit_ms in all. */
void lp_cgroup_place_clear_stale(const char *parent_path, int limit_ms);

/* ---- for cgroup.c ---------------------------------------------------------------------------- */

/* An open directory below another; or -errno. */
int lp_cgroup_open_directory(int parent_fd, const char *path);

/* Removes a directory with the directories in it, a dozen levels deep. 0 or -errno. */
int lp_cgroup_remove_directory(int parent_fd, const char *name);

#endif
