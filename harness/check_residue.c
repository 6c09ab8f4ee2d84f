/* SPDX-License-Identifier: MIT */
/* check_residue: I4, I8, I11. What is left, and what was disturbed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "harness/check.h"

/* ---- Processes --------------------------------------------------------------------------------- */

void hn_check_census(const struct hn_census *census, const char *when, struct hn_findings *findings)
{
    uint32_t shown = census->count < 3 ? census->count : 3;
    if (census->error || census->taken_ns == 0)
        hn_findings_add(findings, HN_HARNESS, "/proc below the guardian", "it can be read",
                        "%s: %s", when,
                        census->taken_ns ? strerror(-census->error) : "nobody looked");
    for (uint32_t i = 0; i < shown; i++) {
        const struct hn_process *process = &census->list[i];
        hn_findings_add(findings, HN_I4_RESIDUE, "/proc below the guardian", "nothing is alive",
                        "%u left %s: pid %d (%s), state %c, parent %d", census->count, when,
                        process->pid, process->name, process->state, process->parent);
    }
}

void hn_check_sentinel(const struct hn_process *sentinel, struct hn_findings *findings)
{
    struct hn_process now;
    uint64_t own = 0, shared = 0;
    if (hn_process_look(sentinel->pid, &now) || now.started != sentinel->started ||
        now.state == 'Z') {
        hn_findings_add(findings, HN_I8_OWN_PROCESSES, "the sentinel beside the application",
                        "it lives", "pid %d is gone", sentinel->pid);
        return;
    }
    if (hn_process_status(sentinel->pid, "SigPnd", 16, &own) ||
        hn_process_status(sentinel->pid, "ShdPnd", 16, &shared))
        hn_findings_add(findings, HN_HARNESS, "the sentinel's /proc/PID/status", "it can be read",
                        "it can't");
    if (own || shared || now.state == 'T')
        hn_findings_add(findings, HN_I8_OWN_PROCESSES, "the sentinel beside the application",
                        "no signal was sent to it", "state %c, pending %llx", now.state,
                        (unsigned long long)(own | shared));
}

/* ---- The application's own things -------------------------------------------------------------- */

static const struct hn_snapshot_fd *find_fd(const struct hn_snapshot *snapshot, int fd)
{
    for (uint32_t i = 0; i < snapshot->fds_count; i++)
        if (snapshot->fds[i].fd == fd)
            return &snapshot->fds[i];
    return NULL;
}

static void check_fds(const struct hn_snapshot *before, const struct hn_snapshot *after,
                      struct hn_findings *findings)
{
    for (uint32_t i = 0; i < after->fds_count; i++)
        if (!find_fd(before, after->fds[i].fd))
            hn_findings_add(findings, HN_I4_RESIDUE, "/proc/self/fd of the application",
                            "as before open", "fd %d (%s) is new", after->fds[i].fd,
                            after->fds[i].link);
    for (uint32_t i = 0; i < before->fds_count; i++) {
        const struct hn_snapshot_fd *was = &before->fds[i], *is = find_fd(after, was->fd);
        if (!is)
            hn_findings_add(findings, HN_I11_HOST, "/proc/self/fd of the application",
                            "as before open", "fd %d (%s) is gone", was->fd, was->link);
        else if (strcmp(is->link, was->link) != 0 || is->flags != was->flags ||
                 is->status_flags != was->status_flags)
            hn_findings_add(findings, HN_I11_HOST, "/proc/self/fd of the application",
                            "as before open", "fd %d was %.40s 0x%x 0x%x, is %.40s 0x%x 0x%x",
                            was->fd, was->link, (unsigned)was->flags, (unsigned)was->status_flags,
                            is->link, (unsigned)is->flags, (unsigned)is->status_flags);
    }
}

static uint32_t count_map(const struct hn_snapshot *snapshot, const char *name)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < snapshot->maps_count; i++)
        if (strcmp(snapshot->maps[i], name) == 0)
            count++;
    return count;
}

void hn_check_residue(const struct hn_snapshot *before, const struct hn_snapshot *after,
                      struct hn_findings *findings)
{
    if (before->error || after->error)
        hn_findings_add(findings, HN_HARNESS, "the application's snapshots", "all of it",
                        "before open: %s; after close: %s", strerror(-before->error),
                        strerror(-after->error));
    check_fds(before, after, findings);
    for (uint32_t i = 0; i < after->maps_count; i++)
        if (count_map(after, after->maps[i]) > count_map(before, after->maps[i]))
            hn_findings_add(findings, HN_I4_RESIDUE, "/proc/self/maps of the application",
                            "as before open", "%s is new", after->maps[i]);
    if (after->threads != before->threads)
        hn_findings_add(findings, HN_I4_RESIDUE, "/proc/self/status of the application",
                        "as many threads as before open", "%u, before %u", after->threads,
                        before->threads);
}

static void check_same(const char *what, uint64_t before, uint64_t after,
                       struct hn_findings *findings)
{
    if (before != after)
        hn_findings_add(findings, HN_I11_HOST, what, "as before open", "was %llx, is %llx",
                        (unsigned long long)before, (unsigned long long)after);
}

static void check_handlers(const struct hn_snapshot *before, const struct hn_snapshot *after,
                           struct hn_findings *findings)
{
    for (int i = 1; i < HN_SNAPSHOT_SIGNALS; i++) {
        char what[64];
        snprintf(what, sizeof what, "the disposition of signal %d", i);
        check_same(what, before->handlers[i], after->handlers[i], findings);
        check_same(what, (uint64_t)before->handler_flags[i], (uint64_t)after->handler_flags[i],
                   findings);
    }
}

static void check_text(const char *what, const char *before, const char *after,
                       struct hn_findings *findings)
{
    if (strcmp(before, after) != 0)
        hn_findings_add(findings, HN_I11_HOST, what, "as before open", "was %s, is %s", before,
                        after);
}

void hn_check_host(const struct hn_snapshot *before, const struct hn_snapshot *after,
                   struct hn_findings *findings)
{
    check_handlers(before, after, findings);
    check_same("the application's signal mask", before->blocked, after->blocked, findings);
    check_same("the application's pending signals", before->pending, after->pending, findings);
    check_same("its oom_score_adj", (uint64_t)before->oom_score_adj, (uint64_t)after->oom_score_adj,
               findings);
    check_same("its nice value", (uint64_t)before->nice, (uint64_t)after->nice, findings);
    check_same("its umask", before->umask, after->umask, findings);
    check_same("its dumpable flag", (uint64_t)before->dumpable, (uint64_t)after->dumpable,
               findings);
    check_same("its sub-reaper flag", (uint64_t)before->subreaper, (uint64_t)after->subreaper,
               findings);
    check_same("its death signal", (uint64_t)before->death_signal, (uint64_t)after->death_signal,
               findings);
    check_same("its RLIMIT_NOFILE", before->fd_limit, after->fd_limit, findings);
    check_same("its RLIMIT_CORE", before->core_limit, after->core_limit, findings);
    check_same("its RLIMIT_FSIZE", before->file_limit, after->file_limit, findings);
    check_text("its working directory", before->directory, after->directory, findings);
    check_text("its name", before->name, after->name, findings);
    if (after->children != -ECHILD)
        hn_findings_add(findings, HN_I11_HOST, "waitid(P_ALL) in the application", "no child", "%d",
                        after->children);
}
