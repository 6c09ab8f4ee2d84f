/* SPDX-License-Identifier: MIT */
/* guardian: the process itself, and the judge's side of it; see the header. */
#include "harness/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/guardian_inner.h"
#include "harness/procfs.h"
#include "harness/reap.h"

#define ANSWER_NS (10 * HN_S)
#define KILL_NS (10 * HN_S)

/* The guardian's own state; it has this process for itself. */
struct guardian {
    const struct hn_guardian_options *options;
    struct hn_world *world;
    struct hn_cgroups cgroups;
    struct hn_faults faults;
    pid_t judge, target;
    int judge_fd, socket_fd, command_fd, signal_fd;
    int nice; /* the judge's, which the target has too */
    bool finished;
};

/* ---- The target -------------------------------------------------------------------------------- */

static _Noreturn void become_target(struct guardian *guardian, pid_t parent)
{
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    setpriority(PRIO_PROCESS, 0, guardian->nice);
    hn_cgroups_enter(&guardian->cgroups, getpid());
    close(guardian->judge_fd);
    close(guardian->socket_fd);
    close(guardian->signal_fd);
    exit(guardian->options->live(guardian->options->context, guardian->command_fd));
}

static void note_target_gone(struct guardian *guardian, int status)
{
    struct hn_record record = hn_record_of(HN_TARGET_GONE);
    record.pid = guardian->target;
    record.code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    record.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    guardian->target = 0;
    hn_history_append(&guardian->world->history, &record);
}

static void reap(struct guardian *guardian)
{
    pid_t pid;
    int status;
    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
        if (pid == guardian->target)
            note_target_gone(guardian, status);
}

static void hush_signals(struct guardian *guardian)
{
    struct signalfd_siginfo info;
    while (read(guardian->signal_fd, &info, sizeof info) > 0)
        ;
}

/* ---- The census -------------------------------------------------------------------------------- */

static bool is_expected(const struct guardian *guardian, const struct hn_process *process)
{
    return process->pid == guardian->target || process->pid == guardian->world->sentinel.pid ||
           hn_faults_pressure_session(&guardian->faults, process->session) != 0;
}

static void count_heads(struct guardian *guardian, struct hn_process *list, size_t max)
{
    struct hn_census *census = &guardian->world->census;
    int found = hn_process_descendants(getpid(), list, max);
    census->count = 0;
    census->error = found < 0 ? found : found > (int)max ? -E2BIG : 0;
    census->taken_ns = hn_clock_ns();
    for (int i = 0; i < found && i < (int)max; i++) {
        if (is_expected(guardian, &list[i]))
            continue;
        if (census->count < HN_CENSUS_MAX)
            census->list[census->count] = list[i];
        census->count++;
    }
}

/* Sleeps until the first one listed is dead or a child of ours has changed. */
static void await_death(struct guardian *guardian, pid_t pid, uint64_t deadline_ns)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd ends[2] = {{.fd = fd, .events = POLLIN},
                             {.fd = guardian->signal_fd, .events = POLLIN}};
    poll(ends, 2, hn_clock_left_ms(deadline_ns));
    hush_signals(guardian);
    if (fd >= 0)
        close(fd);
}

static int take_census(struct guardian *guardian, uint64_t deadline_ns)
{
    static struct hn_process list[4096];
    for (;;) {
        reap(guardian);
        count_heads(guardian, list, 4096);
        if (guardian->world->census.error)
            return guardian->world->census.error;
        if (guardian->world->census.count == 0)
            return 0;
        if (hn_clock_ns() >= deadline_ns)
            return -ETIMEDOUT;
        await_death(guardian, guardian->world->census.list[0].pid, deadline_ns);
    }
}

struct foreign {
    const struct hn_cgroups *own;
    int count;
    char *first;
    size_t size;
};

static void note_foreign(const char *path, void *context)
{
    struct foreign *foreign = context;
    if (strcmp(path, foreign->own->inside) == 0 || strcmp(path, foreign->own->pool) == 0)
        return;
    if (foreign->count++ == 0)
        snprintf(foreign->first, foreign->size, "%s", path);
}

