/* SPDX-License-Identifier: MIT */
#include "os/death.h"

#include "harness/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000u

static uint64_t boot_time_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

TEST(death, pins_only_who_was_born_when_it_should)
{
    uint64_t from_ns = boot_time_ns();
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    uint64_t by_ns = boot_time_ns();
    int fd = lp_death_pin(pid, from_ns, by_ns);
    CU_ASSERT(fd >= 0);
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CU_ASSERT_EQUAL(lp_death_pin(pid, from_ns - SECOND_NS, from_ns - SECOND_NS / 2), -ESRCH);
    CU_ASSERT_EQUAL(lp_death_pin(pid, by_ns + SECOND_NS / 2, by_ns + SECOND_NS), -ESRCH);
    CU_ASSERT_EQUAL(kill(pid, SIGKILL), 0);
    CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
    CU_ASSERT_EQUAL(lp_death_pin(pid, from_ns, by_ns), -ESRCH);
    close(fd);
}

TEST(death, tells_how_a_child_of_ours_ended)
{
    int code = -1, signal_number = -1, core = -1;
    uint64_t from_ns = boot_time_ns();
    pid_t pid = fork();
    if (pid == 0)
        _exit(9);
    int fd = lp_death_pin(pid, from_ns, boot_time_ns());
    siginfo_t info;
    CU_ASSERT_EQUAL(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CU_ASSERT_EQUAL(lp_death_ask(fd, &code, &signal_number, &core), 0);
    CU_ASSERT_EQUAL(code, 9);
    CU_ASSERT_EQUAL(signal_number, 0);
    CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), -1); /* reaped */
    close(fd);
}
