/* SPDX-License-Identifier: MIT */
/* inject: see the header. */
#include "harness/inject.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness/cgroups.h"
#include "harness/clock.h"

static int await_death(int fd, uint64_t deadline_ns)
{
    struct pollfd end = {.fd = fd, .events = POLLIN};
    for (;;) {
        int ready = poll(&end, 1, hn_clock_left_ms(deadline_ns));
        if (ready > 0)
            return 0;
        if (ready == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

/* The kernel has no event for a stop that is not a child's: it comes at the next tick at latest. */
static int await_stop(const struct hn_process *victim, uint64_t deadline_ns)
{
    struct hn_process now;
    while (hn_clock_ns() < deadline_ns) {
        if (hn_process_look(victim->pid, &now) || now.started != victim->started)
            return -ESRCH;
        if (now.state == 'T' || now.state == 't' || now.state == 'Z')
            return 0;
        sched_yield();
    }
    return -ETIMEDOUT;
}

static int await_effect(const struct hn_process *victim, int fd, int number, uint64_t deadline_ns)
{
    if (number == SIGKILL)
        return await_death(fd, deadline_ns);
    if (number == SIGSTOP)
        return await_stop(victim, deadline_ns);
    return 0;
}

int hn_inject_signal(const struct hn_process *victim, int number, uint64_t deadline_ns)
{
    int fd = victim->pid > 1 ? (int)syscall(SYS_pidfd_open, victim->pid, 0) : -1;
    if (fd < 0)
        return -ESRCH;
    int rc = hn_process_lives(victim) ? 0 : -ESRCH;
    if (rc == 0 && syscall(SYS_pidfd_send_signal, fd, number, NULL, 0))
        rc = -errno;
    if (rc == 0)
        rc = await_effect(victim, fd, number, deadline_ns);
    close(fd);
    return rc;
}

int hn_inject_own_memcg(pid_t pid, pid_t other, char *path, size_t size)
{
    char shared[HN_PATH_MAX];
    int rc = hn_cgroup_memory_of(pid, path, size);
    if (rc)
        return rc;
    if (hn_cgroup_memory_of(other, shared, sizeof shared) == 0 && strcmp(path, shared) == 0)
        return -ENOENT;
    return 0;
}
