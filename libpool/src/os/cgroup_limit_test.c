/* SPDX-License-Identifier: MIT */
/*
 * v2 against a directory of plain files, which take what is written and say it again: whatever machine
 * this is, the names and values are right, and a kernel that says something else is not believed. v1
 * against the kernel, where it has that controller.
 */
#include "os/cgroup_limit.h"

#include "harness/test.h"
#include "os/cgroup_find.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT (UINT64_C(64) << 20)

/* A directory in which a plain file of each name stands for a cgroup's in "0"; below /tmp. */
struct fake {
    char path[64];
    int fd;
};

static void put_file(const struct fake *fake, const char *name, const char *content)
{
    char path[128];
    snprintf(path, sizeof path, "0/%s", name);
    int fd = openat(fake->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CU_ASSERT_EQUAL(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
}

static void make_fake(struct fake *fake)
{
    snprintf(fake->path, sizeof fake->path, "/tmp/lp-limit-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(fake->path));
    fake->fd = open(fake->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_EQUAL(mkdirat(fake->fd, "0", 0755), 0);
}

static const char *said(const struct fake *fake, const char *name, char text[32])
{
    char path[128];
    snprintf(path, sizeof path, "0/%s", name);
    text[0] = '\0';
    (void)lp_file_read(fake->fd, path, text, 32);
    return text;
}

static void remove_fake(struct fake *fake)
{
    static const char *const names[] = {"memory.max", "memory.swap.max", "memory.oom.group",
                                        "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "0/%s", names[i]);
        (void)unlinkat(fake->fd, path, 0);
    }
    CU_ASSERT_EQUAL(unlinkat(fake->fd, "0", AT_REMOVEDIR), 0);
    close(fake->fd);
    CU_ASSERT_EQUAL(rmdir(fake->path), 0);
}

TEST(cgroup_limit, v2_has_no_swap_and_ends_the_whole_group)
{
    struct fake fake;
    char text[32];
    make_fake(&fake);
    put_file(&fake, "memory.max", "");
    put_file(&fake, "memory.swap.max", "max\n");
    put_file(&fake, "memory.oom.group", "0\n");
    CU_ASSERT_EQUAL(lp_cgroup_limit_set(fake.fd, "0", true, LIMIT), 0);
    CU_ASSERT_STRING_EQUAL(said(&fake, "memory.max", text), "67108864");
    CU_ASSERT_EQUAL(said(&fake, "memory.swap.max", text)[0], '0');
    CU_ASSERT_EQUAL(said(&fake, "memory.oom.group", text)[0], '1');
    remove_fake(&fake);
}

TEST(cgroup_limit, v2_without_swap_or_group_kill_is_limited_nevertheless)
{
    struct fake fake;
    make_fake(&fake);
    put_file(&fake, "memory.max", "");
    CU_ASSERT_EQUAL(lp_cgroup_limit_set(fake.fd, "0", true, LIMIT), 0);
    remove_fake(&fake);
}

TEST(cgroup_limit, without_the_file_there_is_no_limit)
{
    struct fake fake;
    make_fake(&fake);
    CU_ASSERT_EQUAL(lp_cgroup_limit_set(fake.fd, "0", true, LIMIT), -ENOENT);
    CU_ASSERT_EQUAL(lp_cgroup_limit_set(fake.fd, "0", false, LIMIT), -ENOENT);
    remove_fake(&fake);
}

/* A longer text stays behind what is written over it: the kernel "says" another number. */
TEST(cgroup_limit, what_is_read_back_has_to_be_what_was_written)
{
    struct fake fake;
    make_fake(&fake);
    put_file(&fake, "memory.max", "9223372036854771712\n");
    CU_ASSERT_EQUAL(lp_cgroup_limit_set(fake.fd, "0", true, LIMIT), -EIO);
    put_file(&fake, "memory.max", "max is what it stays");
    CU_ASSERT_EQUAL(lp_cgroup_limit_set(fake.fd, "0", true, LIMIT), -EIO);
    put_file(&fake, "memory.limit_in_bytes", "");
    put_file(&fake, "memory.memsw.limit_in_bytes", "9223372036854771712\n");
    CU_ASSERT_EQUAL(lp_cgroup_limit_set(fake.fd, "0", false, LIMIT), -EIO);
    remove_fake(&fake);
}

TEST(cgroup_limit, v1_limits_in_whole_pages)
{
    static char mountinfo[262144];
    char membership[4096], own[LP_CGROUP_PATH_BYTES], text[32], name[32];
    lp_file_read(AT_FDCWD, "/proc/self/mountinfo", mountinfo, sizeof mountinfo);
    lp_file_read(AT_FDCWD, "/proc/self/cgroup", membership, sizeof membership);
    if (!lp_cgroup_find(mountinfo, membership, "memory", own))
        TEST_SKIP("no v1 memory controller here");
    struct fake parent = {.fd = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    snprintf(name, sizeof name, "lp-limit-%d", (int)getpid());
    if (mkdirat(parent.fd, name, 0755) < 0) {
        close(parent.fd);
        TEST_SKIP("may not make a v1 memory cgroup here");
    }
    CU_ASSERT_EQUAL(lp_cgroup_limit_set(parent.fd, name, false, LIMIT + 100), 0);
    char path[64];
    snprintf(path, sizeof path, "%s/memory.limit_in_bytes", name);
    CU_ASSERT(lp_file_read(parent.fd, path, text, sizeof text) > 0);
    CU_ASSERT_EQUAL(strtoull(text, NULL, 10), LIMIT);
    CU_ASSERT_EQUAL(unlinkat(parent.fd, name, AT_REMOVEDIR), 0);
    close(parent.fd);
}
