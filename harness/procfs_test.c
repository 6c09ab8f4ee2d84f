/* SPDX-License-Identifier: MIT */
#include "harness/procfs.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/descend.h"
#include "harness/inject.h"
#include "harness/reap.h"
#include "harness/test.h"
#include "harness/world.h"

static pid_t start_child(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

TEST(procfs, a_name_with_brackets_confuses_nobody)
{
    char before[16];
    struct hn_process self;
    prctl(PR_GET_NAME, before);
    prctl(PR_SET_NAME, "a) S 1 (b");
    CU_ASSERT_EQUAL(hn_process_look(getpid(), &self), 0);
    prctl(PR_SET_NAME, before);
    CU_ASSERT_STRING_EQUAL(self.name, "a) S 1 (b");
    CU_ASSERT_EQUAL(self.parent, getppid());
    CU_ASSERT_EQUAL(self.pid, getpid());
}

TEST(procfs, a_zombie_is_there_and_does_not_live)
{
    struct hn_process child;
    pid_t pid = start_child();
    CU_ASSERT_EQUAL(hn_process_look(pid, &child), 0);
    CU_ASSERT(hn_process_lives(&child));
    siginfo_t info;
    kill(pid, SIGKILL);
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    CU_ASSERT_FALSE(hn_process_lives(&child));
    CU_ASSERT_EQUAL(hn_process_look(pid, &child), 0);
    waitpid(pid, NULL, 0);
    CU_ASSERT_EQUAL(hn_process_look(pid, &child), -ESRCH);
}

TEST(procfs, reads_the_signals_that_wait)
{
    uint64_t pending = 0;
    sigset_t one, before;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    sigprocmask(SIG_BLOCK, &one, &before);
    raise(SIGUSR1);
    CU_ASSERT_EQUAL(hn_process_status(getpid(), "SigPnd", 16, &pending), 0);
    struct timespec none = {0};
    sigtimedwait(&one, NULL, &none);
    sigprocmask(SIG_SETMASK, &before, NULL);
    CU_ASSERT_EQUAL(pending, 1u << (SIGUSR1 - 1));
}

/* ---- inject ------------------------------------------------------------------------------------ */

TEST(inject, never_hits_another_process_with_the_same_pid)
{
    struct hn_process child;
    pid_t pid = start_child();
    CU_ASSERT_EQUAL(hn_process_look(pid, &child), 0);
    child.started++; /* the one we mean was another */
    CU_ASSERT_EQUAL(hn_inject_signal(&child, SIGKILL, hn_clock_ns() + HN_S), -ESRCH);
    CU_ASSERT_EQUAL(waitpid(pid, NULL, WNOHANG), 0);
    end_child(pid);
}

TEST(inject, returns_when_the_effect_is_there)
{
    struct hn_process child, now;
    pid_t pid = start_child();
    CU_ASSERT_EQUAL(hn_process_look(pid, &child), 0);
    CU_ASSERT_EQUAL(hn_inject_signal(&child, SIGSTOP, hn_clock_ns() + HN_S), 0);
    CU_ASSERT_EQUAL(hn_process_look(pid, &now), 0);
    CU_ASSERT_EQUAL(now.state, 'T');
    CU_ASSERT_EQUAL(hn_inject_signal(&child, SIGKILL, hn_clock_ns() + HN_S), 0);
    CU_ASSERT_FALSE(hn_process_lives(&child));
    waitpid(pid, NULL, 0);
}

/* ---- reap -------------------------------------------------------------------------------------- */

static int reap_style(enum hn_style style)
{
    struct hn_world *world = hn_world_new();
    struct hn_order order = {.what = {.kind = HN_TASK_GRANDCHILD, .style = style}};
    if (!world || prctl(PR_SET_CHILD_SUBREAPER, 1) || setsid() < 0)
        return 2;
    if (hn_descend(&world->history, &order))
        return 3;
    uint64_t deadline_ns = hn_clock_ns() + 5 * HN_S;
    struct hn_cursor cursor = {0};
    while (!hn_cursor_next(&cursor, &world->history) && hn_clock_ns() < deadline_ns)
        hn_cursor_wait(&cursor, &world->history, deadline_ns);
    int left = hn_reap_all(hn_clock_ns() + 10 * HN_S);
    return left == 0 && waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : 1;
}

TEST_IN_CHILD(reap, kills_a_double_fork, 15000, TEST_EXIT(0))
{
    return reap_style(HN_STYLE_DOUBLE_FORK);
}

TEST_IN_CHILD(reap, kills_what_blocks_all_signals, 15000, TEST_EXIT(0))
{
    return reap_style(HN_STYLE_IGNORE_TERM);
}

TEST_IN_CHILD(reap, kills_a_storm, 15000, TEST_EXIT(0))
{
    return reap_style(HN_STYLE_STORM);
}
