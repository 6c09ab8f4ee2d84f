/* SPDX-License-Identifier: MIT */
/* Over a directory of ours that stands for /proc and the mounted hierarchies. */
#include "os/headroom.h"

#include "base/fd.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/test.h"

#define PATH_BYTES 128
#define MIB (UINT64_C(1) << 20)

static char root[PATH_BYTES / 2];

__attribute__((format(printf, 2, 3))) static void put(const char *name, const char *format, ...)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    lp_fd_auto int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    va_list values;
    va_start(values, format);
    CU_ASSERT_TRUE(vdprintf(fd, format, values) > 0);
    va_end(values);
}

static int open_ours(int directory_fd, const char *path, int flags)
{
    static const char *const names[][2] = {{"/proc/self/mountinfo", "mountinfo"},
                                           {"/proc/self/cgroup", "cgroup"},
                                           {"/proc/meminfo", "meminfo"},
                                           {"/proc/pressure/memory", "pressure"}};
    char ours[PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(path, names[i][0]) != 0)
            continue;
        (void)snprintf(ours, sizeof ours, "%s/%s", root, names[i][1]);
        return lp_sys_kernel.openat(directory_fd, ours, flags);
    }
    return lp_sys_kernel.openat(directory_fd, path, flags);
}

/* Both hierarchies, with the process in /above/own of each; 1000 MiB available, and no limit yet. */
static struct lp_headroom begin(void)
{
    struct lp_headroom headroom;
    (void)snprintf(root, sizeof root, "/tmp/libpool-headroom-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
    static const char *const names[] = {"v1", "v1/above", "v1/above/own",
                                        "v2", "v2/above", "v2/above/own"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", root, names[i]);
        CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    }
    put("mountinfo",
        "30 20 0:1 / %s/v1 rw - cgroup cgroup rw,memory\n"
        "31 20 0:2 / %s/v2 rw - cgroup2 cgroup rw\n",
        root, root);
    put("cgroup", "3:memory:/above/own\n0::/above/own\n");
    put("meminfo", "MemTotal:  4096000 kB\nMemFree: 1 kB\nMemAvailable:    1024000 kB\n");
    put("v2/above/own/memory.max", "max\n");
    put("v1/above/own/memory.limit_in_bytes", "9223372036854771712\n");
    put("v1/above/own/memory.usage_in_bytes", "%d\n", 1 << 20);
    lp_sys.openat = open_ours;
    lp_headroom_find(&headroom, NULL);
    return headroom;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind, (void)place;
    return remove(path);
}

static void end(void)
{
    lp_sys = lp_sys_kernel;
    CU_ASSERT_EQUAL(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* In MiB. */
static void put_v2(const char *directory, unsigned limit, unsigned used, unsigned droppable)
{
    char name[PATH_BYTES];
    (void)snprintf(name, sizeof name, "%s/memory.max", directory);
    put(name, "%u\n", limit << 20);
    (void)snprintf(name, sizeof name, "%s/memory.current", directory);
    put(name, "%u\n", used << 20);
    (void)snprintf(name, sizeof name, "%s/memory.stat", directory);
    put(name, "anon 5\ninactive_anon 7\ninactive_file %u\nactive_file 9\n", droppable << 20);
}

TEST(headroom, without_limits_it_is_what_the_machine_has)
{
    struct lp_headroom headroom = begin();
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 1000 * MIB);
    end();
}

TEST(headroom, a_limit_of_v2_counts_without_inactive_files)
{
    struct lp_headroom headroom = begin();
    put_v2("v2/above/own", 100, 60, 0);
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 40 * MIB);
    put_v2("v2/above/own", 100, 60, 25);
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 65 * MIB);
    put_v2("v2/above/own", 100, 130, 10); /* it was lowered */
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 0);
    put_v2("v2/above/own", 100, 10, 20); /* two reads, and pages went in between */
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 100 * MIB);
    end();
}

TEST(headroom, a_limit_further_up_counts_too)
{
    struct lp_headroom headroom = begin();
    put_v2("v2/above/own", 500, 60, 0);
    put_v2("v2/above", 300, 200, 0);
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 100 * MIB);
    put_v2("v2", 300, 230, 0); /* a container's own root */
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 70 * MIB);
    end();
}

TEST(headroom, the_high_mark_counts_where_it_is_the_lower_one)
{
    struct lp_headroom headroom = begin();
    put_v2("v2/above/own", 500, 60, 0);
    put("v2/above/own/memory.high", "%u\n", 100u << 20); /* beyond it the kernel holds up tasks */
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 40 * MIB);
    put("v2/above/own/memory.high", "%u\n", 600u << 20);
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 440 * MIB);
    put("v2/above/own/memory.high", "max\n");
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 440 * MIB);
    put("v2/above/own/memory.max", "max\n");
    put("v2/above/own/memory.high", "%u\n", 100u << 20);
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 40 * MIB);
    end();
}

TEST(headroom, what_a_delegated_directory_has_left_counts_too)
{
    struct lp_headroom headroom = begin();
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/v2/above/beside", root);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    lp_headroom_find(&headroom, path);
    put_v2("v2/above/own", 500, 60, 0);
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 440 * MIB);
    put_v2("v2/above/beside", 100, 70, 0);
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 30 * MIB);
    put_v2("v2/above/own", 500, 480, 0);
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 20 * MIB);
    put("v2/above/own/memory.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=1\n");
    put("v2/above/beside/memory.pressure", "some avg10=2.50 avg60=0.00 avg300=0.00 total=1\n");
    CU_ASSERT_EQUAL(lp_headroom_pressure(&headroom), 250);
    end();
}

TEST(headroom, a_limit_of_v1_counts_with_the_files_of_all_below)
{
    struct lp_headroom headroom = begin();
    put("v1/above/own/memory.limit_in_bytes", "%d\n", 100 << 20);
    put("v1/above/own/memory.usage_in_bytes", "%d\n", 90 << 20);
    put("v1/above/own/memory.stat", "inactive_file 1\ntotal_inactive_file %d\n", 30 << 20);
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), 40 * MIB);
    end();
}

TEST(headroom, a_kernel_that_does_not_tell_is_unknown)
{
    struct lp_headroom headroom = begin();
    put("meminfo", "MemTotal: 4096000 kB\n");
    CU_ASSERT_EQUAL(lp_headroom_free(&headroom), LP_HEADROOM_UNKNOWN);
    CU_ASSERT_EQUAL(lp_headroom_pressure(&headroom), -ENOTSUP);
    put("pressure", "\n");
    CU_ASSERT_EQUAL(lp_headroom_pressure(&headroom), -ENOTSUP);
    end();
}

TEST(headroom, the_higher_pressure_counts)
{
    struct lp_headroom headroom = begin();
    put("pressure", "some avg10=3.07 avg60=9.99 avg300=0.00 total=1\nfull avg10=99.00 avg60=0\n");
    CU_ASSERT_EQUAL(lp_headroom_pressure(&headroom), 307);
    put("v2/above/own/memory.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=1\n");
    CU_ASSERT_EQUAL(lp_headroom_pressure(&headroom), 307);
    put("v2/above/own/memory.pressure", "some avg10=100.00 avg60=0.00 avg300=0.00 total=1\n");
    CU_ASSERT_EQUAL(lp_headroom_pressure(&headroom), 10000);
    end();
}

TEST(headroom, this_machine_tells)
{
    struct lp_headroom headroom;
    lp_headroom_find(&headroom, NULL);
    uint64_t bytes = lp_headroom_free(&headroom);
    CU_ASSERT_TRUE(bytes > MIB && bytes < UINT64_C(1) << 50);
}
