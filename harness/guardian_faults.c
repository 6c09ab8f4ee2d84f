/* SPDX-License-Identifier: MIT */
/*
 * guardian_faults: limits and pressure, with their undo.
 *
 * An undo is written down before the fault is put in force; taking back what was not yet in force
 * does no harm. OOM kills are counted in the cgroup that was limited, and at once: the pool removes
 * a dead worker's cgroup soon after.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/guardian_inner.h"

#define COUNT_WAIT_NS (20 * HN_MS)

static struct hn_undo *register_undo(struct hn_faults *faults, enum hn_undo_kind kind,
                                     uint32_t step)
{
    for (int i = 0; i < HN_UNDOS_MAX; i++) {
        struct hn_undo *undo = &faults->list[i];
        if (undo->kind != HN_UNDO_NONE)
            continue;
        memset(undo, 0, sizeof *undo);
        undo->event_fd = -1;
        undo->step = step;
        undo->kind = kind;
        return undo;
    }
    return NULL;
}

/* ---- Memory ------------------------------------------------------------------------------------ */

/* v1 tells of an OOM through an eventfd. v2 need not: there the counter is hierarchical, and that of
 * the run's directory outlives the worker's. */
static int watch_oom(const char *cgroup)
{
    char path[HN_PATH_MAX + 32], text[64];
    snprintf(path, sizeof path, "%s/memory.oom_control", cgroup);
    int control = open(path, O_RDONLY | O_CLOEXEC);
    if (control < 0)
        return -1;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    snprintf(path, sizeof path, "%s/cgroup.event_control", cgroup);
    snprintf(text, sizeof text, "%d %d", fd, control);
    int out = open(path, O_WRONLY | O_CLOEXEC);
    if (out < 0 || write(out, text, strlen(text)) < 0) {
        close(fd);
        fd = -1;
    }
    if (out >= 0)
        close(out);
    close(control);
    return fd;
}

int hn_faults_limit_memory(struct hn_faults *faults, const struct hn_request *request)
{
    struct hn_undo *undo = register_undo(faults, HN_UNDO_MEMORY, request->step);
    if (!undo)
        return -ENOSPC;
    memcpy(undo->path, request->path, sizeof undo->path);
    int rc = hn_cgroup_memory_limit(undo->path, &undo->old_limit);
    if (rc == 0)
        rc = hn_cgroup_oom_kills(undo->path, &undo->kills_before);
    if (rc) {
        undo->kind = HN_UNDO_NONE;
        return rc;
    }
    undo->kills_seen = undo->kills_before;
    undo->event_fd = watch_oom(undo->path);
    return hn_cgroup_set_memory_limit(undo->path, request->number);
}

/*
 * The kernel tells of an OOM, then chooses the victim and counts it, then the victim dies: the
 * number follows within microseconds, long before the cgroup can be removed.
 */
static void count_oom(struct hn_faults *faults, struct hn_undo *undo)
{
    uint64_t told = 0, kills;
    uint64_t deadline_ns = hn_clock_ns() + COUNT_WAIT_NS;
    bool expected = undo->event_fd >= 0 && read(undo->event_fd, &told, sizeof told) > 0;
    while (hn_cgroup_oom_kills(undo->path, &kills) == 0) {
        if (kills > undo->kills_seen || !expected || hn_clock_ns() > deadline_ns) {
            undo->kills_seen = kills;
            snprintf(faults->world->oom_source, sizeof faults->world->oom_source,
                     "oom_kill of %.140s", undo->path);
            return;
        }
        sched_yield();
    }
}

/* ---- Processes --------------------------------------------------------------------------------- */

int hn_faults_limit_pids(struct hn_faults *faults, const struct hn_request *request)
{
    uint64_t limit = request->number;
    if (!faults->target_pids[0])
        return -ENOTSUP;
    struct hn_undo *undo = register_undo(faults, HN_UNDO_PIDS, request->step);
    if (!undo)
        return -ENOSPC;
    snprintf(undo->path, sizeof undo->path, "%s", faults->target_pids);
    if (limit == HN_PIDS_CURRENT && hn_cgroup_number(undo->path, "pids.current", NULL, &limit))
        return -ENOTSUP;
    return hn_cgroup_set_pids_limit(undo->path, limit);
}

/* ---- Pressure ---------------------------------------------------------------------------------- */

/* Returns when it can't. */
static void exec_stress(const struct hn_request *request)
{
    char cpu[16], vm[16], bytes[32];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    snprintf(cpu, sizeof cpu, "%u", request->cpu_workers);
    snprintf(vm, sizeof vm, "%u", request->vm_workers);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)request->number);
    char *arguments[] = {"stress-ng",   "--oomable", "--quiet", "--timeout", "600", "--cpu", cpu,
                         "--temp-path", "/tmp",      NULL,      NULL,        NULL,  NULL,    NULL};
    if (request->vm_workers) {
        arguments[9] = "--vm";
        arguments[10] = vm;
        arguments[11] = "--vm-bytes";
        arguments[12] = bytes;
    }
    execvp(arguments[0], arguments);
}

