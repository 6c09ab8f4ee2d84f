/* SPDX-License-Identifier: MIT */
/*
 * When its window is full, the client waits for the oldest and takes whatever else has ended by then: a
 * program that wants each result as soon as it is there. A patient one waits for half of them.
 */
#include "window.h"

#include <stdalign.h>
#include <stdlib.h>

struct tally {
    alignas(64) _Atomic uint64_t tasks;
    _Atomic uint64_t id_sum;
};

static struct tally *tallies; /* one a slot; each is written by its worker only */
static size_t slots;

static void add(_Atomic uint64_t *sum, uint64_t value)
{
    uint64_t before = atomic_load_explicit(sum, memory_order_relaxed);
    atomic_store_explicit(sum, before + value, memory_order_relaxed);
}

int bench_noop(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)input, (void)input_size;
    struct tally *tally = &tallies[libpool_worker_slot(worker)];
    add(&tally->tasks, 1);
    add(&tally->id_sum, libpool_worker_task_id(worker));
    return 0;
}

uint64_t bench_noops_run(void)
{
    uint64_t tasks = 0;
    for (size_t i = 0; i < slots; i++)
        tasks += atomic_load_explicit(&tallies[i].tasks, memory_order_relaxed);
    return tasks;
}

void bench_noops_open(struct bench_noops *noops, libpool_options options, uint64_t in_flight)
{
    slots = options.max_workers + 2;
    tallies = bench_share(slots * sizeof *tallies);
    if (!options.backlog_tasks)
        options.backlog_tasks = (uint32_t)in_flight + 16;
    *noops = (struct bench_noops){.pool = bench_pool_open(options)};
}

void bench_noops_close(struct bench_noops *noops)
{
    uint64_t id_sum = 0;
    bench_pool_close(noops->pool, noops->submitted);
    for (size_t i = 0; i < slots; i++)
        id_sum += tallies[i].id_sum;
    bench_must(bench_noops_run() == noops->submitted && id_sum == noops->id_sum,
               "%llu tasks were submitted, %llu have run", (unsigned long long)noops->submitted,
               (unsigned long long)bench_noops_run());
}

/* ---- windows ------------------------------------------------------------------------------ */

void bench_window_open(struct bench_window *window, struct bench_noops *noops, uint64_t size)
{
    *window = (struct bench_window){.noops = noops,
                                    .size = size,
                                    .futures = calloc(size, sizeof(libpool_future *)),
                                    .task = {.function = bench_noop},
                                    .batch = 1};
    bench_must(window->futures != NULL, "no memory for a window of %llu", (unsigned long long)size);
}

void bench_window_close(struct bench_window *window)
{
    bench_must(window->ended == window->submitted, "a window is closed that is not empty");
    window->noops->submitted += window->submitted;
    window->noops->id_sum += window->id_sum;
    free(window->futures);
}

/* Newer than the first libpool that this measures. */
extern int64_t libpool_submit_many(libpool *pool, const libpool_task *tasks, size_t n,
                                   int timeout_ms, libpool_future **futures) __attribute__((weak));

/* Batches stand in a row: the window is a multiple of them. */
static void submit_batch(struct bench_window *window)
{
    libpool_task tasks[BENCH_BATCH_MAX];
    if (!libpool_submit_many)
        bench_lack("this libpool has no libpool_submit_many");
    bench_must(window->batch <= BENCH_BATCH_MAX, "the batch is too large");
    for (uint64_t i = 0; i < window->batch; i++) {
        tasks[i] = window->task;
        tasks[i].size = sizeof *tasks;
    }
    int64_t count = libpool_submit_many(window->noops->pool, tasks, window->batch, -1,
                                        &window->futures[window->submitted % window->size]);
    bench_must(count == (int64_t)window->batch, "libpool_submit_many: %lld", (long long)count);
    window->submitted += window->batch;
}

void bench_window_submit(struct bench_window *window)
{
    if (window->batch > 1) {
        submit_batch(window);
        return;
    }
    window->futures[window->submitted++ % window->size] = bench_submit(window->noops->pool,
                                                                       &window->task);
}

void bench_window_take(struct bench_window *window)
{
    libpool_future *oldest = window->futures[window->ended++ % window->size];
    window->id_sum += bench_end(oldest, LIBPOOL_COMPLETED)->task_id;
    libpool_future_free(oldest);
}

static void take_what_has_ended(struct bench_window *window)
{
    while (window->ended < window->submitted &&
           libpool_future_result(window->futures[window->ended % window->size]))
        bench_window_take(window);
}

double bench_window_stream(struct bench_window *window, uint64_t time_ns, uint64_t patience)
{
    uint64_t before = window->submitted, begun_ns = bench_now_ns();
    while (bench_now_ns() - begun_ns < time_ns) {
        while (window->submitted - window->ended + window->batch <= window->size)
            bench_window_submit(window);
        if (patience)
            (void)bench_end(window->futures[(window->ended + patience) % window->size],
                            LIBPOOL_COMPLETED);
        bench_window_take(window);
        take_what_has_ended(window);
    }
    while (window->ended < window->submitted)
        bench_window_take(window);
    return (double)(window->submitted - before) * 1e9 / (double)(bench_now_ns() - begun_ns);
}
