/* SPDX-License-Identifier: MIT */
/*
 * cgroup_find: where a process's own cgroup stands in the file system. Pure: texts in, a path out.
 */
#ifndef LP_OS_CGROUP_FIND_H
#define LP_OS_CGROUP_FIND_H

#include <stdbool.h>
#include <stddef.h>

#define LP_CGROUP_PATH_BYTES 4096

/*
 * mountinfo and membership are /proc/self/mountinfo and /proc/self/cgroup; controller is that of a
 * v1 hierarchy, or NULL for v2. False when the hierarchy is not mounted, or not in a place from
 * which the cgroup can be seen (another cgroup namespace's, say).
 */
bool lp_cgroup_find(const char *mountinfo, const char *membership, const char *controller,
                    char path[LP_CGROUP_PATH_BYTES]);

/* The part of the v2 line of /proc/PID/cgroup behind "0::", up to its end; NULL without one. */
const char *lp_cgroup_v2_line(const char *membership, size_t *length);

/* True when `word` is one of the words of a text that are separated by blanks, commas or line ends. */
bool lp_cgroup_has_word(const char *text, size_t length, const char *word);

#endif