static _Noreturn void become_stress(const struct hn_undo *undo, const struct hn_request *request,
                                    int failed_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    hn_cgroups_enter(&undo->cgroups, getpid());
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    fcntl(failed_fd, F_SETFD, FD_CLOEXEC);
    exec_stress(request);
    if (write(failed_fd, "", 1) < 0)
        _exit(126);
    _exit(127);
}

/* A pipe that exec closes, with nothing in it, tells that stress-ng runs. */
static int start_stress(struct hn_undo *undo, const struct hn_request *request)
{
    int ends[2];
    ssize_t got = 0;
    char byte;
    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    undo->pid = fork();
    if (undo->pid == 0)
        become_stress(undo, request, ends[1]);
    int rc = undo->pid < 0 ? -errno : 0;
    close(ends[1]);
    while (rc == 0 && (got = read(ends[0], &byte, 1)) < 0 && errno == EINTR)
        ;
    close(ends[0]);
    return got ? -ENOEXEC : rc;
}

int hn_faults_press(struct hn_faults *faults, const struct hn_request *request)
{
    char name[64];
    struct hn_undo *undo = register_undo(faults, HN_UNDO_PRESSURE, request->step);
    if (!undo)
        return -ENOSPC;
    snprintf(name, sizeof name, "%.40s-pressure-%u", faults->name, request->step);
    hn_cgroups_make(&undo->cgroups, faults->judge, name);
    return start_stress(undo, request);
}

pid_t hn_faults_pressure_session(const struct hn_faults *faults, pid_t session)
{
    for (int i = 0; i < HN_UNDOS_MAX; i++)
        if (faults->list[i].kind == HN_UNDO_PRESSURE && faults->list[i].pid == session)
            return session;
    return 0;
}

/* ---- Undo -------------------------------------------------------------------------------------- */

/* 0; -ESRCH: it had ended before. */
static int undo_pressure(struct hn_undo *undo)
{
    struct hn_process now;
    bool lives = hn_process_look(undo->pid, &now) == 0 && now.session == undo->pid &&
                 now.state != 'Z';
    hn_cgroups_kill(&undo->cgroups);
    if (undo->pid > 0) {
        kill(-undo->pid, SIGKILL);
        while (waitpid(undo->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    hn_cgroups_remove(&undo->cgroups);
    return lives ? 0 : -ESRCH;
}

static int undo_one(struct hn_faults *faults, struct hn_undo *undo)
{
    int rc = 0;
    switch (undo->kind) {
    case HN_UNDO_NONE: return 0;
    case HN_UNDO_MEMORY:
        count_oom(faults, undo);
        faults->kills_undone += undo->kills_seen - undo->kills_before;
        hn_cgroup_set_memory_limit(undo->path, undo->old_limit); /* gone with its worker: fine */
        if (undo->event_fd >= 0)
            close(undo->event_fd);
        break;
    case HN_UNDO_PIDS: hn_cgroup_set_pids_limit(undo->path, UINT64_MAX); break;
    case HN_UNDO_PRESSURE: rc = undo_pressure(undo); break;
    }
    undo->kind = HN_UNDO_NONE;
    return rc;
}

int hn_faults_undo(struct hn_faults *faults, uint32_t step)
{
    int result = -ENOENT;
    for (int i = 0; i < HN_UNDOS_MAX; i++) {
        if (faults->list[i].kind == HN_UNDO_NONE || faults->list[i].step != step)
            continue;
        int rc = undo_one(faults, &faults->list[i]);
        if (rc || result == -ENOENT)
            result = rc;
    }
    return result;
}

void hn_faults_undo_all(struct hn_faults *faults)
{
    for (int i = 0; i < HN_UNDOS_MAX; i++)
        undo_one(faults, &faults->list[i]);
}

static uint64_t sum_kills(struct hn_faults *faults)
{
    uint64_t kills = faults->kills_undone;
    for (int i = 0; i < HN_UNDOS_MAX; i++) {
        struct hn_undo *undo = &faults->list[i];
        if (undo->kind != HN_UNDO_MEMORY)
            continue;
        count_oom(faults, undo);
        kills += undo->kills_seen - undo->kills_before;
    }
    return kills;
}

int hn_faults_count(struct hn_faults *faults)
{
    struct hn_world *world = faults->world;
    if (hn_cgroup_number(faults->pool, "memory.events", "oom_kill", &world->oom_kills) == 0)
        snprintf(world->oom_source, sizeof world->oom_source, "oom_kill of %.140s", faults->pool);
    else
        world->oom_kills = sum_kills(faults);
    if (!faults->target_pids[0])
        return 0;
    return hn_cgroup_pids_refused(faults->target_pids, &world->pids_refused);
}
