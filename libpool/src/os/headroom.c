/* SPDX-License-Identifier: MIT */
#include "os/headroom.h"

#include "base/fd.h"
#include "os/cgroup_place.h"
#include "os/file.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define MOUNTINFO_BYTES ((size_t)512 * 1024)
#define TEXT_BYTES 4096 /* of meminfo and of a line of pressure the beginning is enough */
#define STAT_BYTES ((size_t)16 * 1024)
#define NUMBER_BYTES 64

/* ---- Where ------------------------------------------------------------------------------- */

static void find_own(struct lp_headroom *headroom, const char *mountinfo)
{
    char membership[LP_CGROUP_PATH_BYTES];
    if (lp_file_read(AT_FDCWD, "/proc/self/cgroup", membership, sizeof(membership)) <= 0)
        return;
    if (!lp_cgroup_find(mountinfo, membership, "memory", headroom->v1))
        headroom->v1[0] = '\0';
    if (!lp_cgroup_find(mountinfo, membership, NULL, headroom->v2))
        headroom->v2[0] = '\0';
}

void lp_headroom_find(struct lp_headroom *headroom, const char *delegated)
{
    char *mountinfo = lp_sys.map(MOUNTINFO_BYTES);
    headroom->v1[0] = headroom->v2[0] = headroom->delegated[0] = '\0';
    if (delegated != NULL && strlen(delegated) < sizeof(headroom->delegated))
        memcpy(headroom->delegated, delegated, strlen(delegated) + 1);
    if (mountinfo == NULL)
        return;
    if (lp_file_read(AT_FDCWD, "/proc/self/mountinfo", mountinfo, MOUNTINFO_BYTES) > 0)
        find_own(headroom, mountinfo);
    (void)lp_sys.unmap(mountinfo, MOUNTINFO_BYTES);
}

/* ---- Free memory ------------------------------------------------------------------------- */

/* What is no number ("max"), or not there: no limit. */
static uint64_t number_in(int directory_fd, const char *name)
{
    char text[NUMBER_BYTES];
    ssize_t length = lp_file_read(directory_fd, name, text, sizeof(text));
    bool is_number = length > 0 && text[0] >= '0' && text[0] <= '9';
    return is_number ? strtoull(text, NULL, 10) : LP_HEADROOM_UNKNOWN;
}

static uint64_t lesser(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* Of v2 the high mark is one, too: who is beyond it is held up by the kernel. */
static uint64_t limit_of(int directory_fd, bool is_v2)
{
    if (!is_v2)
        return number_in(directory_fd, "memory.limit_in_bytes");
    return lesser(number_in(directory_fd, "memory.max"), number_in(directory_fd, "memory.high"));
}

static uint64_t left_of(int directory_fd, bool is_v2)
{
    char stat[STAT_BYTES];
    uint64_t limit = limit_of(directory_fd, is_v2);
    if (limit == LP_HEADROOM_UNKNOWN)
        return limit;
    uint64_t used = number_in(directory_fd, is_v2 ? "memory.current" : "memory.usage_in_bytes");
    uint64_t droppable = 0;
    if (lp_file_read(directory_fd, "memory.stat", stat, sizeof(stat)) > 0)
        droppable = lp_file_number(stat, is_v2 ? "inactive_file" : "total_inactive_file", 0);
    if (used == LP_HEADROOM_UNKNOWN)
        return used;
    used -= droppable < used ? droppable : used;
    return limit > used ? limit - used : 0;
}

static uint64_t left_in(const char *path, bool is_v2)
{
    lp_fd_auto int fd = lp_cgroup_open_directory(AT_FDCWD, path);
    return fd < 0 ? LP_HEADROOM_UNKNOWN : left_of(fd, is_v2);
}

/* In it and in all that are above it. */
static uint64_t left_up_from(const char *own, bool is_v2)
{
    char path[LP_CGROUP_PATH_BYTES];
    uint64_t least = LP_HEADROOM_UNKNOWN;
    memcpy(path, own, sizeof(path));
    for (char *end = path + strlen(path); end != NULL && end > path; end = strrchr(path, '/')) {
        *end = '\0';
        least = lesser(least, left_in(path, is_v2));
    }
    return least;
}

uint64_t lp_headroom_free(const struct lp_headroom *headroom)
{
    char text[TEXT_BYTES];
    if (lp_file_read(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) <= 0)
        return LP_HEADROOM_UNKNOWN;
    uint64_t kib = lp_file_number(text, "MemAvailable:", LP_HEADROOM_UNKNOWN);
    if (kib == LP_HEADROOM_UNKNOWN)
        return kib;
    uint64_t own = lesser(left_up_from(headroom->v1, false), left_up_from(headroom->v2, true));
    return lesser(kib * 1024, lesser(own, left_up_from(headroom->delegated, true)));
}

/* ---- Pressure ---------------------------------------------------------------------------- */

/* "some avg10=1.23 avg60=...": two digits behind the point, always. */
static int pressure_in(int directory_fd, const char *name)
{
    static const char before[] = "some avg10=";
    char text[TEXT_BYTES], *end;
    if (lp_file_read(directory_fd, name, text, sizeof(text)) <= 0)
        return -ENOTSUP;
    if (strncmp(text, before, sizeof(before) - 1) != 0)
        return -ENOTSUP;
    unsigned long percent = strtoul(text + sizeof(before) - 1, &end, 10);
    unsigned long hundredths = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return percent > 100 || hundredths > 99 ? -ENOTSUP : (int)(percent * 100 + hundredths);
}

static int pressure_of(const char *path)
{
    lp_fd_auto int fd = path[0] ? lp_cgroup_open_directory(AT_FDCWD, path) : -1;
    return fd >= 0 ? pressure_in(fd, "memory.pressure") : -ENOTSUP;
}

static int higher(int one, int other)
{
    return one > other ? one : other;
}

int lp_headroom_pressure(const struct lp_headroom *headroom)
{
    int machines = pressure_in(AT_FDCWD, "/proc/pressure/memory");
    return higher(machines, higher(pressure_of(headroom->v2), pressure_of(headroom->delegated)));
}