static int list_foreign(struct guardian *guardian, char *first, size_t size)
{
    struct foreign foreign = {&guardian->cgroups, 0, first, size};
    for (int i = 0; i < HN_HIERARCHIES; i++) {
        const char *path = guardian->cgroups.path[i];
        int rc = path[0] ? hn_cgroup_each_below(path, note_foreign, &foreign) : 0;
        if (rc)
            return rc;
    }
    return foreign.count;
}

/* ---- Requests ---------------------------------------------------------------------------------- */

static int answer(struct guardian *guardian, const struct hn_request *request, char *text,
                  size_t size)
{
    switch ((enum hn_request_kind)request->kind) {
    case HN_REQUEST_MEMORY: return hn_faults_limit_memory(&guardian->faults, request);
    case HN_REQUEST_PIDS: return hn_faults_limit_pids(&guardian->faults, request);
    case HN_REQUEST_PRESSURE: return hn_faults_press(&guardian->faults, request);
    case HN_REQUEST_UNDO: return hn_faults_undo(&guardian->faults, request->step);
    case HN_REQUEST_COUNT: return hn_faults_count(&guardian->faults);
    case HN_REQUEST_CENSUS: return take_census(guardian, request->number);
    case HN_REQUEST_FOREIGN: return list_foreign(guardian, text, size);
    case HN_REQUEST_FINISH: guardian->finished = true; return 0;
    case HN_REQUESTS: break;
    }
    return -EINVAL;
}

static void serve(struct guardian *guardian)
{
    struct hn_request request;
    struct hn_answer reply = {0};
    ssize_t got = recv(guardian->socket_fd, &request, sizeof request, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got != (ssize_t)sizeof request) { /* the judge has let go of us */
        guardian->finished = true;
        return;
    }
    reply.code = answer(guardian, &request, reply.text, sizeof reply.text);
    send(guardian->socket_fd, &reply, sizeof reply, MSG_NOSIGNAL);
}

/* ---- Its life ---------------------------------------------------------------------------------- */

static void watch(struct guardian *guardian)
{
    struct pollfd ends[3 + HN_UNDOS_MAX] = {
        {.fd = guardian->judge_fd, .events = POLLIN},
        {.fd = guardian->socket_fd, .events = POLLIN},
        {.fd = guardian->signal_fd, .events = POLLIN},
    };
    for (int i = 0; i < HN_UNDOS_MAX; i++) {
        const struct hn_undo *undo = &guardian->faults.list[i];
        ends[3 + i].fd = undo->kind == HN_UNDO_MEMORY ? undo->event_fd : -1;
        ends[3 + i].events = POLLIN;
    }
    if (poll(ends, 3 + HN_UNDOS_MAX, -1) < 0)
        return;
    for (int i = 0; i < HN_UNDOS_MAX; i++)
        if (ends[3 + i].revents) /* first: these numbers vanish soon */
            hn_faults_count(&guardian->faults);
    hush_signals(guardian);
    reap(guardian);
    if (ends[0].revents)
        guardian->finished = true;
    if (ends[1].revents)
        serve(guardian);
}

/* How many processes and cgroups are left over. */
static int clean_up(struct guardian *guardian)
{
    hn_faults_undo_all(&guardian->faults);
    hn_cgroups_kill(&guardian->cgroups);
    int left = hn_reap_all(hn_clock_ns() + KILL_NS);
    int stay = hn_cgroups_remove(&guardian->cgroups);
    return (left > 0 ? left : 0) + stay;
}

/* Nothing from the terminal reaches it, and it notices OOM and deaths before they are swept up. */
static void stand_apart(struct guardian *guardian)
{
    sigset_t all, child;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
    guardian->signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "chaos:guardian");
    setpriority(PRIO_PROCESS, 0, -20); /* as root only; it computes next to nothing */
}

