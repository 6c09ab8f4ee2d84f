/* SPDX-License-Identifier: MIT */
/*
 * tree: killing a process with all its descendants by walking /proc.
 *
 * A walk stops the whole tree first (a process with a signal pending can't fork, and a stopped one
 * can't die and leave its number to a stranger), again until nothing new is found, and then kills
 * from the leaves up. Each process is pinned with a pidfd and its parent is checked behind that, so
 * a number that was re-used is never signalled. What is missed (a storm beyond the bounds, a child
 * that was born during the last look) lands on the caller, who is its sub-reaper: call again until
 * nothing is left.
 */
#ifndef LP_OS_TREE_H
#define LP_OS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define LP_TREE_WALK_MAX 512 /* processes one walk can hold */

/* True when /proc shows this process under its own number and lists children. */
bool lp_tree_can_walk(void);

/* True when this process has any child, dead or alive. One system call. */
bool lp_tree_has_children(void);

/*
 * The children of this process in the order of birth or adoption; dead ones that nobody has reaped
 * are among them. How many were stored, max at most, or -errno. Exact as long as only the caller
 * reaps.
 */
int lp_tree_children(pid_t *pids, size_t max);

/*
 * A process and its descendants, itself first, parents before their children; how many, 1 at least. To be
 * looked at only: it is not stopped, and nobody is pinned.
 */
int lp_tree_list(pid_t root, pid_t *pids, size_t max);

/* Stops, then kills the tree of a child of this process that is not reaped yet; reaps nothing. */
void lp_tree_kill(pid_t child);

/*
 * The same for the tree of any process, given its pidfd and number. What is born meanwhile, or was
 * adopted away from it before, is not reached: this is for workers whose zygote is dead.
 */
void lp_tree_kill_pinned(int pid_fd, pid_t pid);

/*
 * Kills and reaps all children and descendants of this process, a sub-reaper, except those named
 * (with all theirs). 0; -EBUSY when something was still there after limit_ms; -EMFILE, -ENOSYS...
 * when it can't be done from here: then leave, and the zygote does it.
 */
int lp_tree_kill_children(const pid_t *keep_pids, size_t n, int limit_ms);

#endif
