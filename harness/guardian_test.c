/* SPDX-License-Identifier: MIT */
/* The guardian's promise: whatever happens to the judge, nothing is left. */
#include "harness/guardian.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/test.h"

static void announce(struct hn_world *world)
{
    struct hn_record record = hn_record_of(HN_DESCENDANT);
    hn_history_append(&world->history, &record);
}

static _Noreturn void stay(struct hn_world *world)
{
    announce(world);
    for (;;)
        pause();
}

/* A target with a child, a grandchild in its own session, and an orphan that blocks everything. */
static int live_with_family(const void *context, int command_fd)
{
    struct hn_world *world = (struct hn_world *)(uintptr_t)context;
    sigset_t all;
    (void)command_fd;
    sigfillset(&all);
    if (fork() == 0)
        stay(world);
    if (fork() == 0) {
        setsid();
        sigprocmask(SIG_SETMASK, &all, NULL);
        if (fork() == 0)
            stay(world);
        _exit(0);
    }
    stay(world);
}

static int live_shortly(const void *context, int command_fd)
{
    (void)context;
    (void)command_fd;
    return 7;
}

static int leave_a_child(const void *context, int command_fd)
{
    struct hn_world *world = (struct hn_world *)(uintptr_t)context;
    (void)command_fd;
    if (fork() == 0)
        stay(world);
    return 0;
}

/* The processes that announced themselves, once there are `wanted`. */
static uint32_t family(struct hn_world *world, struct hn_process *list, uint32_t wanted)
{
    struct hn_cursor cursor = {0};
    uint32_t seen = 0;
    uint64_t deadline_ns = hn_clock_ns() + 5 * HN_S;
    while (seen < wanted && hn_clock_ns() < deadline_ns) {
        const struct hn_record *record = hn_cursor_next(&cursor, &world->history);
        if (!record)
            hn_cursor_wait(&cursor, &world->history, deadline_ns);
        else if (record->kind == HN_DESCENDANT)
            hn_process_look(record->pid, &list[seen++]);
    }
    return seen;
}

static bool await_end(pid_t pid, int timeout_ms)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd end = {.fd = fd, .events = POLLIN};
    bool ended = fd < 0 || poll(&end, 1, timeout_ms) == 1;
    if (fd >= 0)
        close(fd);
    return ended;
}

/* What the judge tells the test, in memory of both. */
struct report {
    pid_t guardian;
    struct hn_cgroups cgroups;
};

static _Noreturn void judge(struct hn_world *world, struct report *report, const char *name)
{
    struct hn_guardian guardian;
    struct hn_guardian_options options = {
        .world = world, .name = name, .live = live_with_family, .context = world};
    if (hn_guardian_start(&guardian, &options))
        _exit(1);
    report->guardian = guardian.pid;
    for (;;)
        pause();
}

static uint32_t directories(pid_t judge_pid, const char *name)
{
    struct hn_cgroups cgroups;
    uint32_t count = 0;
    hn_cgroups_find(&cgroups, judge_pid, name);
    for (int i = 0; i < HN_HIERARCHIES; i++)
        count += cgroups.path[i][0] != 0;
    return count;
}

TEST(guardian, leaves_nothing_when_its_judge_is_killed)
{
    struct hn_world *world = hn_world_new();
    struct report *report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct hn_process list[3] = {0};
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    CU_ASSERT_FATAL(report != MAP_FAILED);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = fork();
    if (pid == 0)
        judge(world, report, "killed");
    CU_ASSERT_EQUAL(family(world, list, 3), 3);
    kill(pid, SIGKILL);
    CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
    CU_ASSERT(await_end(report->guardian, 10000));
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(report->guardian, &status, 0), report->guardian);
    CU_ASSERT_EQUAL(status, 0);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_FALSE(hn_process_lives(&list[i]));
    CU_ASSERT_EQUAL(directories(pid, "killed"), 0);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    munmap(report, sizeof *report);
    hn_world_free(world);
}

TEST(guardian, tells_how_the_target_ended)
{
    struct hn_guardian guardian;
    struct hn_world *world = hn_world_new();
    struct hn_cursor cursor = {0};
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    struct hn_guardian_options options = {
        .world = world, .name = "short", .live = live_shortly, .context = world};
    CU_ASSERT_EQUAL_FATAL(hn_guardian_start(&guardian, &options), 0);
    CU_ASSERT_EQUAL(hn_cursor_wait(&cursor, &world->history, hn_clock_ns() + 5 * HN_S), 0);
    const struct hn_record *record = hn_cursor_next(&cursor, &world->history);
    CU_ASSERT_PTR_NOT_NULL_FATAL(record);
    CU_ASSERT_EQUAL(record->kind, HN_TARGET_GONE);
    CU_ASSERT_EQUAL(record->code, 7);
    CU_ASSERT_EQUAL(hn_guardian_finish(&guardian), 0);
    CU_ASSERT_EQUAL(directories(getpid(), "short"), 0);
    hn_world_free(world);
}

TEST(guardian, a_census_finds_what_was_left)
{
    struct hn_guardian guardian;
    struct hn_process child = {0};
    struct hn_world *world = hn_world_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    struct hn_guardian_options options = {
        .world = world, .name = "census", .live = leave_a_child, .context = world};
    CU_ASSERT_EQUAL_FATAL(hn_guardian_start(&guardian, &options), 0);
    CU_ASSERT_EQUAL(family(world, &child, 1), 1);
    CU_ASSERT_EQUAL(hn_guardian_census(&guardian, hn_clock_ns() + 50 * HN_MS), -ETIMEDOUT);
    CU_ASSERT(world->census.count >= 1);
    kill(child.pid, SIGKILL);
    CU_ASSERT_EQUAL(hn_guardian_census(&guardian, hn_clock_ns() + 5 * HN_S), 0);
    CU_ASSERT_EQUAL(world->census.count, 0);
    CU_ASSERT_EQUAL(hn_guardian_finish(&guardian), 0);
    hn_world_free(world);
}

TEST(guardian, a_limit_is_taken_back_at_the_end)
{
    struct hn_cgroups cgroups;
    struct hn_guardian guardian;
    uint64_t limit = 0;
    hn_cgroups_make(&cgroups, getpid(), "limited");
    const char *memory = hn_cgroups_memory(&cgroups);
    if (!memory[0]) {
        hn_cgroups_remove(&cgroups);
        TEST_SKIP("no memory cgroup of our own");
    }
    struct hn_world *world = hn_world_new();
    struct hn_guardian_options options = {
        .world = world, .name = "limits", .live = live_shortly, .context = world};
    CU_ASSERT_EQUAL_FATAL(hn_guardian_start(&guardian, &options), 0);
    CU_ASSERT_EQUAL(hn_guardian_limit_memory(&guardian, 1, memory, 64 << 20), 0);
    CU_ASSERT_EQUAL(hn_cgroup_memory_limit(memory, &limit), 0);
    CU_ASSERT_EQUAL(limit, 64 << 20);
    CU_ASSERT_EQUAL(hn_guardian_finish(&guardian), 0);
    CU_ASSERT_EQUAL(hn_cgroup_memory_limit(memory, &limit), 0);
    CU_ASSERT_EQUAL(limit, UINT64_MAX);
    CU_ASSERT_EQUAL(hn_cgroups_remove(&cgroups), 0);
    hn_world_free(world);
}
