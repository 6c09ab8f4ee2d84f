/* SPDX-License-Identifier: MIT */
/* descend: see the header. Descendants end by SIGKILL only. */
#include "harness/descend.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STORM_RUNNERS 4
#define STORM_HOPS 100000 /* about half a minute: nothing may be left behind for ever */

static void announce(struct hn_history *history, const struct hn_order *order, pid_t worker)
{
    struct hn_record record = hn_record_of(HN_DESCENDANT);
    record.group = order->group;
    record.task = order->task;
    record.a = (uint64_t)worker;
    hn_history_append(history, &record);
}

static _Noreturn void live_for_ever(void)
{
    for (;;)
        pause();
}

static void block_all(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

/* The parent leaves at once and the child goes on, so the pid that a walk has seen is gone already. */
static _Noreturn void run_away(void)
{
    struct timespec breath = {.tv_nsec = 200000};
    for (int hop = 0; hop < STORM_HOPS; hop++) {
        pid_t pid = fork();
        if (pid > 0)
            _exit(0);
        nanosleep(&breath, NULL); /* sleeps: a hop each 200 us, not a full core */
    }
    live_for_ever();
}

static void hold_fds(void)
{
    for (int fd = 0; fd < 16; fd++)
        fcntl(fd, F_DUPFD, 32); /* one more holder of each, not CLOEXEC */
}

/* The descendant's own life. */
static _Noreturn void live(struct hn_history *history, const struct hn_order *order, pid_t worker)
{
    announce(history, order, worker);
    switch (order->what.style) {
    case HN_STYLE_PLAIN: break;
    case HN_STYLE_SETSID:
    case HN_STYLE_DOUBLE_FORK: setsid(); break;
    case HN_STYLE_HOLD_FDS: hold_fds(); break;
    case HN_STYLE_STORM: run_away();
    case HN_STYLE_IGNORE_TERM: block_all(); break;
    case HN_STYLES: break;
    }
    live_for_ever();
}

static int start_one(struct hn_history *history, const struct hn_order *order)
{
    pid_t worker = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        live(history, order, worker);
    return 0;
}

/* The child in between leaves: its own child is nobody's in this family. */
static int start_orphan(struct hn_history *history, const struct hn_order *order)
{
    pid_t worker = getpid();
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        pid_t orphan = fork();
        if (orphan == 0)
            live(history, order, worker);
        _exit(orphan < 0 ? 1 : 0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

int hn_descend(struct hn_history *history, const struct hn_order *order)
{
    int rc = 0;
    int count = order->what.style == HN_STYLE_STORM ? STORM_RUNNERS : 1;
    for (int i = 0; i < count && rc == 0; i++)
        rc = order->what.style == HN_STYLE_DOUBLE_FORK ? start_orphan(history, order)
                                                       : start_one(history, order);
    return rc;
}
