/* SPDX-License-Identifier: MIT */
/*
 * cgroups: control groups of our own, beneath the one that we live in.
 *
 * A scenario gets one directory in each hierarchy that lets us make one: memory, pids and freezer
 * of v1, the unified hierarchy of v2. What can't be made is absent, with the reason. Directories are
 * named chaos-PID-N after the judge, so that a later run can tell and remove what a dead one left.
 *
 * In v2 a directory either holds processes or hands controllers down, never both. A session's scope
 * or a service holds us, so the run's directory is made beneath the nearest directory above that
 * hands down memory and pids (there is none on a hybrid machine: then beneath our own), and consists
 * of `inside` for processes and `pool` for the cgroups of workers.
 */
#ifndef HARNESS_CGROUPS_H
#define HARNESS_CGROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum hn_hierarchy {
    HN_CGROUP_MEMORY = 0, /* v1 */
    HN_CGROUP_PIDS,       /* v1 */
    HN_CGROUP_FREEZER,    /* v1 */
    HN_CGROUP_UNIFIED,    /* v2 */
    HN_HIERARCHIES
};

#define HN_PATH_MAX 512

struct hn_cgroups {
    char path[HN_HIERARCHIES][HN_PATH_MAX]; /* of the directory; "" when there is none */
    int error[HN_HIERARCHIES];              /* why not */
    char inside[HN_PATH_MAX]; /* v2: where processes go; the directory itself without controllers */
    char pool[HN_PATH_MAX]; /* v2: to be given to libpool_options.cgroup; "" without controllers */
};

/* The directory in which pid lives. 0, -ENOENT: that hierarchy is not mounted or not seen. */
int hn_cgroup_of(pid_t pid, enum hn_hierarchy hierarchy, char *path, size_t size);

/* Makes chaos-PID-NAME in every hierarchy that allows it. */
void hn_cgroups_make(struct hn_cgroups *cgroups, pid_t judge, const char *name);

/* Where hn_cgroups_make(judge, name) has made them: makes nothing. */
void hn_cgroups_find(struct hn_cgroups *cgroups, pid_t judge, const char *name);

/* Moves pid into all of them. 0 or the first -errno. */
int hn_cgroups_enter(const struct hn_cgroups *cgroups, pid_t pid);

/* Of the directories, the one whose files limit memory, processes, or freeze; "": none can. */
const char *hn_cgroups_memory(const struct hn_cgroups *cgroups);
const char *hn_cgroups_pids(const struct hn_cgroups *cgroups);
const char *hn_cgroups_freezer(const struct hn_cgroups *cgroups);

/* Thaws, kills everything inside (cgroup.kill where there is one, else pid by pid). */
void hn_cgroups_kill(const struct hn_cgroups *cgroups);

/* Removes the directories and what is beneath them. How many stay (something lives in them). */
int hn_cgroups_remove(const struct hn_cgroups *cgroups);

/* Removes what runs whose judge is dead have left. How many directories went. */
int hn_cgroups_sweep(void);

/* Calls visit for each directory beneath path (not path itself), deepest first. 0; -errno: not all. */
int hn_cgroup_each_below(const char *path, void (*visit)(const char *path, void *context),
                         void *context);

/* A number in DIRECTORY/FILE; with key: the number after that word. 0 or -errno. */
int hn_cgroup_number(const char *directory, const char *file, const char *key, uint64_t *value);

/* Writes a number ("max" or "-1" when it is UINT64_MAX, as the hierarchy spells it). In v2 what is
 * limited may not swap either: it would never meet its limit. */
int hn_cgroup_set_memory_limit(const char *directory, uint64_t bytes);
int hn_cgroup_memory_limit(const char *directory, uint64_t *bytes);
int hn_cgroup_set_pids_limit(const char *directory, uint64_t processes);

/* Forks refused by the directory's limit. Kernels before 6.12 count them below it, where the process
 * was; so all below is added. 0 or -errno. */
int hn_cgroup_pids_refused(const char *directory, uint64_t *refused);

/* Returns when the kernel says that it is done. 0 or -errno. */
int hn_cgroup_freeze(const char *directory, bool frozen);

/* OOM kills that this directory has counted itself, v1 or v2. 0 or -errno. */
int hn_cgroup_oom_kills(const char *directory, uint64_t *kills);

/*
 * The directory that limits pid's memory: v1, or v2 with the controller. 0 or -errno.
 */
int hn_cgroup_memory_of(pid_t pid, char *path, size_t size);

#endif
