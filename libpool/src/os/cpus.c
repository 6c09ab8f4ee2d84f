/* SPDX-License-Identifier: MIT */
/*
 * v2: cpu.max holds QUOTA PERIOD, or "max PERIOD". v1: cpu.cfs_quota_us holds -1 for none.
 * A file that is missing or odd is no quota: too many workers only share what there is.
 */
#include "os/cpus.h"

#include "base/text.h"
#include "os/cgroup_own.h"
#include "os/file.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define ANY UINT64_MAX /* no quota */
#define MASK_WORDS 128 /* 8192 CPUs, the most that Linux can be built for */
#define NUMBERS_BYTES 64
#define PATH_BYTES 80
#define SIBLINGS_BYTES 256

/* ---- Quotas ------------------------------------------------------------------------------ */

static uint64_t rounded_up(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return ANY;
    return (uint64_t)(quota / period + (quota % period != 0));
}

static uint64_t quota_v2(int directory_fd)
{
    char text[NUMBERS_BYTES], *rest;
    if (lp_file_read(directory_fd, "cpu.max", text, sizeof(text)) <= 0)
        return ANY;
    long long quota = strtoll(text, &rest, 10); /* "max" is no number: 0 */
    return rounded_up(quota, strtoll(rest, NULL, 10));
}

static long long number_in(int directory_fd, const char *name)
{
    char text[NUMBERS_BYTES];
    ssize_t length = lp_file_read(directory_fd, name, text, sizeof(text));
    return length > 0 ? strtoll(text, NULL, 10) : 0;
}

static uint64_t quota_v1(int directory_fd)
{
    return rounded_up(number_in(directory_fd, "cpu.cfs_quota_us"),
                      number_in(directory_fd, "cpu.cfs_period_us"));
}

/* ---- Affinity ---------------------------------------------------------------------------- */

static bool is_in(const uint64_t *mask, long cpu)
{
    return cpu >= 0 && cpu < MASK_WORDS * 64 && (mask[cpu / 64] >> (cpu % 64) & 1);
}

/* "0,4" or "0-1": is one of them in the mask that comes before this CPU? */
static bool has_earlier(const char *siblings, const uint64_t *mask, long cpu)
{
    const char *at = siblings;
    char *end;
    for (long from = strtol(at, &end, 10); end != at; from = strtol(at, &end, 10)) {
        long to = *end == '-' ? strtol(end + 1, &end, 10) : from;
        for (long other = from; other <= to && other < cpu; other++)
            if (is_in(mask, other))
                return true;
        at = *end == ',' ? end + 1 : end;
    }
    return false;
}

/* What can't be read has no siblings. */
static bool shares_its_core(const uint64_t *mask, long cpu)
{
    char path[PATH_BYTES], siblings[SIBLINGS_BYTES];
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, "/sys/devices/system/cpu/cpu");
    lp_text_add_number(&text, cpu);
    lp_text_add(&text, "/topology/thread_siblings_list");
    return lp_file_read(AT_FDCWD, path, siblings, sizeof(siblings)) > 0 &&
           has_earlier(siblings, mask, cpu);
}

static uint32_t in_mask(bool cores)
{
    uint64_t mask[MASK_WORDS] = {0};
    uint32_t count = 0;
    if (lp_sys.sched_getaffinity(sizeof(mask), mask) < 0)
        return 1;
    for (long cpu = 0; cpu < MASK_WORDS * 64; cpu++)
        count += is_in(mask, cpu) && !(cores && shares_its_core(mask, cpu));
    return count != 0 ? count : 1;
}

uint32_t lp_cpus_usable(bool cores)
{
    char v1[LP_CGROUP_PATH_BYTES], v2[LP_CGROUP_PATH_BYTES];
    (void)lp_cgroup_own_find("cpu", v1, v2);
    uint64_t least = lp_cgroup_own_least(v2, quota_v2, in_mask(cores));
    return (uint32_t)lp_cgroup_own_least(v1, quota_v1, least);
}
