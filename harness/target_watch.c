/* SPDX-License-Identifier: MIT */
/* target_watch: the target's threads that watch its pool: events, numbers, strength. */
#include <errno.h>
#include <string.h>

#include "harness/check.h"
#include "harness/clock.h"
#include "harness/procfs.h"
#include "harness/target_inner.h"

#define SAMPLE_NS (2 * HN_MS)
#define STATS_BOUND_MS 500
#define OBSERVE_MS 50

/* ---- Events ----------------------------------------------------------------------------------- */

static void note_event(struct hn_target *target, const libpool_event *event)
{
    struct hn_record record = hn_record_of((enum hn_kind)(HN_POOL + (int)event->kind));
    record.time_ns = event->time_ns;
    record.pid = event->pid ? event->pid : HN_NOBODY;
    record.slot = event->slot;
    record.cause = (int32_t)event->cause;
    record.code = event->code;
    record.signal = event->signal;
    record.a = event->task_id;
    record.b = event->number;
    hn_sabotage_event(target->options->sabotage, &record);
    hn_history_append(&target->world->history, &record);
}

/* A worker's number may be another's before it is dead. The last place is the zygote's. */
static void replace_worker(struct hn_target *target, int32_t from, int32_t to)
{
    uint32_t place = 0;
    while (place < HN_PIDS_MAX - 1 && atomic_load(&target->pids[place]) != from)
        place++;
    if (place < HN_PIDS_MAX - 1)
        atomic_store(&target->pids[place], to);
}

/* Whom the pool holds for alive, as far as its events were read. */
static void note_process(struct hn_target *target, const libpool_event *event)
{
    if (event->kind == LIBPOOL_EVENT_ZYGOTE_STARTED)
        atomic_store(&target->pids[HN_PIDS_MAX - 1], event->pid);
    else if (event->kind == LIBPOOL_EVENT_ZYGOTE_LOST)
        atomic_store(&target->pids[HN_PIDS_MAX - 1], 0);
    else if (event->kind == LIBPOOL_EVENT_WORKER_SPAWNED)
        replace_worker(target, 0, event->pid);
    else if (event->kind == LIBPOOL_EVENT_WORKER_EXITED)
        replace_worker(target, event->pid, 0);
}

/* A gap is our own fault: we read too slowly, and the history is not to be judged. */
static void check_gap(struct hn_target *target, uint64_t last, uint64_t number)
{
    if (number != last + 1)
        hn_findings_add(&target->world->findings, HN_HARNESS, "libpool_event_next",
                        "numbers without a gap", "event %llu after %llu",
                        (unsigned long long)number, (unsigned long long)last);
}

static void check_end(struct hn_target *target, int rc)
{
    if (rc != -ETIMEDOUT && rc != -ESHUTDOWN)
        hn_findings_add(&target->world->findings, HN_I1_RESOLUTION, "libpool_event_next",
                        "an event, -ETIMEDOUT or -ESHUTDOWN", "%d", rc);
}

static void read_event(struct hn_target *target, const libpool_event *event)
{
    check_gap(target, target->events_read, event->number);
    target->events_read = event->number;
    note_event(target, event);
    note_process(target, event);
    if (event->kind == LIBPOOL_EVENT_INIT_FAILED)
        hn_outfit_init_failed(&target->options->outfit, ++target->init_failures);
}

/* The reader that stalls: so long it does something else. */
static bool look_away(struct hn_target *target, int timeout_ms)
{
    hn_futex_wait(&target->stopping, 0, hn_clock_ns() + (uint64_t)timeout_ms * HN_MS);
    return true;
}

static void complain_of_events(struct hn_target *target, const char *expected, uint64_t read,
                               uint64_t first, uint64_t last)
{
    hn_findings_add(&target->world->findings, HN_I2_BOOKS, "libpool_event_next, late", expected,
                    "%llu, from %llu to %llu", (unsigned long long)read, (unsigned long long)first,
                    (unsigned long long)last);
}

/*
 * What is kept for a reader that comes late are the newest ones, as many as there is room for, without a
 * gap; their numbers tell how many it missed. Each task alone has two: it was received, and has ended.
 */
static void read_kept(struct hn_target *target)
{
    libpool_event event = {.size = sizeof event};
    uint64_t room = target->options->event_buffer, read = 0, first = 0, last = 0;
    bool lies = target->options->sabotage == HN_SABOTAGE_LOSE_EVENT;
    while (libpool_event_next(target->pool, &event, 0) == 0) {
        if (lies && read == 1) {
            lies = false;
            continue;
        }
        if (read++ == 0)
            first = event.number;
        else if (event.number != last + 1)
            complain_of_events(target, "no gap between those that are kept", read, first,
                               event.number);
        last = event.number;
    }
    if (read != (last < room || !room ? last : room))
        complain_of_events(target, "as many as there is room for", read, first, last);
    if (last < target->accepted * 2)
        complain_of_events(target, "at least two for each task", read, first, last);
}

