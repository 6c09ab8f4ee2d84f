/* SPDX-License-Identifier: MIT */
/* start_rig: for tests: where the build has put the zygote's program, and the object with functions. */
#ifndef LP_START_RIG_H
#define LP_START_RIG_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The path of a file beside the running program. Good until it is asked for another four. */
static inline const char *lp_rig_beside_us(const char *name)
{
    static char paths[4][4096];
    static unsigned next;
    char *path = paths[next++ % 4];
    ssize_t length = readlink("/proc/self/exe", path, sizeof paths[0] - 1);
    path[length > 0 ? length : 0] = 0;
    char *slash = strrchr(path, '/');
    size_t used = slash ? (size_t)(slash + 1 - path) : 0;
    (void)snprintf(path + used, sizeof paths[0] - used, "%s", name);
    return path;
}

#endif
