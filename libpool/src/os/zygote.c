/* SPDX-License-Identifier: MIT */
/*
 * The helper's side: one loop over the host's requests, the deaths of children and the host's own.
 *
 *     slot      what is true                                              left by
 *     VACANT    nothing of it lives; EMPTY was the last word              SPAWN
 *     LIVE      its worker is a child not reaped yet                      the worker's death: EXITED
 *     DYING     the worker is reaped; something of its tree may live      proof of emptiness: EMPTY
 *
 * Proof. When a worker has been reaped, the kernel has already given its children to the zygote.
 * So the tree is gone when the slot's cgroup is unpopulated, and when no orphan is left that came
 * with that death or later. When an orphan dies its own children land here, and the death wakes the
 * loop: so there is a fixpoint, and no timer. Nothing waits for one particular process.
 *
 * Nothing is allocated after the start, and nothing blocks but the one poll(). What the loop keeps is
 * not in the workers' copies: a page that is written to after a fork would be copied each time.
 */
#include "os/zygote_main.h"

#include "base/fd.h"
#include "os/cgroup.h"
#include "os/child.h"
#include "os/fds.h"
#include "os/lifeline.h"
#include "os/orphans.h"
#include "os/outbox.h"
#include "os/tree.h"
#include "os/weight.h"
#include "sys/sys.h"

#include <libpool.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS_PER_ROUND 64
#define SPARE_FDS 5
#define RECHECK_MS 20       /* where no descriptor tells of a change */
#define FAREWELL_ROUNDS 250 /* so often, for processes in our cgroup that are not our children */

enum slot_state {
    VACANT = 0,
    LIVE,
    DYING
};

struct slot {
    enum slot_state state;
    bool was_used;
    uint32_t generation;
    pid_t pid;
    uint64_t death;     /* DYING: the number of that death */
    uint64_t oom_kills; /* at birth; VACANT: when it was proven empty */
    int watch_fd;       /* DYING: tells when the cgroup empties; -1: nothing does */
    pid_t heir_pid;     /* a worker that an earlier zygote left here */
    int heir_fd;        /* its pidfd; -1: none, or it is known to be dead */
};

struct zygote {
    const struct lp_zygote_options *options;
    pid_t pid; /* its own */
    bool has_lifeline;
    struct lp_cgroup cgroup;
    struct lp_outbox outbox;
    struct lp_orphans orphans;
    struct lp_workers workers;
    struct slot *slots;
    int *fds; /* the socket, the host's pidfd, the doorbells */
    struct pollfd *polls;
    int sigchld_fd;
    int bell_fd; /* the doorbell of who is born next; -1: none came */
    uint32_t n_dying;
    uint64_t deaths;
    bool can_walk, leaving;
    bool must_recheck; /* something may change that no descriptor tells of */
    int farewell_rounds;
    int oom_score;    /* for the workers */
    int cgroup_error; /* why there is no directory in v2 */
};

enum {
    FD_SOCKET = 0,
    FD_HOST,
    FD_LIFELINE,
    FD_KILL,   /* places for the two directories that a worker enters, */
    FD_MEMORY, /* and for the doorbell of who is born next: see hold_places */
    FD_BELL,
    FD_HEIRS
};

static_assert(FD_HEIRS == LP_ZYGOTE_NUMBERS, "a number for each");

/* ---- Births ------------------------------------------------------------------------------ */