static int start_target(struct guardian *guardian)
{
    pid_t self = getpid();
    hn_cgroups_sweep(); /* what runs have left whose guardian was killed, too */
    hn_cgroups_make(&guardian->cgroups, guardian->judge, guardian->options->name);
    guardian->faults = (struct hn_faults){.world = guardian->world,
                                          .judge = guardian->judge,
                                          .name = guardian->options->name,
                                          .target_pids = hn_cgroups_pids(&guardian->cgroups),
                                          .pool = guardian->cgroups.pool};
    snprintf(guardian->world->pool_cgroup, sizeof guardian->world->pool_cgroup, "%s",
             guardian->cgroups.pool);
    pid_t pid = fork();
    if (pid == 0)
        become_target(guardian, self);
    guardian->target = pid;
    close(guardian->command_fd);
    return pid < 0 ? -errno : 0;
}

static int by_number(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

/* Whoever reads the judge's pipes must see them end with the judge, not with us. */
static void close_others(const struct guardian *guardian)
{
    int keep[] = {guardian->judge_fd, guardian->socket_fd, guardian->command_fd};
    unsigned from = STDERR_FILENO + 1;
    qsort(keep, 3, sizeof *keep, by_number);
    for (int i = 0; i < 3; i++) {
        if ((unsigned)keep[i] > from)
            close_range(from, (unsigned)keep[i] - 1, 0);
        from = (unsigned)keep[i] + 1;
    }
    close_range(from, ~0u, 0);
}

static _Noreturn void live(struct guardian *guardian)
{
    struct hn_answer hello = {0};
    close_others(guardian);
    stand_apart(guardian);
    hello.code = guardian->signal_fd < 0 ? -errno : start_target(guardian);
    send(guardian->socket_fd, &hello, sizeof hello, MSG_NOSIGNAL);
    while (hello.code == 0 && !guardian->finished)
        watch(guardian);
    int left = clean_up(guardian);
    _exit(left > 100 ? 100 : left);
}

/* ---- The judge's side -------------------------------------------------------------------------- */

static int await_answer(const struct hn_guardian *guardian, struct hn_answer *reply,
                        uint64_t deadline_ns)
{
    struct pollfd ends[2] = {{.fd = guardian->socket_fd, .events = POLLIN},
                             {.fd = guardian->pid_fd, .events = POLLIN}};
    for (;;) {
        int ready = poll(ends, 2, hn_clock_left_ms(deadline_ns));
        if (ready == 0)
            return -ETIMEDOUT;
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (recv(guardian->socket_fd, reply, sizeof *reply, MSG_DONTWAIT) == (ssize_t)sizeof *reply)
            return 0;
        if (ends[1].revents)
            return -EPIPE;
    }
}

static int ask(const struct hn_guardian *guardian, const struct hn_request *request,
               struct hn_answer *reply, uint64_t deadline_ns)
{
    if (send(guardian->socket_fd, request, sizeof *request, MSG_NOSIGNAL) < 0)
        return -errno;
    int rc = await_answer(guardian, reply, deadline_ns);
    return rc ? rc : reply->code;
}

static int ask_simply(const struct hn_guardian *guardian, const struct hn_request *request)
{
    struct hn_answer reply;
    return ask(guardian, request, &reply, hn_clock_ns() + ANSWER_NS);
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* In the judge, after the fork: the handle keeps its ends. */
static int adopt(struct hn_guardian *guardian, pid_t pid)
{
    struct hn_answer hello;
    guardian->pid = pid;
    guardian->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (guardian->pid_fd < 0)
        return -errno;
    int rc = await_answer(guardian, &hello, hn_clock_ns() + ANSWER_NS);
    return rc ? rc : hello.code;
}

int hn_guardian_start(struct hn_guardian *guardian, const struct hn_guardian_options *options)
{
    int requests[2] = {-1, -1}, commands[2] = {-1, -1};
    struct guardian inside = {.options = options,
                              .world = options->world,
                              .judge = getpid(),
                              .nice = getpriority(PRIO_PROCESS, 0)};
    *guardian = (struct hn_guardian){.pid_fd = -1, .socket_fd = -1, .command_fd = -1};
    snprintf(guardian->name, sizeof guardian->name, "%s", options->name);
    inside.judge_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (inside.judge_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, requests) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, commands)) {
        int error = -errno;
        close_all((int[]){inside.judge_fd, requests[0], requests[1]}, 3);
        return error;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close_all((int[]){requests[0], commands[0]}, 2);
        inside.socket_fd = requests[1];
        inside.command_fd = commands[1];
        live(&inside);
    }
    int error = pid < 0 ? -errno : 0;
    close_all((int[]){inside.judge_fd, requests[1], commands[1]}, 3);
    guardian->socket_fd = requests[0];
    guardian->command_fd = commands[0];
    if (error == 0)
        error = adopt(guardian, pid);
    if (error)
        hn_guardian_finish(guardian);
    return error;
}

