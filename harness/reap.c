/* SPDX-License-Identifier: MIT */
/*
 * reap: kill to a fixpoint.
 *
 * A chain of processes that fork and leave outruns a walk over /proc; but each link lands on us, the
 * sub-reaper, and its process group can be signalled as a whole, which no fork escapes.
 */
#include "harness/reap.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <poll.h>

#include "harness/clock.h"
#include "harness/procfs.h"

#define LIST_MAX 4096

static void wait_for_the_dead(void)
{
    while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
        ;
}

/* The pidfd pins the process; only then its identity is compared. */
static void kill_exactly(const struct hn_process *process)
{
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (fd < 0)
        return;
    if (hn_process_lives(process))
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    close(fd);
}

static void kill_with_group(const struct hn_process *process)
{
    if (process->group > 1 && process->group != getpgrp() && process->session != getsid(0))
        kill(-process->group, SIGKILL);
    kill_exactly(process);
}

/* A dying process with much memory takes a while: its pidfd tells. */
static void await(const struct hn_process *process, uint64_t deadline_ns)
{
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (fd < 0)
        return;
    struct pollfd end = {.fd = fd, .events = POLLIN};
    uint64_t soon_ns = hn_clock_ns() + 20 * HN_MS;
    poll(&end, 1, hn_clock_left_ms(soon_ns < deadline_ns ? soon_ns : deadline_ns));
    close(fd);
}

int hn_reap_all(uint64_t deadline_ns)
{
    struct hn_process *list = calloc(LIST_MAX, sizeof *list);
    int left = -ENOMEM;
    while (list) {
        wait_for_the_dead();
        left = hn_process_descendants(getpid(), list, LIST_MAX);
        if (left <= 0 || hn_clock_ns() >= deadline_ns)
            break;
        for (int i = 0; i < left && i < LIST_MAX; i++)
            kill_with_group(&list[i]);
        await(&list[0], deadline_ns);
    }
    free(list);
    return left;
}
