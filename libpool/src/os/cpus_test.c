/* SPDX-License-Identifier: MIT */
/* Over a directory of ours that stands for the mounted hierarchies: /proc is read through lp_sys. */
#include "os/cpus.h"

#include "base/fd.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <ftw.h>
#include <libpool.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/test.h"

#define PATH_BYTES 128

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

static void make_directory(const char *name)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
}

static int open_ours(int directory_fd, const char *path, int flags)
{
    char ours[PATH_BYTES];
    (void)snprintf(ours, sizeof ours, "%s/%s", root, strrchr(path, '/') ? strrchr(path, '/') : "");
    if (strncmp(path, "/sys/devices/system/cpu/cpu", 27) == 0) {
        (void)snprintf(ours, sizeof ours, "%s/siblings%.1s", root, path + 27);
        return lp_sys_kernel.openat(directory_fd, ours, flags);
    }
    bool is_ours = strcmp(path, "/proc/self/mountinfo") == 0 ||
                   strcmp(path, "/proc/self/cgroup") == 0;
    return lp_sys_kernel.openat(directory_fd, is_ours ? ours : path, flags);
}

static int four_cpus(size_t size, void *mask)
{
    memset(mask, 0, size);
    memset(mask, 0x0f, 1);
    return (int)size;
}

static int no_mask(size_t size, void *mask)
{
    (void)size, (void)mask;
    return -ENOSYS;
}

/* Both hierarchies, with the process in /above/own of each; four CPUs, and no quota yet. */
static void begin(void)
{
    (void)snprintf(root, sizeof root, "/tmp/libpool-cpus-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
    static const char *const names[] = {"v1", "v1/above", "v1/above/own",
                                        "v2", "v2/above", "v2/above/own"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        make_directory(names[i]);
    put("mountinfo",
        "30 20 0:1 / %s/v1 rw - cgroup cgroup rw,cpuacct,cpu\n"
        "31 20 0:2 / %s/v2 rw - cgroup2 cgroup rw\n",
        root, root);
    put("cgroup", "3:cpuacct,cpu:/above/own\n0::/above/own\n");
    put("v2/above/own/cpu.max", "max 100000\n");
    put("v1/above/own/cpu.cfs_quota_us", "-1\n");
    put("v1/above/own/cpu.cfs_period_us", "100000\n");
    lp_sys.openat = open_ours;
    lp_sys.sched_getaffinity = four_cpus;
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

TEST(cpus, without_a_quota_the_mask_counts)
{
    begin();
    CU_ASSERT_EQUAL(lp_cpus_usable(false), 4);
    end();
}

TEST(cpus, a_quota_of_v2_is_rounded_up)
{
    begin();
    put("v2/above/own/cpu.max", "200001 100000\n");
    CU_ASSERT_EQUAL(lp_cpus_usable(false), 3);
    put("v2/above/own/cpu.max", "200000 100000\n");
    CU_ASSERT_EQUAL(lp_cpus_usable(false), 2);
    put("v2/above/own/cpu.max", "1000 100000\n");
    CU_ASSERT_EQUAL(lp_cpus_usable(false), 1);
    end();
}

TEST(cpus, a_quota_of_v1_is_rounded_up)
{
    begin();
    put("v1/above/own/cpu.cfs_quota_us", "150000\n");
    CU_ASSERT_EQUAL(lp_cpus_usable(false), 2);
    end();
}

TEST(cpus, a_quota_further_up_counts_too)
{
    begin();
    put("v2/above/own/cpu.max", "300000 100000\n");
    put("v2/above/cpu.max", "100000 50000\n");
    CU_ASSERT_EQUAL(lp_cpus_usable(false), 2);
    put("v2/cpu.max", "50000 50000\n"); /* a container's own root */
    CU_ASSERT_EQUAL(lp_cpus_usable(false), 1);
    end();
}

TEST(cpus, a_quota_beyond_the_mask_changes_nothing)
{
    begin();
    put("v2/above/own/cpu.max", "800000 100000\n");
    CU_ASSERT_EQUAL(lp_cpus_usable(false), 4);
    end();
}

TEST(cpus, nonsense_is_no_quota)
{
    static const char *const texts[] = {"\n", "max\n", "100000\n", "100000 0\n", "-5 100000\n"};
    begin();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put("v2/above/own/cpu.max", "%s", texts[i]);
        CU_ASSERT_EQUAL(lp_cpus_usable(false), 4);
    }
    end();
}

TEST(cpus, the_threads_of_a_core_count_once_for_who_counts_cores)
{
    static const struct {
        const char *siblings[4];
        uint32_t cores;
    } machines[] = {
        {{"0\n", "1\n", "2\n", "3\n"}, 4},
        {{"0-1\n", "0-1\n", "2-3\n", "2-3\n"}, 2},
        {{"0,2\n", "1,3\n", "0,2\n", "1,3\n"}, 2},
        {{"0,4\n", "1,5\n", "2,6\n", "3,7\n"}, 4},
        {{"0-3\n", "0-3\n", "0-3\n", "0-3\n"}, 1},
        {{"0,2-3\n", "1\n", "0,2-3\n", "0,2-3\n"}, 2},
        {{"0\n", "x\n", "-\n", "9999999999-0\n"}, 4},
    };
    begin();
    CU_ASSERT_EQUAL(lp_cpus_usable(true), 4); /* nothing is known */
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        for (int cpu = 0; cpu < 4; cpu++) {
            char name[] = "siblings0";
            name[8] = (char)('0' + cpu);
            put(name, "%s", machines[i].siblings[cpu]);
        }
        CU_ASSERT_EQUAL(lp_cpus_usable(true), machines[i].cores);
        CU_ASSERT_EQUAL(lp_cpus_usable(false), 4);
    }
    put("v2/above/own/cpu.max", "100000 100000\n");
    CU_ASSERT_EQUAL(lp_cpus_usable(true), 1);
    end();
}

TEST(cpus, there_is_always_one)
{
    begin();
    lp_sys.sched_getaffinity = no_mask;
    CU_ASSERT_EQUAL(lp_cpus_usable(false), 1);
    end();
}

TEST_IN_CHILD(cpus, the_kernels_mask_is_asked, 5000, TEST_EXIT(0))
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    uint32_t before = lp_cpus_usable(false);
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        return 2;
    return before >= 1 && libpool_default_workers() == 1 && libpool_default_cores() == 1 ? 0 : 3;
}
