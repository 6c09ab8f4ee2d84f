/* SPDX-License-Identifier: MIT */
#include "os/headroom.h"

#include "base/fd.h"
#include "os/cgroup_own.h"
#include "os/cgroup_place.h"
#include "os/file.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 4096 /* of meminfo and of a line of pressure the beginning is enough */
#define STAT_BYTES ((size_t)16 * 1024)
#define NUMBER_BYTES 64

/* ---- Where ------------------------------------------------------------------------------- */

void lp_headroom_find(struct lp_headroom *headroom, const char *delegated)
{
    (void)lp_cgroup_own_find("memory", headroom->v1, headroom->v2);
    headroom->delegated[0] = '\0';
    if (delegated != NULL && strlen(delegated) < sizeof(headroom->delegated))
        memcpy(headroom->delegated, delegated, strlen(delegated) + 1);
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

/* `files` is what memory.stat calls inactive pages of files. */
static uint64_t left_of(int directory_fd, uint64_t limit, const char *usage, const char *files)
{
    char stat[STAT_BYTES];
    if (limit == LP_HEADROOM_UNKNOWN)
        return limit;
    uint64_t used = number_in(directory_fd, usage);
    uint64_t droppable = 0;
    if (lp_file_read(directory_fd, "memory.stat", stat, sizeof(stat)) > 0)
        droppable = lp_file_number(stat, files, 0);
    if (used == LP_HEADROOM_UNKNOWN)
        return used;
    used -= droppable < used ? droppable : used;
    return limit > used ? limit - used : 0;
}

static uint64_t left_v1(int directory_fd)
{
    uint64_t limit = number_in(directory_fd, "memory.limit_in_bytes");
    return left_of(directory_fd, limit, "memory.usage_in_bytes", "total_inactive_file");
}

/* The high mark is a limit, too: who is beyond it is held up by the kernel. */
static uint64_t left_v2(int directory_fd)
{
    uint64_t most = number_in(directory_fd, "memory.max");
    uint64_t high = number_in(directory_fd, "memory.high");
    return left_of(directory_fd, high < most ? high : most, "memory.current", "inactive_file");
}

uint64_t lp_headroom_free(const struct lp_headroom *headroom)
{
    char text[TEXT_BYTES];
    if (lp_file_read(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) <= 0)
        return LP_HEADROOM_UNKNOWN;
    uint64_t kib = lp_file_number(text, "MemAvailable:", LP_HEADROOM_UNKNOWN);
    if (kib == LP_HEADROOM_UNKNOWN)
        return kib;
    uint64_t least = lp_cgroup_own_least(headroom->v1, left_v1, kib * 1024);
    least = lp_cgroup_own_least(headroom->v2, left_v2, least);
    return lp_cgroup_own_least(headroom->delegated, left_v2, least);
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