void hn_target_read_kept(struct hn_target *target)
{
    if (target->options->reader_stalls)
        read_kept(target);
    else
        hn_target_observe(target, 0);
}

bool hn_target_observe(struct hn_target *target, int timeout_ms)
{
    libpool_event event = {.size = sizeof event};
    int rc;
    if (target->options->reader_stalls)
        return look_away(target, timeout_ms);
    while ((rc = libpool_event_next(target->pool, &event, timeout_ms)) == 0)
        read_event(target, &event);
    check_end(target, rc);
    return rc == -ETIMEDOUT;
}

void *hn_target_observer(void *argument)
{
    struct hn_target *target = argument;
    while (!atomic_load(&target->stopping) && hn_target_observe(target, OBSERVE_MS))
        ;
    hn_target_read_kept(target);
    return NULL;
}

/* ---- Numbers ---------------------------------------------------------------------------------- */

static int read_stats(struct hn_target *target, libpool_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    stats->size = sizeof *stats;
    struct hn_timing timing = hn_call_begin(target, HN_CALL_STATS, STATS_BOUND_MS);
    int rc = libpool_stats_read(target->pool, stats);
    hn_call_end(&timing, rc, HN_NONE);
    return rc;
}

static void take_sample(struct hn_target *target, libpool_stats *last, bool *any)
{
    libpool_stats now;
    uint64_t time_ns = hn_clock_ns();
    int rc = read_stats(target, &now);
    if (rc) {
        hn_findings_add(&target->world->findings, HN_I2_BOOKS, "libpool_stats_read", "0", "%d", rc);
        return;
    }
    hn_sabotage_stats(target->options->sabotage, &now);
    hn_check_books(*any ? last : NULL, &now, &target->world->findings);
    hn_sample_write(&target->world->sample, &now, time_ns);
    *last = now;
    *any = true;
    hn_target_ring(target);
}

void *hn_target_sampler(void *argument)
{
    struct hn_target *target = argument;
    libpool_stats last;
    bool any = false;
    while (!atomic_load(&target->stopping)) {
        uint64_t next_ns = hn_clock_ns() + SAMPLE_NS;
        take_sample(target, &last, &any);
        hn_futex_wait(&target->stopping, 0, next_ns);
    }
    return NULL;
}

/* ---- Strength --------------------------------------------------------------------------------- */

static bool all_collected(const struct hn_world *world, uint32_t except)
{
    uint32_t count = atomic_load(&world->tasks_count);
    for (uint32_t task = 0; task < count; task++) {
        uint32_t state = atomic_load(&world->rows[task].state);
        if ((state == HN_TASK_OFFERED || state == HN_TASK_ACCEPTED) && task != except)
            return false;
    }
    return true;
}

bool hn_target_others_ended(struct hn_target *target, uint32_t task)
{
    pthread_mutex_lock(&target->lock);
    bool idle = target->loaded && target->submitting == 0;
    pthread_mutex_unlock(&target->lock);
    return idle && all_collected(target->world, task);
}

/* A pool that has not noticed a death yet looks settled: those it holds for alive have to live. */
static bool all_live(const struct hn_target *target, const libpool_stats *stats)
{
    uint64_t workers = 0;
    if (target->shut || target->options->reader_stalls)
        return true; /* nobody is held for alive, and no event tells that the zygote has left */
    for (uint32_t i = 0; i < HN_PIDS_MAX; i++) {
        struct hn_process process;
        int32_t pid = atomic_load(&target->pids[i]);
        if (pid && (hn_process_look(pid, &process) != 0 || process.state == 'Z'))
            return false;
        workers += pid && i != HN_PIDS_MAX - 1;
    }
    return workers == stats->worker_processes_still_alive;
}

/* Nothing under way, and as many workers as the pool keeps: surplus ones have had their idle time. */
static bool is_settled(const struct hn_target *target, const libpool_stats *stats)
{
    const libpool_options *options = &target->options->pool;
    if (stats->tasks_pending || stats->tasks_running)
        return false;
    if (target->shut)
        return stats->worker_processes_still_alive == 0;
    return stats->worker_processes_idle == stats->worker_processes_still_alive &&
           stats->worker_processes_still_alive == options->min_workers + options->spare_workers &&
           !stats->degraded;
}

static bool settles_now(struct hn_target *target, uint64_t since_ns)
{
    libpool_stats stats;
    uint64_t time_ns;
    if (!hn_sample_read(&target->world->sample, &stats, &time_ns) || time_ns < since_ns)
        return false;
    return hn_target_others_ended(target, HN_NONE) && hn_clients_are_settled(target) &&
           is_settled(target, &stats) && all_live(target, &stats);
}

int hn_target_settle(struct hn_target *target, uint64_t deadline_ns)
{
    uint64_t since_ns = hn_clock_ns();
    for (;;) {
        uint32_t tick = atomic_load(&target->tick);
        if (settles_now(target, since_ns))
            return 0;
        if (hn_futex_wait(&target->tick, tick, deadline_ns) == -ETIMEDOUT)
            return -ETIMEDOUT;
    }
}
