/* SPDX-License-Identifier: MIT */
/*
 * target_host: the kind of application that the pool finds itself in: its signal dispositions, its
 * limits, a thread that waits for everybody's children, a kernel without some calls.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/target_inner.h"

static _Atomic uint32_t sigchld_count;

static void count_sigchld(int number)
{
    (void)number;
    atomic_fetch_add(&sigchld_count, 1);
}

uint32_t hn_host_sigchld_count(void)
{
    return atomic_load(&sigchld_count);
}

static int dispose(int number, enum hn_disposition disposition)
{
    struct sigaction action = {0};
    switch (disposition) {
    case HN_DISPOSITION_DEFAULT: action.sa_handler = SIG_DFL; break;
    case HN_DISPOSITION_IGNORE: action.sa_handler = SIG_IGN; break;
    case HN_DISPOSITION_HANDLER: action.sa_handler = count_sigchld; break;
    case HN_DISPOSITIONS: return -EINVAL;
    }
    return sigaction(number, &action, NULL) ? -errno : 0;
}

static int limit_fds(uint32_t nofile)
{
    struct rlimit limit;
    if (nofile == 0)
        return 0;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return -errno;
    limit.rlim_cur = nofile < limit.rlim_max ? nofile : limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}

int hn_host_prepare(const struct hn_target_options *options)
{
    int rc = dispose(SIGCHLD, options->sigchld);
    if (rc == 0)
        rc = dispose(SIGPIPE, options->sigpipe);
    if (rc == 0)
        rc = limit_fds(options->nofile);
    if (rc == 0)
        rc = hn_deny(options->denials, options->denials_count);
    return rc;
}

/* ---- The sentinel ------------------------------------------------------------------------------ */

/*
 * Everything is blocked, so that a signal sent to it stays pending for the judge to see. It is to
 * die with the guardian: the death signal can be armed only when that is its parent.
 */
static _Noreturn void stand_guard(struct hn_world *world, int ready_fd, pid_t guardian)
{
    sigset_t all;
    while (getppid() != guardian && getppid() != 1)
        sched_yield();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guardian)
        _exit(1);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, "chaos:sentinel");
    hn_process_look(getpid(), &world->sentinel);
    close(ready_fd);
    for (;;)
        pause();
}

/*
 * A process beside the target, in its session and process group but not its child: what the pool
 * must never signal or wait for. Its parent becomes the guardian.
 */
int hn_host_post_sentinel(struct hn_world *world)
{
    int ends[2], status;
    char byte;
    pid_t guardian = getppid();
    if (pipe(ends))
        return -errno;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        pid_t sentinel = fork();
        if (sentinel == 0)
            stand_guard(world, ends[1], guardian);
        _exit(sentinel < 0);
    }
    int rc = pid < 0 ? -errno : 0;
    close(ends[1]);
    while (rc == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR) /* its end of file: it stands */
        ;
    close(ends[0]);
    return rc == 0 && world->sentinel.pid == 0 ? -EAGAIN : rc;
}

/* ---- The thief --------------------------------------------------------------------------------- */

/* An application that collects whatever child there is. The pool must leave it nothing. */
void *hn_host_thief(void *argument)
{
    struct hn_target *target = argument;
    while (!atomic_load(&target->stopping)) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0)
            hn_findings_add(&target->world->findings, HN_I11_HOST, "waitpid(-1) in the application",
                            "no child", "pid %d, status 0x%x", pid, (unsigned)status);
        hn_futex_wait(&target->stopping, 0, hn_clock_ns() + HN_MS);
    }
    return NULL;
}
