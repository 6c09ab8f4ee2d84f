/* SPDX-License-Identifier: MIT */
/* A signal that changes nothing is no fault: each kind is sent to somebody whom it can't impress. */
#include "harness/inject.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/test.h"

/* A child that ignores SIGHUP and has SIGUSR1 blocked, from its first moment. */
static struct hn_process start_victim(void)
{
    struct hn_process victim = {0};
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    void (*kept)(int) = signal(SIGHUP, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    signal(SIGHUP, kept);
    sigprocmask(SIG_SETMASK, &before, NULL);
    CU_ASSERT_EQUAL(hn_process_look(pid, &victim), 0);
    return victim;
}

static int send(const struct hn_process *victim, int number)
{
    return hn_inject_signal(victim, number, hn_clock_ns() + 200 * HN_MS);
}

TEST(inject, a_signal_that_changes_nothing_is_refused)
{
    struct hn_process victim = start_victim();
    CU_ASSERT_EQUAL(send(&victim, SIGCONT), -EALREADY);
    CU_ASSERT_EQUAL(send(&victim, SIGCHLD), -EALREADY);
    CU_ASSERT_EQUAL(send(&victim, SIGHUP), -EALREADY);
    CU_ASSERT_EQUAL(send(&victim, SIGUSR1), -ETIMEDOUT);
    CU_ASSERT_EQUAL(send(&victim, SIGSTOP), 0);
    CU_ASSERT_EQUAL(send(&victim, SIGSTOP), -EALREADY);
    CU_ASSERT_EQUAL(send(&victim, SIGTERM), -ETIMEDOUT); /* waits until it goes on */
    kill(victim.pid, SIGKILL);
    waitpid(victim.pid, NULL, 0);
}

TEST(inject, a_signal_is_seen_to_take_effect)
{
    struct hn_process victim = start_victim();
    CU_ASSERT_EQUAL(send(&victim, SIGSTOP), 0);
    CU_ASSERT_EQUAL(send(&victim, SIGCONT), 0);
    CU_ASSERT_EQUAL(send(&victim, SIGTERM), 0);
    CU_ASSERT_EQUAL(waitpid(victim.pid, NULL, WNOHANG), victim.pid);
    CU_ASSERT_EQUAL(send(&victim, SIGTERM), -ESRCH);
}
