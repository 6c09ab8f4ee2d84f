/* SPDX-License-Identifier: MIT */
#include "os/cgroup_own.h"

#include "base/fd.h"
#include "os/cgroup_place.h"
#include "os/file.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MOUNTINFO_BYTES ((size_t)512 * 1024)

static int find_in(const char *mountinfo, const char *controller, char *v1, char *v2)
{
    char membership[LP_CGROUP_PATH_BYTES];
    ssize_t got = lp_file_read(AT_FDCWD, "/proc/self/cgroup", membership, sizeof(membership));
    if (got < 0)
        return (int)got;
    if (!lp_cgroup_find(mountinfo, membership, controller, v1))
        v1[0] = '\0';
    if (v2 != NULL && !lp_cgroup_find(mountinfo, membership, NULL, v2))
        v2[0] = '\0';
    return 0;
}

int lp_cgroup_own_find(const char *controller, char v1[LP_CGROUP_PATH_BYTES],
                       char v2[LP_CGROUP_PATH_BYTES])
{
    v1[0] = '\0';
    if (v2 != NULL)
        v2[0] = '\0';
    char *mountinfo = lp_sys.map(MOUNTINFO_BYTES);
    if (mountinfo == NULL)
        return -ENOMEM;
    ssize_t got = lp_file_read(AT_FDCWD, "/proc/self/mountinfo", mountinfo, MOUNTINFO_BYTES);
    int error = got < 0 ? (int)got : find_in(mountinfo, controller, v1, v2);
    (void)lp_sys.unmap(mountinfo, MOUNTINFO_BYTES);
    return error;
}

uint64_t lp_cgroup_own_least(const char *path, uint64_t (*number)(int directory_fd), uint64_t least)
{
    char above[LP_CGROUP_PATH_BYTES];
    memcpy(above, path, strlen(path) + 1);
    for (char *end = above + strlen(above); end != NULL && end > above; end = strrchr(above, '/')) {
        *end = '\0';
        lp_fd_auto int fd = lp_cgroup_open_directory(AT_FDCWD, above);
        uint64_t told = fd >= 0 ? number(fd) : least;
        least = told < least ? told : least;
    }
    return least;
}
