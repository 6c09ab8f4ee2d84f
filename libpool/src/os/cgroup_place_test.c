/* SPDX-License-Identifier: MIT */
/* Each test works in a v2 directory of its own, below which the pool's stand. */
#include "os/cgroup_place.h"

#include "harness/test.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CROWD 5
#define LIMIT_MS 200

typedef char path_text[LP_CGROUP_PATH_BYTES + 256];

/* The directory of this test in a hierarchy; false: it can't be made here. */
static bool make_own(const char *controller, path_text own)
{
    static char mountinfo[262144];
    char membership[4096];
    lp_file_read(AT_FDCWD, "/proc/self/mountinfo", mountinfo, sizeof mountinfo);
    lp_file_read(AT_FDCWD, "/proc/self/cgroup", membership, sizeof membership);
    if (!lp_cgroup_find(mountinfo, membership, controller, own))
        return false;
    size_t length = strlen(own);
    snprintf(own + length, sizeof(path_text) - length, "/lp-place-%d", (int)getpid());
    return mkdir(own, 0755) == 0;
}

static bool write_to(const char *directory, const char *file, const char *text)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && lp_file_write(fd, file, text) == 0;
    close(fd);
    return done;
}

/* A child in these directories (the second may be NULL), that only waits. */
static pid_t put_child(const char *directory, const char *other)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    char digits[16];
    snprintf(digits, sizeof digits, "%d", pid);
    bool is_there = write_to(directory, "cgroup.procs", digits) &&
                    (!other || write_to(other, "cgroup.procs", digits));
    CU_ASSERT(is_there);
    return pid;
}

static int end_of(pid_t pid)
{
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    return status & 0x7f;
}

static bool has_kill(const char *directory)
{
    path_text path;
    snprintf(path, sizeof path, "%.*s/cgroup.kill", LP_CGROUP_PATH_BYTES, directory);
    return access(path, W_OK) == 0;
}

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* ---- Its own ------------------------------------------------------------------------------- */

TEST(cgroup_place, ends_one_slot_and_then_all)
{
    path_text own, pool, slots[2];
    struct lp_cgroup_place place;
    if (!make_own(NULL, own))
        TEST_SKIP("may not make a cgroup v2 directory here");
    CU_ASSERT_EQUAL(lp_cgroup_place_find(&place, own, 7), 0);
    snprintf(pool, sizeof pool, "%.*s/%s", LP_CGROUP_PATH_BYTES, own, place.name);
    CU_ASSERT_EQUAL(mkdir(pool, 0755), 0);
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        snprintf(slots[i], sizeof slots[i], "%.*s/%d", LP_CGROUP_PATH_BYTES + 200, pool, i);
        CU_ASSERT_EQUAL(mkdir(slots[i], 0755), 0);
        pids[i] = put_child(slots[i], NULL);
    }
    bool can_kill = has_kill(pool);
    CU_ASSERT_EQUAL(lp_cgroup_place_kill(&place, 1), can_kill);
    CU_ASSERT_FALSE(lp_cgroup_place_kill(&place, 2)); /* no such directory */
    for (int i = 0; i < 2 && !can_kill; i++)
        kill(pids[i], SIGKILL);
    CU_ASSERT_EQUAL(end_of(pids[1]), SIGKILL);
    CU_ASSERT(!can_kill || waitpid(pids[0], NULL, WNOHANG) == 0);
    lp_cgroup_place_clear(&place, 5000);
    CU_ASSERT_EQUAL(end_of(pids[0]), SIGKILL);
    CU_ASSERT(access(pool, F_OK) != 0);
    CU_ASSERT_EQUAL(rmdir(own), 0);
}

TEST(cgroup_place, none_is_nothing_to_clear)
{
    struct lp_cgroup_place place = {.name = "libpool-1-1-1"};
    lp_cgroup_place_clear(&place, 0);
    CU_ASSERT_FALSE(lp_cgroup_place_kill(&place, 0));
    char longest[LP_CGROUP_PATH_BYTES + 1];
    memset(longest, '/', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    CU_ASSERT_EQUAL(lp_cgroup_place_find(&place, longest, 1), -ENAMETOOLONG);
}

/* ---- What dead hosts left ------------------------------------------------------------------ */

/* libpool-PID-I-NAMESPACE, of a host that is dead for certain: a child of ours. */
static void make_stale(const char *own, int i, path_text stale)
{
    struct stat namespace;
    stat("/proc/self/ns/pid", &namespace);
    pid_t host = fork();
    if (host == 0)
        _exit(0);
    waitpid(host, NULL, 0);
    snprintf(stale, sizeof(path_text), "%.*s/libpool-%d-%d-%lu", LP_CGROUP_PATH_BYTES, own,
             (int)host, i, (unsigned long)namespace.st_ino);
    CU_ASSERT_EQUAL(mkdir(stale, 0755), 0);
}

static void await_frozen(const char *freezer)
{
    char state[32] = "";
    int fd = open(freezer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (lp_file_read(fd, "freezer.state", state, sizeof state) > 0 &&
           strcmp(state, "FROZEN\n") != 0)
        sched_yield();
    close(fd);
}

/* Processes that a frozen cgroup keeps from dying stand in each of them. */
TEST(cgroup_place, a_crowd_of_stale_ones_costs_no_more_time_than_one)
{
    path_text own, freezer, stale[CROWD];
    pid_t pids[CROWD];
    if (!make_own(NULL, own))
        TEST_SKIP("may not make a cgroup v2 directory here");
    if (!make_own("freezer", freezer)) {
        rmdir(own);
        TEST_SKIP("may not make a v1 freezer cgroup here");
    }
    for (int i = 0; i < CROWD; i++) {
        make_stale(own, i, stale[i]);
        pids[i] = put_child(stale[i], freezer);
    }
    CU_ASSERT(write_to(freezer, "freezer.state", "FROZEN"));
    await_frozen(freezer);
    uint64_t begun_ms = clock_ms();
    lp_cgroup_place_clear_stale(own, LIMIT_MS);
    CU_ASSERT(clock_ms() - begun_ms < 3 * LIMIT_MS);
    bool can_kill = has_kill(stale[0]);
    CU_ASSERT(write_to(freezer, "freezer.state", "THAWED"));
    for (int i = 0; i < CROWD; i++) {
        if (!can_kill)
            kill(pids[i], SIGKILL);
        CU_ASSERT_EQUAL(end_of(pids[i]), SIGKILL); /* it was told to die all the same */
    }
    lp_cgroup_place_clear_stale(own, LIMIT_MS);
    for (int i = 0; i < CROWD; i++)
        CU_ASSERT(access(stale[i], F_OK) != 0);
    CU_ASSERT_EQUAL(rmdir(freezer), 0);
    CU_ASSERT_EQUAL(rmdir(own), 0);
}