static uint64_t boot_time_ns(void)
{
    struct timespec now = {0};
    (void)lp_sys.clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void report_birth(struct zygote *zygote, uint32_t index, uint64_t born_from_ns)
{
    const struct slot *slot = &zygote->slots[index];
    const struct lp_report report = {.kind = LP_REPORT_SPAWNED,
                                     .slot = index,
                                     .generation = slot->generation,
                                     .pid = slot->pid,
                                     .born_from_ns = born_from_ns,
                                     .born_by_ns = boot_time_ns()};
    lp_outbox_put(&zygote->outbox, &report, lp_sys.pidfd_open(slot->pid));
    (void)lp_outbox_flush(&zygote->outbox,
                          zygote->fds[FD_SOCKET]); /* its pidfd is a descriptor less */
}

static void refuse(struct zygote *zygote, const struct lp_request *request, int error)
{
    const struct lp_report report = {.kind = LP_REPORT_SPAWN_FAILED,
                                     .slot = request->slot,
                                     .generation = request->generation,
                                     .error = error};
    lp_outbox_put(&zygote->outbox, &report, -1);
}

static struct lp_child_plan plan_child(const struct zygote *zygote,
                                       const struct lp_request *request)
{
    return (struct lp_child_plan){.options = zygote->options,
                                  .cgroup = &zygote->cgroup,
                                  .slot = request->slot,
                                  .number = request->number,
                                  .generation = request->generation,
                                  .makes_directories = !zygote->slots[request->slot].was_used &&
                                                       zygote->cgroup.limit_bytes == 0,
                                  .zygote_pid = zygote->pid,
                                  .oom_score = zygote->oom_score,
                                  .lifeline_fd = zygote->has_lifeline ? zygote->fds[FD_LIFELINE]
                                                                      : -1,
                                  .doorbell_fd = zygote->bell_fd};
}

static bool has_heir(struct slot *slot)
{
    struct pollfd death = {.fd = slot->heir_fd, .events = POLLIN};
    if (slot->heir_fd >= 0 && lp_sys.poll(&death, 1, 0) > 0)
        lp_fd_close(&slot->heir_fd);
    return slot->heir_fd >= 0;
}

static void kill_heir(struct slot *slot)
{
    if (has_heir(slot))
        lp_tree_kill_pinned(slot->heir_fd, slot->heir_pid);
}

static bool is_taken(struct zygote *zygote, uint32_t index)
{
    struct slot *slot = &zygote->slots[index];
    if (slot->state != VACANT || slot->was_used)
        return slot->state != VACANT;
    if (!has_heir(slot) &&
        (zygote->cgroup.is_new || !lp_cgroup_is_populated(&zygote->cgroup, index, -1)))
        return false;
    (void)lp_cgroup_kill(&zygote->cgroup, index); /* an unreported worker's: it goes, try again */
    return true;
}

/* A limit has to be there before the worker is; else it makes its directories by itself. */
static int open_slot(struct zygote *zygote, uint32_t index)
{
    struct slot *slot = &zygote->slots[index];
    int error = zygote->cgroup.limit_bytes ? lp_cgroup_prepare(&zygote->cgroup, index) : 0;
    if (!zygote->cgroup.is_new)
        slot->oom_kills = lp_cgroup_oom_kills(&zygote->cgroup, index);
    return error;
}

static int check(struct zygote *zygote, uint32_t index)
{
    if (is_taken(zygote, index))
        return -EBUSY;
    if (zygote->bell_fd < 0)
        return -EMFILE;
    return zygote->slots[index].was_used ? 0 : open_slot(zygote, index);
}

static void spawn(struct zygote *zygote, const struct lp_request *request)
{
    struct slot *slot = &zygote->slots[request->slot];
    int error = check(zygote, request->slot);
    if (error < 0) {
        refuse(zygote, request, error);
        return;
    }
    uint64_t oom_kills = slot->oom_kills, born_from_ns = boot_time_ns();
    const struct lp_child_plan plan = plan_child(zygote, request);
    pid_t pid = lp_sys.fork();
    if (pid == 0)
        lp_child_run(&plan);
    if (pid < 0) {
        refuse(zygote, request, pid);
        return;
    }
    *slot = (struct slot){.state = LIVE,
                          .was_used = true,
                          .generation = request->generation,
                          .pid = pid,
                          .oom_kills = oom_kills,
                          .watch_fd = -1,
                          .heir_fd = -1};
    struct lp_workers *workers = &zygote->workers;
    workers->pids[workers->n] = pid;
    workers->slots[workers->n++] = request->slot;
    report_birth(zygote, request->slot, born_from_ns);
}

/* ---- Deaths ------------------------------------------------------------------------------ */

static void start_dying(struct zygote *zygote, uint32_t index)
{
    struct slot *slot = &zygote->slots[index];
    slot->state = DYING;
    slot->pid = 0;
    slot->death = ++zygote->deaths;
    zygote->n_dying++;
    slot->watch_fd = -1;
}

static uint64_t microseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

static void report_exit(struct zygote *zygote, uint32_t index, int status,
                        const struct rusage *usage)
{
    const struct slot *slot = &zygote->slots[index];
    struct lp_report report = {.kind = LP_REPORT_EXITED,
                               .slot = index,
                               .generation = slot->generation,
                               .pid = slot->pid,
                               .user_us = microseconds(usage->ru_utime),
                               .system_us = microseconds(usage->ru_stime),
                               .max_rss_kib = (uint64_t)usage->ru_maxrss};
    if (WIFSIGNALED(status)) {
        report.signal = WTERMSIG(status);
        report.core_dumped = WCOREDUMP(status) != 0;
    } else {
        report.code = WEXITSTATUS(status);
    }
    uint64_t oom_kills = report.signal == SIGKILL ? lp_cgroup_oom_kills(&zygote->cgroup, index) : 0;
    report.oom_kills = oom_kills > slot->oom_kills ? oom_kills - slot->oom_kills : 0;
    lp_outbox_put(&zygote->outbox, &report, -1);
}

static void forget_worker(struct lp_workers *workers, size_t at)
{
    size_t behind = workers->n - at - 1;
    memmove(&workers->pids[at], &workers->pids[at + 1], behind * sizeof(workers->pids[0]));
    memmove(&workers->slots[at], &workers->slots[at + 1], behind * sizeof(workers->slots[0]));
    workers->n--;
}

static void bury(struct zygote *zygote, pid_t pid, int status, const struct rusage *usage)
{
    size_t at = 0;
    while (at < zygote->workers.n && zygote->workers.pids[at] != pid)
        at++;
    if (at == zygote->workers.n) {
        lp_orphans_reaped(&zygote->orphans, pid);
        return;
    }
    uint32_t index = zygote->workers.slots[at];
    forget_worker(&zygote->workers, at);
    report_exit(zygote, index, status, usage);
    start_dying(zygote, index);
}

/* Where children can't be listed, a dead worker's process group is better than nothing. */
static void kill_group(void)
{
    siginfo_t info = {.si_pid = 0};
    if (lp_sys.waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
        info.si_pid > 0)
        (void)lp_sys.kill(-info.si_pid, SIGKILL); /* not reaped: the number is not free */
}

static void reap_all(struct zygote *zygote)
{
    struct signalfd_siginfo unused;
    while (lp_sys.read(zygote->sigchld_fd, &unused, sizeof(unused)) > 0)
        continue;
    for (;;) {
        int status = 0;
        struct rusage usage = {0};
        if (!zygote->can_walk)
            kill_group();
        pid_t pid = lp_sys.wait4(-1, &status, __WALL | WNOHANG, &usage);
        if (pid == -EINTR)
            continue;
        if (pid <= 0)
            return;
        bury(zygote, pid, status, &usage);
    }
}

/* ---- Emptiness --------------------------------------------------------------------------- */

static bool is_in_cgroup(const void *context, pid_t pid)
{
    return lp_cgroup_holds(context, pid);
}

static void sweep(struct zygote *zygote)
{
    if (zygote->can_walk && (zygote->n_dying > 0 || zygote->orphans.n > 0 || zygote->leaving))
        lp_orphans_sweep(&zygote->orphans, &zygote->workers, zygote->deaths, is_in_cgroup,
                         &zygote->cgroup);
}

/* Kills what is there, and again what got in since, and sees to it that the end of it wakes the loop. */
static bool is_populated(struct zygote *zygote, uint32_t index)
{
    struct slot *slot = &zygote->slots[index];
    if (!lp_cgroup_is_populated(&zygote->cgroup, index, slot->watch_fd))
        return false;
    (void)lp_cgroup_kill(&zygote->cgroup, index);
    if (slot->watch_fd >= 0)
        return true;
    slot->watch_fd = lp_cgroup_watch(&zygote->cgroup, index);
    zygote->must_recheck |= slot->watch_fd < 0;
    return lp_cgroup_is_populated(&zygote->cgroup, index, slot->watch_fd);
}

static void report_empty(struct zygote *zygote, uint32_t index)
{
    const struct lp_report report = {
        .kind = LP_REPORT_EMPTY, .slot = index, .generation = zygote->slots[index].generation};
    lp_outbox_put(&zygote->outbox, &report, -1);
}

static void settle_slot(struct zygote *zygote, uint32_t index)
{
    struct slot *slot = &zygote->slots[index];
    if (is_populated(zygote, index) || has_heir(slot) ||
        lp_orphans_since(&zygote->orphans, slot->death))
        return;
    lp_fd_close(&slot->watch_fd);
    slot->state = VACANT;
    zygote->n_dying--;
    report_empty(zygote, index);
    slot->oom_kills = lp_cgroup_oom_kills(&zygote->cgroup, index);
}

static void settle(struct zygote *zygote)
{
    zygote->must_recheck = zygote->orphans.overflow;
    for (uint32_t i = 0; zygote->n_dying > 0 && i < zygote->options->slots; i++)
        if (zygote->slots[i].state == DYING)
            settle_slot(zygote, i);
}

/* ---- Requests ---------------------------------------------------------------------------- */

static void kill_worker(const struct zygote *zygote, uint32_t index)
{
    pid_t pid = zygote->slots[index].pid;
    bool is_told = lp_cgroup_kill(&zygote->cgroup, index);
    if (!is_told && zygote->can_walk)
        lp_tree_kill(pid);
    else /* it may not have entered its cgroup yet */
        (void)lp_sys.kill(pid, SIGKILL);
}

/* A slot that was never used here may hold what an earlier zygote left behind. */
static void kill_slot(struct zygote *zygote, const struct lp_request *request)
{
    struct slot *slot = &zygote->slots[request->slot];
    bool is_same = slot->generation == request->generation;
    if (slot->state == VACANT && slot->was_used && is_same &&
        !lp_cgroup_is_populated(&zygote->cgroup, request->slot, -1)) {
        report_empty(zygote, request->slot); /* proven already: the host missed it */
    } else if (slot->state == VACANT && (!slot->was_used || is_same)) {
        slot->generation = request->generation;
        slot->was_used = true;
        kill_heir(slot);
        start_dying(zygote, request->slot);
    } else if (slot->state == LIVE && slot->generation == request->generation) {
        kill_worker(zygote, request->slot);
    }
}

static void report_weight(struct zygote *zygote, const struct lp_request *request, uint64_t bytes)
{
    const struct lp_report report = {.kind = LP_REPORT_WEIGHED,
                                     .slot = request->slot,
                                     .generation = request->generation,
                                     .memory_bytes = bytes};
    lp_outbox_put(&zygote->outbox, &report, -1);
}

/* Exact when it is too much (weight.h). */
static uint64_t weigh(pid_t pid, uint64_t limit_bytes, uint64_t beside_bytes)
{
    uint64_t left_bytes = limit_bytes > beside_bytes ? limit_bytes - beside_bytes : 0;
    return lp_weight_tree(pid, left_bytes) + beside_bytes;
}

/* Where the kernel keeps the limit it has killed one of the tree, or all is well. */
static void weigh_slot(struct zygote *zygote, const struct lp_request *request)
{
    struct slot *slot = &zygote->slots[request->slot];
    bool is_own = slot->state == LIVE && slot->generation == request->generation;
    pid_t pid = is_own ? slot->pid : !slot->was_used && has_heir(slot) ? slot->heir_pid : 0;
    if (pid == 0)
        return;
    uint64_t kept_bytes = zygote->cgroup.limit_bytes;
    if (kept_bytes && is_own &&
        lp_cgroup_oom_kills(&zygote->cgroup, request->slot) > slot->oom_kills)
        kill_worker(zygote, request->slot);
    else if (kept_bytes && kept_bytes <= request->limit_bytes)
        report_weight(zygote, request, 0);
    else
        report_weight(zygote, request,
                      weigh(pid, request->limit_bytes, (uint64_t)request->number << 20));
}

static void leave(struct zygote *zygote)
{
    if (zygote->leaving)
        return;
    zygote->leaving = true;
    for (uint32_t i = 0; i < zygote->options->slots; i++) {
        kill_heir(&zygote->slots[i]);
        if (zygote->slots[i].state == LIVE)
            kill_worker(zygote, i);
    }
    (void)lp_cgroup_kill_all(&zygote->cgroup);
}

static void serve(struct zygote *zygote, const struct lp_request *request)
{
    bool is_slot = request->slot < zygote->options->slots;
    switch ((enum lp_request_kind)request->kind) {
    case LP_REQUEST_SPAWN:
        if (is_slot)
            spawn(zygote, request);
        else
            refuse(zygote, request, -EINVAL);
        break;
    case LP_REQUEST_KILL:
        if (is_slot)
            kill_slot(zygote, request);
        break;
    case LP_REQUEST_WEIGH:
        if (is_slot)
            weigh_slot(zygote, request);
        break;
    case LP_REQUEST_QUIT: leave(zygote); break;
    case LP_REQUEST_N: break;
    }
}

/* Onto the number that is held for it. Without one it stays where it is. */
static void take_bell(struct zygote *zygote, int fd)
{
    int place = zygote->fds[FD_BELL];
    zygote->bell_fd = fd;
    if (fd < 0 || place < 0 || lp_sys.dup_to(fd, place, O_CLOEXEC) < 0)
        return;
    lp_fd_close(&fd);
    zygote->bell_fd = place;
}

static void drop_bell(struct zygote *zygote)
{
    if (zygote->bell_fd != zygote->fds[FD_BELL])
        lp_fd_close(&zygote->bell_fd);
}

/* 1: one served; 0: none there; -EPIPE: the host has hung up. */
static int take_request(struct zygote *zygote)
{
    alignas(struct cmsghdr) char control[LP_FDS_CONTROL_BYTES];
    struct lp_request request;
    struct iovec part = {&request, sizeof(request)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t got = lp_sys.recvmsg(zygote->fds[FD_SOCKET], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got == -EAGAIN || got == -EINTR || got == -ENOMEM)
        return 0;
    if (got <= 0)
        return -EPIPE;
    take_bell(zygote, lp_fds_detach(&message));
    if (got == (ssize_t)sizeof(request))
        serve(zygote, &request);
    drop_bell(zygote);
    return 1;
}

static bool wants_request(const struct zygote *zygote)
{
    return !zygote->leaving && lp_outbox_has_room(&zygote->outbox, zygote->options->slots);
}

static void take_requests(struct zygote *zygote, int most)
{
    int taken = 1;
    for (int i = 0; i < most && taken == 1 && wants_request(zygote); i++)
        taken = take_request(zygote);
    if (taken == -EPIPE)
        leave(zygote);
}

/* ---- The loop ---------------------------------------------------------------------------- */

static void set_poll(struct pollfd *entry, int fd, int events)
{
    *entry = (struct pollfd){.fd = fd, .events = (short)events};
}

/* Sleeps until something happens. True when the host has died. */
static bool wait_for_news(struct zygote *zygote, bool is_stuffed)
{
    struct pollfd *polls = zygote->polls;
    nfds_t n = 0;
    int events = (wants_request(zygote) ? POLLIN : 0) | (is_stuffed ? POLLOUT : 0);
    set_poll(&polls[n++], zygote->leaving ? -1 : zygote->fds[FD_HOST], POLLIN);
    set_poll(&polls[n++], zygote->sigchld_fd, POLLIN);
    set_poll(&polls[n++], events != 0 ? zygote->fds[FD_SOCKET] : -1, events);
    for (uint32_t i = 0, left = zygote->n_dying; left > 0; i++) {
        if (zygote->slots[i].state != DYING)
            continue;
        left--;
        set_poll(&polls[n++], zygote->slots[i].watch_fd, POLLPRI);
        set_poll(&polls[n++], zygote->slots[i].heir_fd, POLLIN);
    }
    (void)lp_sys.poll(polls, n, zygote->must_recheck || zygote->leaving ? RECHECK_MS : -1);
    return (polls[0].revents & POLLIN) != 0;
}

/*
 * True when all is dead. Children that can be seen are waited for as long as it takes; what can't be
 * seen, or only is in our cgroup, has been killed and gets some time.
 */
static bool is_over(struct zygote *zygote)
{
    if (!zygote->leaving)
        return false;
    bool has_children = lp_tree_has_children();
    if (has_children && zygote->can_walk)
        return false;
    if (!has_children && !lp_cgroup_is_any_populated(&zygote->cgroup))
        return true;
    (void)lp_cgroup_kill_all(&zygote->cgroup);
    return ++zygote->farewell_rounds > FAREWELL_ROUNDS;
}

/* True when something is left that the socket does not take. */
static bool flush(struct zygote *zygote)
{
    int flushed = lp_outbox_flush(&zygote->outbox, zygote->fds[FD_SOCKET]);
    if (flushed == -EPIPE)
        leave(zygote);
    return flushed == -EAGAIN;
}

/*
 * A death is known to the host by its pidfd, and the replacement may have been asked for already: that one
 * comes before the news of how it died, but not all that is asked. For the proof nobody waits.
 */
static _Noreturn void run(struct zygote *zygote)
{
    for (;;) {
        reap_all(zygote); /* before a fork, so that no limit is met by the dead */
        take_requests(zygote, 1);
        (void)flush(zygote);
        take_requests(zygote, REQUESTS_PER_ROUND);
        sweep(zygote);
        settle(zygote);
        bool is_stuffed = flush(zygote);
        if (is_over(zygote))
            break;
        if (wait_for_news(zygote, is_stuffed))
            leave(zygote);
    }
    lp_cgroup_close(&zygote->cgroup, true);
    _exit(0);
}

/* ---- Start ------------------------------------------------------------------------------- */

static int allocate(struct zygote *zygote)
{
    size_t slots = zygote->options->slots;
    zygote->slots = lp_sys.map_own(slots * sizeof(zygote->slots[0]));
    zygote->fds = lp_sys.map_own((FD_HEIRS + slots) * sizeof(zygote->fds[0]));
    zygote->polls = lp_sys.map_own((SPARE_FDS + 2 * slots) * sizeof(zygote->polls[0]));
    zygote->workers.pids = lp_sys.map_own(slots * sizeof(zygote->workers.pids[0]));
    zygote->workers.slots = lp_sys.map_own(slots * sizeof(zygote->workers.slots[0]));
    if (zygote->slots == NULL || zygote->fds == NULL || zygote->polls == NULL ||
        zygote->workers.pids == NULL || zygote->workers.slots == NULL)
        return -ENOMEM;
    int error = lp_outbox_init(&zygote->outbox, zygote->options->slots);
    return error < 0 ? error : lp_orphans_init(&zygote->orphans, zygote->options->slots);
}

/*
 * A library that closes its descriptors in a forked child (pthread_atfork) does so in workers, too, by
 * number, long after they were closed here. So what a worker needs of its zygote stands on numbers that
 * nobody else in the host takes for his: its own from there, or what was free when all others were open.
 * A table that is full leaves none free: then it has to do without.
 *
 * Each fork copies the table as far as it goes, and each worker looks through it: as soon as all others are
 * closed what is left moves down to the pool's first numbers.
 */
static void hold_places(struct zygote *zygote, const struct lp_zygote_birth *birth)
{
    for (int i = FD_KILL; i <= FD_BELL; i++)
        zygote->fds[i] = lp_sys.dup_from(birth->host_pid_fd, LP_FDS_FIRST);
}

static void take_place(int place, int *fd)
{
    if (*fd < 0 || place < 0 || lp_sys.dup_to(*fd, place, O_CLOEXEC) < 0)
        return;
    lp_fd_close(fd);
    *fd = place;
}

static void move_down(struct zygote *zygote)
{
    for (int i = 0; i < FD_HEIRS; i++) {
        int number = zygote->options->numbers[i];
        if (number > STDERR_FILENO && number < zygote->fds[i])
            take_place(number, &zygote->fds[i]);
    }
}

static void leave_places(struct zygote *zygote)
{
    for (int i = FD_KILL; i <= FD_MEMORY; i++)
        if (zygote->fds[i] != zygote->cgroup.kill_fd && zygote->fds[i] != zygote->cgroup.memory_fd)
            lp_fd_close(&zygote->fds[i]);
}

/* All that it needs of the host's table; how many. */
static size_t gather_fds(struct zygote *zygote, const struct lp_zygote_birth *birth)
{
    const struct lp_zygote_options *options = zygote->options;
    size_t n = FD_HEIRS;
    zygote->fds[FD_SOCKET] = birth->socket_fd;
    zygote->fds[FD_HOST] = birth->host_pid_fd;
    zygote->has_lifeline = birth->lifeline_fd >= 0;
    zygote->fds[FD_LIFELINE] = zygote->has_lifeline
                                   ? birth->lifeline_fd
                                   : lp_sys.dup_from(birth->host_pid_fd, LP_FDS_FIRST);
    hold_places(zygote, birth);
    for (uint32_t i = 0; i < options->slots; i++)
        if (options->heir_fds != NULL && options->heir_fds[i] >= 0)
            zygote->fds[n++] = options->heir_fds[i];
    return n;
}

static int settle_fds(struct zygote *zygote, const struct lp_zygote_birth *birth)
{
    const struct lp_zygote_options *options = zygote->options;
    size_t n = gather_fds(zygote, birth);
    int error = lp_fds_lift(zygote->fds, n);
    if (error < 0)
        return error;
    lp_fds_settle_standard(options->keep_stdin);
    error = lp_fds_keep_in_place(zygote->fds, n);
    move_down(zygote);
    size_t heirs = FD_HEIRS;
    for (uint32_t i = 0; i < options->slots; i++) {
        struct slot *slot = &zygote->slots[i];
        bool is_heir = options->heir_fds != NULL && options->heir_fds[i] >= 0;
        slot->watch_fd = -1;
        slot->heir_fd = is_heir ? zygote->fds[heirs++] : -1;
        slot->heir_pid = is_heir ? options->heir_pids[i] : 0;
    }
    return error;
}

static int settle_signals(struct zygote *zygote)
{
    sigset_t all, sigchld;
    (void)sigfillset(&all);
    (void)lp_sys.signal_mask(SIG_SETMASK, &all, NULL);
    lp_child_reset_signals();
    (void)sigemptyset(&sigchld);
    (void)sigaddset(&sigchld, SIGCHLD);
    zygote->sigchld_fd = lp_sys.signalfd(&sigchld, SFD_CLOEXEC | SFD_NONBLOCK);
    return zygote->sigchld_fd < 0 ? zygote->sigchld_fd : 0;
}

static uint32_t memory_enforcement(const struct zygote *zygote)
{
    if (zygote->options->memory_limit_bytes == 0)
        return LIBPOOL_MEMORY_NONE;
    if (zygote->cgroup.limit_bytes == 0)
        return lp_weight_own() != 0 ? LIBPOOL_MEMORY_SAMPLED : LIBPOOL_MEMORY_NONE;
    return zygote->cgroup.evidence == LP_OOM_EVIDENCE_V2 ? LIBPOOL_MEMORY_CGROUP_V2
                                                         : LIBPOOL_MEMORY_CGROUP_V1;
}

static void say_hello(struct zygote *zygote)
{
    const struct lp_report report = {.kind = LP_REPORT_HELLO,
                                     .pid = getpid(),
                                     .error = zygote->cgroup_error,
                                     .containment = zygote->cgroup.kill_fd >= 0 ? 2 : 0,
                                     .oom_evidence = (uint32_t)zygote->cgroup.evidence,
                                     .memory_enforcement = memory_enforcement(zygote),
                                     .can_weigh = lp_weight_own() != 0};
    lp_outbox_put(&zygote->outbox, &report, -1);
}

/*
 * What it can't do without later on: a file of a cgroup or of /proc at a time, and a pidfd or two. And
 * what a successor will have to hold: an heir a slot. If this one may serve, so may the next.
 */
static int check_spare_fds(const struct zygote *zygote)
{
    uint32_t spares = SPARE_FDS, n = 0;
    for (uint32_t i = 0; i < zygote->options->slots; i++)
        spares += zygote->slots[i].heir_fd < 0;
    int fd = 0;
    while (n < spares && (fd = lp_sys.dup_from(zygote->sigchld_fd, 0)) >= 0)
        zygote->polls[n++].fd = fd;
    while (n > 0)
        lp_fd_close(&zygote->polls[--n].fd);
    return fd == -EINVAL ? -EMFILE : fd < 0 ? fd : 0; /* EINVAL: beyond the limit */
}

static int prepare(struct zygote *zygote, const struct lp_zygote_birth *birth)
{
    int error = allocate(zygote);
    if (error == 0)
        error = settle_fds(zygote, birth);
    if (error == 0)
        error = settle_signals(zygote);
    if (error < 0)
        return error;
    if (zygote->has_lifeline)
        lp_lifeline_arm_zygote(zygote->fds[FD_LIFELINE]);
    zygote->can_walk = lp_tree_can_walk();
    zygote->oom_score = lp_child_worse_oom_score();
    if (zygote->options->place != NULL)
        zygote->cgroup_error = lp_cgroup_open(&zygote->cgroup, zygote->options->place,
                                              zygote->options->memory_limit_bytes);
    take_place(zygote->fds[FD_KILL], &zygote->cgroup.kill_fd);
    take_place(zygote->fds[FD_MEMORY], &zygote->cgroup.memory_fd);
    leave_places(zygote);
    bool is_want = lp_cgroup_is_want(zygote->cgroup_error);
    return is_want ? zygote->cgroup_error : check_spare_fds(zygote);
}

/* A zygote that can't contain its workers is none; the host tries again, and says why it has to. */
_Noreturn void lp_zygote_give_up(int socket_fd, int error)
{
    struct lp_report report = {.kind = LP_REPORT_FAILED, .error = error};
    struct iovec part = {&report, sizeof(report)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    (void)lp_sys.sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    _exit(LP_CHILD_UNPREPARED);
}

static int socket_of(const struct zygote *zygote, const struct lp_zygote_birth *birth)
{
    bool is_settled = zygote->fds != NULL && zygote->fds[FD_SOCKET] > STDERR_FILENO;
    return is_settled ? zygote->fds[FD_SOCKET] : birth->socket_fd;
}

_Noreturn void lp_zygote_main(const struct lp_zygote_birth *birth)
{
    struct zygote zygote = {
        .options = birth->options, .pid = getpid(), .bell_fd = -1, .cgroup = LP_CGROUP_NULL};
    (void)lp_sys.register_rseq();
    (void)lp_sys.setsid();
    lp_child_set_name(birth->options->name, "zygote");
    (void)lp_sys.prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (birth->options->begin != NULL)
        birth->options->begin();
    int error = prepare(&zygote, birth);
    if (error < 0)
        lp_zygote_give_up(socket_of(&zygote, birth), error);
    say_hello(&zygote);
    run(&zygote);
}
