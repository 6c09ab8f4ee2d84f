/* SPDX-License-Identifier: MIT */
/* mix_books: what the pool says of itself, by numbers, text and events, at each moment and in the end. */
#include "harness/mix.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 32768

static uint64_t sum(const uint64_t *causes)
{
    uint64_t all = 0;
    for (int cause = 0; cause < LIBPOOL_CAUSES_MAX; cause++)
        all += causes[cause];
    return all;
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

#define COUNTER(field) offsetof(libpool_stats, field)

static const size_t counters[] = {
    COUNTER(tasks_received),  COUNTER(tasks_launched),
    COUNTER(tasks_failed),    COUNTER(tasks_rejected),
    COUNTER(tasks_returned),  COUNTER(worker_processes_created),
    COUNTER(spawns_failed),   COUNTER(max_workers_busy_concurrently),
    COUNTER(zygotes_started), COUNTER(initializers_failed),
    COUNTER(zygotes_lost),    COUNTER(finalizers_started),
    COUNTER(finalizers_ok),   COUNTER(finalizers_failed),
    COUNTER(tasks_asked),     COUNTER(workers_outgrown),
    COUNTER(generation),
};

static uint64_t value_at(const libpool_stats *stats, size_t offset)
{
    uint64_t value;
    memcpy(&value, (const char *)stats + offset, sizeof value);
    return value;
}

static void check_growth(struct hn_mix *mix, const libpool_stats *before, const libpool_stats *now)
{
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        HN_MIX_EXPECT(mix, value_at(before, counters[i]) <= value_at(now, counters[i]),
                      "a counter went back, at %zu of libpool_stats", counters[i]);
    for (int cause = 0; cause < LIBPOOL_CAUSES; cause++)
        HN_MIX_EXPECT(mix,
                      before->tasks_ended[cause] <= now->tasks_ended[cause] &&
                          before->workers_ended[cause] <= now->workers_ended[cause],
                      "fewer ended as %s than before", libpool_cause_name((libpool_cause)cause));
}

static void check_stats(struct hn_mix *mix, const libpool_stats *now)
{
    HN_MIX_EXPECT(
        mix, now->tasks_received == now->tasks_pending + now->tasks_running + sum(now->tasks_ended),
        "tasks: %llu received, %llu pending, %llu running, %llu ended",
        (unsigned long long)now->tasks_received, (unsigned long long)now->tasks_pending,
        (unsigned long long)now->tasks_running, (unsigned long long)sum(now->tasks_ended));
    HN_MIX_EXPECT(mix,
                  now->worker_processes_created ==
                      now->worker_processes_still_alive + sum(now->workers_ended),
                  "workers: %llu created, %llu alive, %llu ended",
                  (unsigned long long)now->worker_processes_created,
                  (unsigned long long)now->worker_processes_still_alive,
                  (unsigned long long)sum(now->workers_ended));
    HN_MIX_EXPECT(mix,
                  now->worker_processes_idle + now->worker_processes_busy <=
                          now->worker_processes_still_alive &&
                      now->worker_processes_outdated <= now->worker_processes_still_alive,
                  "workers: %llu alive, %llu idle, %llu busy, %llu outdated",
                  (unsigned long long)now->worker_processes_still_alive,
                  (unsigned long long)now->worker_processes_idle,
                  (unsigned long long)now->worker_processes_busy,
                  (unsigned long long)now->worker_processes_outdated);
    uint64_t harmless = now->tasks_ended[LIBPOOL_COMPLETED] + now->tasks_ended[LIBPOOL_CANCELLED] +
                        now->tasks_ended[LIBPOOL_SHUTDOWN];
    HN_MIX_EXPECT(mix, now->tasks_failed + harmless == sum(now->tasks_ended), "tasks: %llu failed",
                  (unsigned long long)now->tasks_failed);
    HN_MIX_EXPECT(mix,
                  now->tasks_launched <= now->tasks_received &&
                      !now->tasks_ended[LIBPOOL_PENDING] &&
                      now->tasks_pending <= mix->options.backlog_tasks + HN_MIX_WORKERS * 128,
                  "tasks: %llu launched, %llu pending", (unsigned long long)now->tasks_launched,
                  (unsigned long long)now->tasks_pending);
    HN_MIX_EXPECT(mix, now->finalizers_ok + now->finalizers_failed <= now->finalizers_started,
                  "finalizers");
}

static void check_histogram(struct hn_mix *mix, libpool_histogram_kind kind,
                            libpool_histogram *before)
{
    libpool_histogram now = {.size = sizeof now};
    uint64_t counted = 0;
    int code = libpool_histogram_read(mix->pool, kind, &now);
    bool shrunk = now.count < before->count || now.sum_ns < before->sum_ns ||
                  now.max_ns < before->max_ns;
    for (uint32_t i = 0; i < LIBPOOL_HISTOGRAM_BUCKETS; i++) {
        counted += now.buckets[i];
        shrunk |= now.buckets[i] < before->buckets[i];
    }
    HN_MIX_EXPECT(mix, code == 0 && counted == now.count && !shrunk,
                  "histogram %d: %d, %llu in buckets, %llu in all, %s", (int)kind, code,
                  (unsigned long long)counted, (unsigned long long)now.count,
                  shrunk ? "less than before" : "not less than before");
    HN_MIX_EXPECT(mix,
                  now.max_ns <= now.sum_ns && now.sum_ns <= now.max_ns * now.count &&
                      libpool_histogram_quantile(&now, 0.5) <= now.max_ns &&
                      libpool_histogram_quantile(&now, 1.0) == now.max_ns,
                  "histogram %d: %llu ns in all, %llu at most", (int)kind,
                  (unsigned long long)now.sum_ns, (unsigned long long)now.max_ns);
    *before = now;
}

void hn_mix_read_books(struct hn_mix_thread *thread)
{
    struct hn_mix *mix = thread->mix;
    libpool_stats before = {0};
    libpool_histogram times[LIBPOOL_HISTOGRAMS] = {{0}};
    while (!atomic_load(&mix->over)) {
        libpool_stats now = {.size = sizeof now};
        thread->doing = "stats";
        int code = libpool_stats_read(mix->pool, &now);
        HN_MIX_EXPECT(mix, code == 0, "stats_read returned %d", code);
        check_stats(mix, &now);
        check_growth(mix, &before, &now);
        before = now;
        thread->doing = "histograms";
        for (int kind = 0; kind < LIBPOOL_HISTOGRAMS; kind++)
            check_histogram(mix, (libpool_histogram_kind)kind, &times[kind]);
        hn_mix_pause(hn_mix_random(&thread->random, 1500));
    }
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static uint64_t field(struct hn_mix *mix, const char *text, const char *name)
{
    char key[64];
    (void)snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(text, key);
    HN_MIX_EXPECT(mix, at, "no %s in the text", name);
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static uint64_t all_of(struct hn_mix *mix, const char *text, const char *name)
{
    uint64_t all = 0;
    char key[64];
    (void)snprintf(key, sizeof key, "\"%s\":{", name);
    const char *at = strstr(text, key), *end = at ? strchr(at, '}') : NULL;
    HN_MIX_EXPECT(mix, end, "no %s in the text", name);
    for (at = end ? at + strlen(key) : NULL; at && at < end; at = strchr(at, ',')) {
        at = strchr(at, ':') + 1;
        all += strtoull(at, NULL, 10);
        if (end < strchr(at, ','))
            break;
    }
    return all;
}

static void check_json(struct hn_mix *mix, const char *text)
{
    uint64_t gauges = field(mix, text, "tasks_pending") + field(mix, text, "tasks_running");
    HN_MIX_EXPECT(mix,
                  field(mix, text, "tasks_received") == gauges + all_of(mix, text, "tasks_ended"),
                  "the text's tasks do not balance: %.400s", text);
    HN_MIX_EXPECT(mix,
                  field(mix, text, "worker_processes_created") ==
                      field(mix, text, "worker_processes_still_alive") +
                          all_of(mix, text, "workers_ended"),
                  "the text's workers do not balance: %.1600s", text);
}

void hn_mix_read_text(struct hn_mix_thread *thread)
{
    struct hn_mix *mix = thread->mix;
    static char text[TEXT_BYTES];
    while (!atomic_load(&mix->over)) {
        libpool_format format = (libpool_format)hn_mix_random(&thread->random, 2);
        size_t size = hn_mix_random(&thread->random, 2) ? sizeof text
                                                        : hn_mix_random(&thread->random, 3000);
        memset(text, 1, sizeof text);
        thread->doing = "stats_text";
        int64_t length = libpool_stats_text(mix->pool, format, text, size);
        size_t kept = size == 0 ? 0 : strnlen(text, sizeof text);
        bool whole = length > 0 && (size_t)length < size;
        HN_MIX_EXPECT(mix,
                      length > 0 && length < TEXT_BYTES && (size == 0 || kept < size) &&
                          (!whole || kept == (size_t)length),
                      "stats_text returned %lld of %zu, and wrote %zu", (long long)length, size,
                      kept);
        if (whole && format == LIBPOOL_FORMAT_JSON)
            check_json(mix, text);
        hn_mix_pause(hn_mix_random(&thread->random, 3000));
    }
}

/* ---- events -------------------------------------------------------------------------------------------- */

static void note_task(struct hn_mix *mix, const libpool_event *event)
{
    if (event->task_id == 0 || event->task_id >= HN_MIX_TASKS)
        return;
    struct hn_mix_entry *entry = &mix->entries[event->task_id];
    if (event->kind == LIBPOOL_EVENT_TASK_RECEIVED)
        entry->received++;
    if (event->kind != LIBPOOL_EVENT_TASK_ENDED)
        return;
    HN_MIX_EXPECT(mix, entry->received == 1 && entry->ended == 0,
                  "task %llu: received %d times and ended %d times before it ended",
                  (unsigned long long)event->task_id, entry->received, entry->ended);
    entry->ended++;
    entry->cause = (uint8_t)event->cause;
}

static void note_worker(struct hn_mix *mix, const libpool_event *event)
{
    uint32_t slots = sizeof mix->workers / sizeof *mix->workers, place = 0;
    bool spawned = event->kind == LIBPOOL_EVENT_WORKER_SPAWNED;
    HN_MIX_EXPECT(mix, event->slot < HN_MIX_WORKERS + HN_MIX_SPARE, "a worker in slot %u",
                  event->slot);
    while (place < slots && atomic_load(&mix->workers[place]) != (spawned ? 0 : event->pid))
        place++;
    HN_MIX_EXPECT(mix, place < slots, "worker %d is one too many, or unknown", event->pid);
    if (place < slots)
        atomic_store(&mix->workers[place], spawned ? event->pid : 0);
    mix->spawned += spawned;
    mix->exited += !spawned;
}

static void note(struct hn_mix *mix, const libpool_event *event)
{
    note_task(mix, event);
    if (event->kind == LIBPOOL_EVENT_WORKER_SPAWNED || event->kind == LIBPOOL_EVENT_WORKER_EXITED)
        note_worker(mix, event);
    if (event->kind == LIBPOOL_EVENT_ZYGOTE_STARTED)
        atomic_store(&mix->zygote, event->pid);
}

/* Until all is down: the last thread to leave. */
void hn_mix_read_events(struct hn_mix_thread *thread)
{
    struct hn_mix *mix = thread->mix;
    uint64_t last = 0;
    for (int code = 0; code == 0 || code == -ETIMEDOUT;) {
        libpool_event event = {.size = sizeof event};
        thread->doing = "event_next";
        code = libpool_event_next(mix->pool, &event, 20);
        HN_MIX_EXPECT(mix, code == 0 || code == -ETIMEDOUT || code == -ESHUTDOWN,
                      "event_next returned %d", code);
        if (code)
            continue;
        mix->events_missed += event.number - last - 1;
        last = event.number;
        note(mix, &event);
    }
}

/* ---- the end ------------------------------------------------------------------------------------------- */

static void audit_tasks(struct hn_mix *mix, const libpool_stats *stats)
{
    uint64_t causes[LIBPOOL_CAUSES_MAX] = {0};
    for (uint64_t id = 1; id <= stats->tasks_received && id < HN_MIX_TASKS; id++) {
        const struct hn_mix_entry *entry = &mix->entries[id];
        HN_MIX_EXPECT(mix, entry->received == 1 && entry->ended == 1,
                      "task %llu: received %d times, ended %d times", (unsigned long long)id,
                      entry->received, entry->ended);
        HN_MIX_EXPECT(mix, entry->judged == 0 || entry->judged == entry->cause,
                      "task %llu: its event says %s, its future %s", (unsigned long long)id,
                      libpool_cause_name((libpool_cause)entry->cause),
                      libpool_cause_name((libpool_cause)entry->judged));
        causes[entry->cause % LIBPOOL_CAUSES_MAX]++;
    }
    for (int cause = 0; cause < LIBPOOL_CAUSES && stats->tasks_received < HN_MIX_TASKS; cause++)
        HN_MIX_EXPECT(mix, causes[cause] == stats->tasks_ended[cause],
                      "%llu tasks ended as %s by their events, %llu by the numbers",
                      (unsigned long long)causes[cause], libpool_cause_name((libpool_cause)cause),
                      (unsigned long long)stats->tasks_ended[cause]);
}

void hn_mix_audit(struct hn_mix *mix, const libpool_stats *stats)
{
    uint64_t judged = 0;
    check_stats(mix, stats);
    HN_MIX_EXPECT(mix, mix->events_missed == 0, "%llu events were missed",
                  (unsigned long long)mix->events_missed);
    audit_tasks(mix, stats);
    for (int cause = 0; cause < LIBPOOL_CAUSES; cause++)
        judged += (uint64_t)mix->judged[cause];
    HN_MIX_EXPECT(mix,
                  stats->tasks_received == (uint64_t)mix->submitted &&
                      stats->tasks_received == judged + (uint64_t)mix->detached,
                  "%ld were submitted, %llu received, %llu judged and %ld let go", mix->submitted,
                  (unsigned long long)stats->tasks_received, (unsigned long long)judged,
                  mix->detached);
    HN_MIX_EXPECT(mix,
                  stats->backlog_bytes == 0 && stats->tasks_pending == 0 &&
                      stats->tasks_running == 0 &&
                      (mix->overran || stats->worker_processes_still_alive == 0),
                  "%llu workers alive, %llu bytes pending at the end",
                  (unsigned long long)stats->worker_processes_still_alive,
                  (unsigned long long)stats->backlog_bytes);
    HN_MIX_EXPECT(mix,
                  mix->spawned == stats->worker_processes_created && mix->exited <= mix->spawned &&
                      (mix->overran || mix->exited == mix->spawned),
                  "%llu workers by the numbers; %llu spawned, %llu exited by the events",
                  (unsigned long long)stats->worker_processes_created,
                  (unsigned long long)mix->spawned, (unsigned long long)mix->exited);
    HN_MIX_EXPECT(
        mix, mix->zygote_killed || stats->workers_ended[LIBPOOL_KILLED] <= (uint64_t)mix->kills,
        "%llu workers ended as killed, of %ld",
        (unsigned long long)stats->workers_ended[LIBPOOL_KILLED], mix->kills);
    HN_MIX_EXPECT(mix, !stats->workers_ended[LIBPOOL_CORRUPT] && !stats->initializers_failed,
                  "%llu workers wrote nonsense, %llu initializers failed",
                  (unsigned long long)stats->workers_ended[LIBPOOL_CORRUPT],
                  (unsigned long long)stats->initializers_failed);
}
