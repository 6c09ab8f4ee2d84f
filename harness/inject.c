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

/* What a signal is for. What it does is seen in the victim's state, before and after. */
enum aim {
    TO_END,
    TO_STOP,
    TO_GO_ON,
    TO_NOTHING
};

static enum aim aim_of(int number)
{
    switch (number) {
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU: return TO_STOP;
    case SIGCONT: return TO_GO_ON;
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH: return TO_NOTHING;
    }
    return TO_END;
}

bool hn_signal_ends(int number)
{
    return aim_of(number) == TO_END;
}

/* 0: 'T' or not, in *stopped; -ESRCH: another one, or dead. */
static int look(const struct hn_process *victim, bool *stopped)
{
    struct hn_process now;
    if (hn_process_look(victim->pid, &now) || now.started != victim->started || now.state == 'Z' ||
        now.state == 'X')
        return -ESRCH;
    *stopped = now.state == 'T';
    return 0;
}

static int await_stop(const struct hn_process *victim, bool wanted, uint64_t deadline_ns)
{
    /* The kernel has no event for a stop that is not a child's: it comes at the next tick at latest. */
    while (hn_clock_ns() < deadline_ns) {
        bool stopped = false;
        int rc = look(victim, &stopped);
        if (rc || stopped == wanted)
            return rc;
        sched_yield();
    }
    return -ETIMEDOUT;
}

/* 0, or why it is no use to send it. */
static int foresee(const struct hn_process *victim, int number)
{
    bool stopped = false;
    uint64_t ignored = 0;
    enum aim aim = aim_of(number);
    int rc = look(victim, &stopped);
    if (rc == 0)
        rc = hn_process_status(victim->pid, "SigIgn", 16, &ignored);
    if (rc)
        return rc;
    bool vain = aim == TO_NOTHING || (aim == TO_STOP && stopped) || (aim == TO_GO_ON && !stopped) ||
                (aim != TO_GO_ON && (ignored >> (number - 1) & 1));
    return vain ? -EALREADY : 0;
}

static int await_effect(const struct hn_process *victim, int fd, int number, uint64_t deadline_ns)
{
    enum aim aim = aim_of(number);
    return aim == TO_END ? await_death(fd, deadline_ns)
                         : await_stop(victim, aim == TO_STOP, deadline_ns);
}

int hn_inject_signal(const struct hn_process *victim, int number, uint64_t deadline_ns)
{
    int fd = victim->pid > 1 ? (int)syscall(SYS_pidfd_open, victim->pid, 0) : -1;
    if (fd < 0)
        return -ESRCH;
    int rc = foresee(victim, number);
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
