/* SPDX-License-Identifier: MIT */
#include "harness/cgroups.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/procfs.h"
#include "harness/test.h"

static bool is_made(const struct hn_cgroups *cgroups)
{
    for (int i = 0; i < HN_HIERARCHIES; i++)
        if (cgroups->path[i][0])
            return true;
    return false;
}

static bool is_there(const struct hn_cgroups *cgroups)
{
    struct stat status;
    for (int i = 0; i < HN_HIERARCHIES; i++)
        if (cgroups->path[i][0] && stat(cgroups->path[i], &status) == 0)
            return true;
    return false;
}

static pid_t a_dead_pid(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return pid;
}

static pid_t start_inside(const struct hn_cgroups *cgroups)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    CU_ASSERT_EQUAL(hn_cgroups_enter(cgroups, pid), 0);
    return pid;
}

TEST(cgroups, what_a_dead_judge_left_is_swept_with_who_lives_in_it)
{
    struct hn_cgroups cgroups;
    int status = 0;
    hn_cgroups_make(&cgroups, a_dead_pid(), "test-sweep");
    if (!is_made(&cgroups))
        TEST_SKIP("no cgroup of our own can be made");
    pid_t pid = start_inside(&cgroups);
    CU_ASSERT(hn_cgroups_sweep() > 0);
    CU_ASSERT_FALSE(is_there(&cgroups));
    kill(pid, SIGTERM); /* if it was spared */
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    hn_cgroups_remove(&cgroups);
}

TEST(cgroups, those_of_a_living_judge_are_left_alone)
{
    struct hn_cgroups cgroups;
    hn_cgroups_make(&cgroups, getpid(), "test-keep");
    if (!is_made(&cgroups))
        TEST_SKIP("no cgroup of our own can be made");
    hn_cgroups_sweep();
    CU_ASSERT(is_there(&cgroups));
    CU_ASSERT_EQUAL(hn_cgroups_remove(&cgroups), 0);
    CU_ASSERT_FALSE(is_there(&cgroups));
}

TEST(cgroups, all_that_lives_inside_is_killed)
{
    struct hn_cgroups cgroups;
    int status = 0;
    hn_cgroups_make(&cgroups, getpid(), "test-kill");
    if (!is_made(&cgroups))
        TEST_SKIP("no cgroup of our own can be made");
    pid_t pid = start_inside(&cgroups);
    hn_cgroups_kill(&cgroups);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT(WIFSIGNALED(status));
    CU_ASSERT_EQUAL(hn_cgroups_remove(&cgroups), 0);
}

/* Exit code: 0 when the kernel refuses a fork. */
static int fork_once(void *cgroups)
{
    if (hn_cgroups_enter(cgroups, getpid()))
        return 10;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid < 0 && errno == EAGAIN ? 0 : 11;
}

TEST(cgroups, refused_forks_are_counted_wherever_the_kernel_counts_them)
{
    struct hn_cgroups cgroups;
    hn_cgroups_make(&cgroups, getpid(), "test-pids");
    const char *pids = hn_cgroups_pids(&cgroups);
    if (!pids[0]) {
        hn_cgroups_remove(&cgroups);
        TEST_SKIP("no pids cgroup of our own can be made");
    }
    uint64_t refused = 7;
    CU_ASSERT_EQUAL(hn_cgroup_pids_refused(pids, &refused), 0);
    CU_ASSERT_EQUAL(refused, 0);
    CU_ASSERT_EQUAL(hn_cgroup_set_pids_limit(pids, 1), 0);
    CU_ASSERT_EQUAL(hn_test_child(fork_once, &cgroups, 5000), TEST_EXIT(0));
    CU_ASSERT_EQUAL(hn_cgroup_pids_refused(pids, &refused), 0);
    CU_ASSERT_EQUAL(refused, 1);
    CU_ASSERT_EQUAL(hn_cgroups_remove(&cgroups), 0);
}

static void never(const char *path, void *context)
{
    (void)path;
    (void)context;
}

TEST(cgroups, what_cannot_be_read_is_an_error_and_not_nothing)
{
    uint64_t number;
    CU_ASSERT(hn_cgroup_pids_refused("/nowhere", &number) < 0);
    CU_ASSERT(hn_cgroup_each_below("/nowhere", never, NULL) < 0);
}

/* In v2 with controllers: a process in the pool's directory would keep it from handing memory on. */
TEST(cgroups, the_directory_for_workers_hands_memory_on)
{
    struct hn_cgroups cgroups;
    char control[HN_PATH_MAX + 32];
    uint64_t limit = 0;
    hn_cgroups_make(&cgroups, getpid(), "test-pool");
    if (!cgroups.pool[0]) {
        hn_cgroups_remove(&cgroups);
        TEST_SKIP("v2 has no controllers here");
    }
    pid_t pid = start_inside(&cgroups);
    snprintf(control, sizeof control, "%s/cgroup.subtree_control", cgroups.pool);
    CU_ASSERT_EQUAL(hn_procfs_write(control, "+memory"), 0);
    CU_ASSERT_EQUAL(hn_cgroup_set_memory_limit(hn_cgroups_memory(&cgroups), 64 << 20), 0);
    CU_ASSERT_EQUAL(hn_cgroup_memory_limit(hn_cgroups_memory(&cgroups), &limit), 0);
    CU_ASSERT_EQUAL(limit, 64 << 20);
    hn_cgroups_kill(&cgroups);
    waitpid(pid, NULL, 0);
    CU_ASSERT_EQUAL(hn_cgroups_remove(&cgroups), 0);
}
