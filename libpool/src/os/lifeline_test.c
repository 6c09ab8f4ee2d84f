/* SPDX-License-Identifier: MIT */
#include "os/lifeline.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"

/* Arms itself, then does what nobody can interrupt: it spins with every signal blocked. */
static int spin_for_ever(void *arg)
{
    const int *ends = arg;
    sigset_t all;
    (void)close(ends[0]); /* the host's end is not inherited by a real worker */
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    if (lp_lifeline_arm(ends[1]) < 0)
        return 1;
    (void)write(ends[2], "a", 1);
    for (;;)
        continue;
}

/* The process that holds the host's end: it leaves as soon as the other is armed. */
static int leave_when_armed(void *arg)
{
    int ready[2], *ends = arg;
    char byte;
    if (pipe(ready) != 0)
        return 2;
    ends[2] = ready[1];
    pid_t worker = fork();
    if (worker == 0)
        _exit(spin_for_ever(ends));
    if (read(ready[0], &byte, 1) != 1)
        return 3;
    (void)close(ends[0]);
    siginfo_t info;
    if (waitid(P_PID, (id_t)worker, &info, WEXITED) != 0)
        return 4;
    return info.si_code == CLD_KILLED && info.si_status == SIGKILL ? 0 : 5;
}

TEST_IN_CHILD(lifeline, kills_who_spins_with_all_signals_blocked, 10000, TEST_EXIT(0))
{
    int ends[3] = {lp_lifeline_open(), -1, -1};
    ends[1] = lp_lifeline_follow(ends[0]);
    return ends[1] < 0 ? 6 : leave_when_armed(ends);
}

TEST(lifeline, arming_after_the_end_is_told)
{
    int host_fd = lp_lifeline_open();
    CU_ASSERT(host_fd >= 0);
    int followed_fd = lp_lifeline_follow(host_fd);
    CU_ASSERT(followed_fd > STDERR_FILENO);
    (void)close(host_fd);
    CU_ASSERT_EQUAL(lp_lifeline_arm(followed_fd), -EPIPE);
    (void)close(followed_fd);
    CU_ASSERT_EQUAL(lp_lifeline_follow(-1), -1);
}
