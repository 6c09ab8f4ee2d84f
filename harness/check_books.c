/* SPDX-License-Identifier: MIT */
/*
 * check_books: I2. The laws hold in each snapshot, no counter goes back, and when all is quiet the
 * pool's numbers are those that the target counted by itself.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "harness/check.h"
#include "harness/story.h"

static uint64_t sum(const uint64_t *list)
{
    uint64_t total = 0;
    for (int i = 0; i < LIBPOOL_CAUSES_MAX; i++)
        total += list[i];
    return total;
}

static void check_laws(const libpool_stats *now, struct hn_findings *findings)
{
    uint64_t tasks = now->tasks_pending + now->tasks_running + sum(now->tasks_ended);
    uint64_t workers = now->worker_processes_still_alive + sum(now->workers_ended);
    if (tasks != now->tasks_received)
        hn_findings_add(
            findings, HN_I2_BOOKS, "libpool_stats_read",
            "tasks_received = pending + running + ended",
            "%llu received; %llu pending + %llu running + %llu ended",
            (unsigned long long)now->tasks_received, (unsigned long long)now->tasks_pending,
            (unsigned long long)now->tasks_running, (unsigned long long)sum(now->tasks_ended));
    if (workers != now->worker_processes_created)
        hn_findings_add(findings, HN_I2_BOOKS, "libpool_stats_read",
                        "workers created = still alive + ended",
                        "%llu created; %llu alive + %llu ended",
                        (unsigned long long)now->worker_processes_created,
                        (unsigned long long)now->worker_processes_still_alive,
                        (unsigned long long)sum(now->workers_ended));
}

/* A sum may balance by what nobody can name. */
static void check_causes(const char *name, const uint64_t *list, struct hn_findings *findings)
{
    for (int i = 0; i < LIBPOOL_CAUSES_MAX; i++)
        if (list[i] && (i == LIBPOOL_PENDING || i >= LIBPOOL_CAUSES))
            hn_findings_add(findings, HN_I2_BOOKS, "libpool_stats_read",
                            "nothing ended by a cause that is none", "%s[%d] is %llu", name, i,
                            (unsigned long long)list[i]);
}

static void check_gauges(const libpool_stats *now, struct hn_findings *findings)
{
    uint64_t known = now->worker_processes_idle + now->worker_processes_busy;
    if (known > now->worker_processes_still_alive)
        hn_findings_add(findings, HN_I2_BOOKS, "libpool_stats_read", "idle + busy <= still alive",
                        "%llu idle + %llu busy of %llu alive",
                        (unsigned long long)now->worker_processes_idle,
                        (unsigned long long)now->worker_processes_busy,
                        (unsigned long long)now->worker_processes_still_alive);
    if (now->worker_processes_busy > now->max_workers_busy_concurrently)
        hn_findings_add(findings, HN_I2_BOOKS, "libpool_stats_read",
                        "busy <= max_workers_busy_concurrently", "%llu busy, %llu at most",
                        (unsigned long long)now->worker_processes_busy,
                        (unsigned long long)now->max_workers_busy_concurrently);
}

static void check_rise(const char *name, uint64_t before, uint64_t now,
                       struct hn_findings *findings)
{
    if (now < before)
        hn_findings_add(findings, HN_I2_BOOKS, "libpool_stats_read, twice", "no counter goes back",
                        "%s went from %llu to %llu", name, (unsigned long long)before,
                        (unsigned long long)now);
}

static const struct {
    const char *name;
    size_t offset;
} rising[] = {
#define COUNTER(name)                        \
    {                                        \
#name, offsetof(libpool_stats, name) \
    }
    COUNTER(tasks_received),
    COUNTER(tasks_launched),
    COUNTER(tasks_failed),
    COUNTER(tasks_rejected),
    COUNTER(tasks_returned),
    COUNTER(tasks_asked),
    COUNTER(tasks_retried),
    COUNTER(kinds_held),
    COUNTER(admission_pauses),
    COUNTER(worker_processes_created),
    COUNTER(max_workers_busy_concurrently),
    COUNTER(spawns_failed),
    COUNTER(initializers_failed),
    COUNTER(finalizers_started),
    COUNTER(finalizers_ok),
    COUNTER(finalizers_failed),
    COUNTER(zygotes_started),
    COUNTER(zygotes_lost),
    COUNTER(workers_outgrown),
#undef COUNTER
};

static uint64_t at(const libpool_stats *stats, size_t offset)
{
    return *(const uint64_t *)(const void *)((const char *)stats + offset);
}

void hn_check_books(const libpool_stats *before, const libpool_stats *now,
                    struct hn_findings *findings)
{
    check_laws(now, findings);
    check_causes("tasks_ended", now->tasks_ended, findings);
    check_causes("workers_ended", now->workers_ended, findings);
    check_gauges(now, findings);
    if (!before)
        return;
    for (size_t i = 0; i < sizeof rising / sizeof *rising; i++)
        check_rise(rising[i].name, at(before, rising[i].offset), at(now, rising[i].offset),
                   findings);
    for (int i = 0; i < LIBPOOL_CAUSES_MAX; i++) {
        check_rise("tasks_ended", before->tasks_ended[i], now->tasks_ended[i], findings);
        check_rise("workers_ended", before->workers_ended[i], now->workers_ended[i], findings);
    }
}

/* ---- Against our own count --------------------------------------------------------------------- */