int hn_guardian_limit_memory(const struct hn_guardian *guardian, uint32_t step, const char *cgroup,
                             uint64_t bytes)
{
    struct hn_request request = {.kind = HN_REQUEST_MEMORY, .step = step, .number = bytes};
    snprintf(request.path, sizeof request.path, "%s", cgroup);
    return ask_simply(guardian, &request);
}

int hn_guardian_limit_pids(const struct hn_guardian *guardian, uint32_t step, uint64_t processes)
{
    struct hn_request request = {.kind = HN_REQUEST_PIDS, .step = step, .number = processes};
    return ask_simply(guardian, &request);
}

int hn_guardian_press(const struct hn_guardian *guardian, uint32_t step, uint32_t cpu_workers,
                      uint32_t vm_workers, uint64_t vm_bytes)
{
    struct hn_request request = {.kind = HN_REQUEST_PRESSURE,
                                 .step = step,
                                 .number = vm_bytes,
                                 .cpu_workers = cpu_workers,
                                 .vm_workers = vm_workers};
    return ask_simply(guardian, &request);
}

int hn_guardian_undo(const struct hn_guardian *guardian, uint32_t step)
{
    struct hn_request request = {.kind = HN_REQUEST_UNDO, .step = step};
    return ask_simply(guardian, &request);
}

int hn_guardian_count(const struct hn_guardian *guardian)
{
    struct hn_request request = {.kind = HN_REQUEST_COUNT};
    return ask_simply(guardian, &request);
}

int hn_guardian_census(const struct hn_guardian *guardian, uint64_t deadline_ns)
{
    struct hn_answer reply;
    struct hn_request request = {.kind = HN_REQUEST_CENSUS, .number = deadline_ns};
    return ask(guardian, &request, &reply, deadline_ns + ANSWER_NS);
}

int hn_guardian_foreign_cgroups(const struct hn_guardian *guardian, char *first, size_t size)
{
    struct hn_answer reply = {0};
    struct hn_request request = {.kind = HN_REQUEST_FOREIGN};
    int rc = ask(guardian, &request, &reply, hn_clock_ns() + ANSWER_NS);
    snprintf(first, size, "%s", reply.text);
    return rc;
}

/* The guardian was killed. Its target has died with it; the cgroups are for us to remove. */
static void stand_in(const struct hn_guardian *guardian)
{
    struct hn_cgroups cgroups;
    hn_cgroups_find(&cgroups, getpid(), guardian->name);
    hn_cgroups_kill(&cgroups);
    hn_cgroups_remove(&cgroups);
}

int hn_guardian_finish(struct hn_guardian *guardian)
{
    int status = 0, left = -EPIPE;
    struct hn_request request = {.kind = HN_REQUEST_FINISH};
    if (guardian->socket_fd >= 0)
        send(guardian->socket_fd, &request, sizeof request, MSG_NOSIGNAL);
    while (guardian->pid > 0 && waitpid(guardian->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (guardian->pid > 0 && WIFEXITED(status))
        left = WEXITSTATUS(status);
    else if (guardian->pid > 0)
        stand_in(guardian);
    close_all((int[]){guardian->socket_fd, guardian->command_fd, guardian->pid_fd}, 3);
    *guardian = (struct hn_guardian){.pid_fd = -1, .socket_fd = -1, .command_fd = -1};
    return left;
}

bool hn_guardian_lives(const struct hn_guardian *guardian)
{
    struct pollfd end = {.fd = guardian->pid_fd, .events = POLLIN};
    return poll(&end, 1, 0) == 0;
}
