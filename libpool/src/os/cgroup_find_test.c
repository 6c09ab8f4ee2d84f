/* SPDX-License-Identifier: MIT */
#include "os/cgroup_find.h"

#include "harness/test.h"

#include <string.h>

#define V2_ONLY                                      \
    "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n" \
    "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate\n"

#define HYBRID                                                                    \
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"                  \
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"  \
    "37 31 0:34 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" \
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"

#define V1_ONLY "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"

static const char *find(const char *mountinfo, const char *membership, const char *controller)
{
    static char path[LP_CGROUP_PATH_BYTES];
    return lp_cgroup_find(mountinfo, membership, controller, path) ? path : "(none)";
}

TEST(cgroup_find, v2_alone)
{
    CU_ASSERT_STRING_EQUAL(find(V2_ONLY, "0::/user.slice/x.scope\n", NULL),
                           "/sys/fs/cgroup/user.slice/x.scope");
    CU_ASSERT_STRING_EQUAL(find(V2_ONLY, "0::/\n", NULL), "/sys/fs/cgroup/");
    CU_ASSERT_STRING_EQUAL(find(V2_ONLY, "0::/a\n", "memory"), "(none)");
}

TEST(cgroup_find, v1_beside_v2)
{
    const char *membership = "4:memory:/m/1\n3:cpu,cpuacct:/c\n0::/u\n";
    CU_ASSERT_STRING_EQUAL(find(HYBRID, membership, NULL), "/sys/fs/cgroup/unified/u");
    CU_ASSERT_STRING_EQUAL(find(HYBRID, membership, "memory"), "/sys/fs/cgroup/memory/m/1");
    CU_ASSERT_STRING_EQUAL(find(HYBRID, membership, "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct/c");
}

TEST(cgroup_find, v1_alone)
{
    CU_ASSERT_STRING_EQUAL(find(V1_ONLY, "4:memory:/m\n", "memory"), "/sys/fs/cgroup/memory/m");
    CU_ASSERT_STRING_EQUAL(find(V1_ONLY, "4:memory:/m\n", NULL), "(none)");
    CU_ASSERT_STRING_EQUAL(find(V1_ONLY, "4:memory:/m\n0::/\n", NULL), "(none)");
}

TEST(cgroup_find, mount_that_shows_a_part)
{
    const char *mountinfo =
        "9 8 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    CU_ASSERT_STRING_EQUAL(find(mountinfo, "4:memory:/docker/ab/w\n", "memory"),
                           "/sys/fs/cgroup/memory/w");
    CU_ASSERT_STRING_EQUAL(find(mountinfo, "4:memory:/docker/ab\n", "memory"),
                           "/sys/fs/cgroup/memory");
    CU_ASSERT_STRING_EQUAL(find(mountinfo, "4:memory:/docker/abc\n", "memory"), "(none)");
    CU_ASSERT_STRING_EQUAL(find(mountinfo, "4:memory:/\n", "memory"), "(none)");
}

TEST(cgroup_find, second_mount_shows_what_the_first_does_not)
{
    const char *mountinfo = "9 8 0:32 /other /a rw - cgroup2 none rw\n"
                            "10 8 0:32 / /b rw - cgroup2 none rw\n";
    CU_ASSERT_STRING_EQUAL(find(mountinfo, "0::/mine\n", NULL), "/b/mine");
}

TEST(cgroup_find, outside_of_the_namespace)
{
    CU_ASSERT_STRING_EQUAL(find(V2_ONLY, "0::/../other\n", NULL), "(none)");
    CU_ASSERT_STRING_EQUAL(find("9 8 0:32 /../.. /c rw - cgroup2 none rw\n", "0::/\n", NULL),
                           "(none)");
    CU_ASSERT_STRING_EQUAL(find(V2_ONLY, "0::/..odd\n", NULL), "/sys/fs/cgroup/..odd");
}

TEST(cgroup_find, blanks_and_colons_in_names)
{
    const char *mountinfo = "9 8 0:32 / /my\\040mounts/c\\134g rw - cgroup2 none rw\n";
    CU_ASSERT_STRING_EQUAL(find(mountinfo, "0::/a:b c\n", NULL), "/my mounts/c\\g/a:b c");
}

TEST(cgroup_find, nonsense_is_nothing)
{
    CU_ASSERT_STRING_EQUAL(find("", "", NULL), "(none)");
    CU_ASSERT_STRING_EQUAL(find("garbage\n\n - cgroup2\n", "0::/\n", NULL), "(none)");
    CU_ASSERT_STRING_EQUAL(find(V2_ONLY, "::\n:\n0:\n", NULL), "(none)");
    CU_ASSERT_STRING_EQUAL(find("1 2 3 4 5", "0::/", NULL), "(none)");
}

TEST(cgroup_find, path_that_is_too_long_is_none)
{
    static char membership[LP_CGROUP_PATH_BYTES + 64] = "0::/";
    memset(membership + 4, 'x', LP_CGROUP_PATH_BYTES);
    CU_ASSERT_STRING_EQUAL(find(V2_ONLY, membership, NULL), "(none)");
}

TEST(cgroup_find, words_are_whole)
{
    CU_ASSERT(lp_cgroup_has_word("cpu memory pids\n", 16, "memory"));
    CU_ASSERT(lp_cgroup_has_word("memory\n", 7, "memory"));
    CU_ASSERT_FALSE(lp_cgroup_has_word("hugememory\n", 11, "memory"));
    CU_ASSERT_FALSE(lp_cgroup_has_word("", 0, "memory"));
}