struct own {
    uint64_t accepted, refused;
    uint64_t ended[LIBPOOL_CAUSES_MAX];
    uint64_t begun;   /* tasks that wrote a start */
    uint64_t retried; /* runs that were followed by another, by their events */
    /* Those that tasks have called: so many at most, and at least those of which a caller was told; and what
       clients that are gone have submitted: so many at most. */
    uint64_t called, told, told_as[LIBPOOL_CAUSES_MAX];
};

/* What has a number was the pool's. What nobody was told of may have been. */
static void count_remote(const struct hn_case *of, const struct hn_row *row, struct own *own)
{
    uint32_t state = atomic_load(&row->state);
    bool cancelled = of->unserved && row->cause == LIBPOOL_SHUTDOWN;
    bool told = state == HN_TASK_COLLECTED && (unsigned)row->cause < LIBPOOL_CAUSES_MAX;
    if (told && row->task_id) {
        own->accepted++;
        own->ended[cancelled ? LIBPOOL_CANCELLED : row->cause]++;
    } else if (state == HN_TASK_ABANDONED || (told && row->cause == LIBPOOL_LOST)) {
        own->called++;
    }
}

static void count_rows(const struct hn_case *of, struct own *own)
{
    const struct hn_world *world = of->world;
    uint32_t count = atomic_load(&world->tasks_count);
    for (uint32_t task = 0; task < count; task++) {
        const struct hn_row *row = &world->rows[task];
        uint32_t state = atomic_load(&row->state);
        if (row->group < of->groups_count && of->groups[row->group].client) {
            count_remote(of, row, own);
            continue;
        }
        if (state == HN_TASK_REFUSED && row->error != -ENOMEM)
            own->refused++;
        if (state == HN_TASK_ACCEPTED || state == HN_TASK_COLLECTED)
            own->accepted++;
        if (state == HN_TASK_COLLECTED && (unsigned)row->cause < LIBPOOL_CAUSES_MAX)
            own->ended[row->cause]++;
    }
}

static void count_starts(const struct hn_world *world, struct own *own)
{
    uint32_t count = atomic_load(&world->tasks_count);
    struct hn_stories *stories = hn_stories_read(world);
    for (uint32_t task = 0; stories && task < count && task < stories->count; task++) {
        own->begun += stories->list[task].starts > 0;
        own->retried += stories->list[task].retried;
    }
    hn_stories_free(stories);
}

static void count_calls(const struct hn_world *world, struct own *own)
{
    own->begun += atomic_load(&world->calls.begun);
    own->called += atomic_load(&world->calls.called);
    for (int cause = 0; cause < LIBPOOL_CAUSES_MAX; cause++)
        own->told += own->told_as[cause] = atomic_load(&world->calls.told[cause]);
}

/* What the pool counts beyond the target's own is what was called. */
static void compare_beyond(const char *name, uint64_t own, uint64_t least, uint64_t most,
                           uint64_t pool, struct hn_findings *findings)
{
    if (pool < own + least || pool > own + most)
        hn_findings_add(findings, HN_I2_BOOKS, "libpool_stats_read and the target's own count",
                        "the same",
                        "%s: the target counted %llu and %llu to %llu that tasks have "
                        "called, the pool says %llu",
                        name, (unsigned long long)own, (unsigned long long)least,
                        (unsigned long long)most, (unsigned long long)pool);
}

static void compare(const char *name, uint64_t own, uint64_t pool, struct hn_findings *findings)
{
    if (own != pool)
        hn_findings_add(findings, HN_I2_BOOKS, "libpool_stats_read and the target's own count",
                        "the same", "%s: the target counted %llu, the pool says %llu", name,
                        (unsigned long long)own, (unsigned long long)pool);
}

void hn_check_accounts(const struct hn_case *of, const libpool_stats *settled,
                       struct hn_findings *findings)
{
    struct own own = {0};
    uint64_t failed = 0, untold;
    count_rows(of, &own);
    count_starts(of->world, &own);
    count_calls(of->world, &own);
    untold = own.called - own.told;
    compare_beyond("tasks_received", own.accepted, own.told, own.called, settled->tasks_received,
                   findings);
    compare("tasks_rejected", own.refused, settled->tasks_rejected, findings);
    for (int cause = 1; cause < LIBPOOL_CAUSES; cause++) {
        char name[64];
        const char *word = libpool_cause_name((libpool_cause)cause);
        snprintf(name, sizeof name, "tasks ended as %s", word);
        compare_beyond(name, own.ended[cause], own.told_as[cause], own.told_as[cause] + untold,
                       settled->tasks_ended[cause], findings);
        if (cause != LIBPOOL_COMPLETED && cause != LIBPOOL_CANCELLED && cause != LIBPOOL_SHUTDOWN)
            failed += own.called ? settled->tasks_ended[cause] : own.ended[cause];
    }
    compare("tasks_failed", failed, settled->tasks_failed, findings);
    compare("tasks_retried", own.retried, settled->tasks_retried, findings);
    if (settled->tasks_launched < own.begun || settled->tasks_launched > settled->tasks_received)
        hn_findings_add(findings, HN_I2_BOOKS, "libpool_stats_read and the workers' own records",
                        "launched: all that began, of those received", "%llu launched, %llu began",
                        (unsigned long long)settled->tasks_launched, (unsigned long long)own.begun);
    if (settled->tasks_pending == 0 && settled->backlog_bytes)
        hn_findings_add(findings, HN_I2_BOOKS, "libpool_stats_read", "no bytes in an empty backlog",
                        "%llu", (unsigned long long)settled->backlog_bytes);
}
