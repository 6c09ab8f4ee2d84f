/* SPDX-License-Identifier: MIT */
/*
 * An idle pool: how often anybody wakes up in it, and how long it computes.
 *
 * Counted by the kernel for every thread of every process of the pool: a thread that waits without end
 * has no context switch. The thread that measures sleeps meanwhile and is not counted.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "window.h"

#define WORKERS 4
#define TASKS 100
#define EVENTS 1024
#define SETTLE_NS (300 * BENCH_MS)
#define WATCH_NS (2000 * BENCH_MS)
#define WATCH_QUICK_NS (300 * BENCH_MS)

struct activity {
    uint64_t switches, cpu_ns, threads;
};

/* The number behind this word in a file of /proc. */
static uint64_t field(const char *path, const char *word)
{
    char line[256];
    uint64_t value = 0;
    size_t length = strlen(word);
    FILE *file = fopen(path, "re");
    bench_must(file != NULL, "%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, file))
        if (strncmp(line, word, length) == 0)
            value = strtoull(line + length, NULL, 10);
    (void)fclose(file);
    return value;
}

static void count_thread(const char *task, struct activity *activity)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/status", task);
    activity->switches += field(path, "voluntary_ctxt_switches:") +
                          field(path, "nonvoluntary_ctxt_switches:");
    (void)snprintf(path, sizeof path, "%s/schedstat", task);
    activity->cpu_ns += field(path, "");
    activity->threads++;
}

static void count_process(pid_t pid, struct activity *activity)
{
    char path[64], task[96];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    bench_must(tasks != NULL, "%s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        (void)snprintf(task, sizeof task, "%s/%.20s", path, entry->d_name);
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != gettid())
            count_thread(task, activity);
    }
    (void)closedir(tasks);
}

struct family {
    pid_t pids[WORKERS + 2];
    size_t count;
};

/* Host, zygote and workers. The zygote is nobody's child in the host, so the pool is asked. */
static struct family find_family(libpool *pool)
{
    struct family family = {.pids = {getpid()}, .count = 1};
    libpool_event event = {.size = sizeof event};
    while (family.count < WORKERS + 2) {
        int error = libpool_event_next(pool, &event, 0);
        bench_must(error == 0, "only %zu processes of the pool are known", family.count);
        if (event.kind == LIBPOOL_EVENT_WORKER_READY || event.kind == LIBPOOL_EVENT_ZYGOTE_STARTED)
            family.pids[family.count++] = event.pid;
    }
    return family;
}

static struct activity activity_of(const struct family *family)
{
    struct activity activity = {0};
    for (size_t i = 0; i < family->count; i++)
        count_process(family->pids[i], &activity);
    return activity;
}

static void measure_idle(struct bench_round *round)
{
    struct bench_noops noops;
    struct bench_window window;
    uint64_t watch_ns = round->quick ? WATCH_QUICK_NS : WATCH_NS;
    bench_noops_open(
        &noops,
        (libpool_options){.min_workers = WORKERS, .max_workers = WORKERS, .event_buffer = EVENTS},
        TASKS);
    struct family family = find_family(noops.pool);
    struct activity begin = activity_of(&family);
    bench_window_open(&window, &noops, TASKS);
    for (int i = 0; i < TASKS; i++)
        bench_window_submit(&window);
    while (window.ended < window.submitted)
        bench_window_take(&window);
    bench_idle(SETTLE_NS);
    struct activity before = activity_of(&family);
    bench_must(before.switches > begin.switches, "not even tasks are seen to wake anybody");
    bench_idle(watch_ns);
    struct activity after = activity_of(&family);
    bench_must(after.threads == before.threads && after.threads >= family.count,
               "%llu threads, then %llu", (unsigned long long)before.threads,
               (unsigned long long)after.threads);
    bench_window_close(&window);
    bench_noops_close(&noops);
    round->values[0] = (double)(after.switches - before.switches) * 1e9 / (double)watch_ns;
    round->values[1] = (double)(after.cpu_ns - before.cpu_ns) * 1e6 / (double)watch_ns;
}

BENCH(idle_pool, BENCH_POOL, measure_idle, {"idle_wakeups", "Hz"}, {"idle_cpu", "ppm"});
