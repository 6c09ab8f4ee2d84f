/* SPDX-License-Identifier: MIT */
/*
 * No-op tasks: what handing over a task costs when the task itself costs nothing.
 *
 * Throughput keeps a window of futures: when it is full, the client waits for the oldest and takes
 * whatever else has ended by then. A window of two leaves each of the two workers one task; a window
 * of one is the round trip. Every task adds its number to a line of its worker's own in shared memory:
 * afterwards the sum over all lines proves that each has run, once.
 */
#include <stdalign.h>
#include <stdlib.h>

#include "pool.h"

#define WORKERS 2
#define SLOTS 8
#define WINDOW_MAX 1024
#define ROUND_TRIPS_MAX 100000
#define WARM_UP 200

struct tally {
    alignas(64) uint64_t tasks;
    uint64_t id_sum;
};

struct window {
    libpool *pool;
    uint64_t size, submitted, ended;
    uint64_t id_sum; /* as the futures tell it */
    libpool_future *futures[WINDOW_MAX];
};

static struct tally *tallies; /* one a slot; each is written by its worker only */

static int noop(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)input, (void)input_size;
    struct tally *tally = &tallies[libpool_worker_slot(worker)];
    tally->tasks++;
    tally->id_sum += libpool_worker_task_id(worker);
    return 0;
}

static void submit_next(struct window *window)
{
    window->futures[window->submitted++ % window->size] = bench_submit(
        window->pool, &(libpool_task){.function = noop});
}

static void take_oldest(struct window *window)
{
    libpool_future *oldest = window->futures[window->ended++ % window->size];
    window->id_sum += bench_end(oldest, LIBPOOL_COMPLETED)->task_id;
    libpool_future_free(oldest);
}

static void take_what_has_ended(struct window *window)
{
    while (window->ended < window->submitted &&
           libpool_future_result(window->futures[window->ended % window->size]))
        take_oldest(window);
}

static void open_window(struct window *window, uint64_t size)
{
    tallies = bench_share(SLOTS * sizeof *tallies);
    window->pool = bench_pool_open((libpool_options){
        .min_workers = WORKERS, .max_workers = WORKERS, .backlog_tasks = WINDOW_MAX});
    window->size = size;
}

static void close_window(struct window *window)
{
    uint64_t tasks = 0, id_sum = 0;
    bench_pool_close(window->pool, window->submitted);
    for (int slot = 0; slot < SLOTS; slot++) {
        tasks += tallies[slot].tasks;
        id_sum += tallies[slot].id_sum;
    }
    bench_must(tasks == window->submitted && id_sum == window->id_sum,
               "%llu tasks were submitted, %llu have run", (unsigned long long)window->submitted,
               (unsigned long long)tasks);
}

/* Tasks a second over about time_ns. */
static double stream(struct window *window, uint64_t time_ns)
{
    uint64_t before = window->submitted, begun_ns = bench_now_ns();
    while (bench_now_ns() - begun_ns < time_ns) {
        while (window->submitted - window->ended < window->size)
            submit_next(window);
        take_oldest(window);
        take_what_has_ended(window);
    }
    while (window->ended < window->submitted)
        take_oldest(window);
    return (double)(window->submitted - before) * 1e9 / (double)(bench_now_ns() - begun_ns);
}

static double measure_stream(const struct bench_round *round, uint64_t size)
{
    struct window *window = calloc(1, sizeof *window);
    bench_must(window != NULL, "no memory");
    open_window(window, size);
    (void)stream(window, round->time_ns / 10);
    double rate = stream(window, round->time_ns);
    close_window(window);
    return rate;
}

static void measure_throughput(struct bench_round *round)
{
    round->values[0] = measure_stream(round, WINDOW_MAX);
}

static void measure_throughput_2(struct bench_round *round)
{
    round->values[0] = measure_stream(round, 2);
}

static void round_trip(struct window *window)
{
    submit_next(window);
    take_oldest(window);
}

static void measure_round_trip(struct bench_round *round)
{
    struct window window = {.pool = NULL};
    struct bench_samples samples = bench_samples_new(ROUND_TRIPS_MAX);
    open_window(&window, 1);
    for (int i = 0; i < WARM_UP; i++)
        round_trip(&window);
    uint64_t until_ns = bench_now_ns() + round->time_ns, begun_ns;
    while ((begun_ns = bench_now_ns()) < until_ns) {
        round_trip(&window);
        bench_sample(&samples, bench_now_ns() - begun_ns);
    }
    close_window(&window);
    round->values[0] = bench_percentile_us(&samples, 50);
    round->values[1] = bench_percentile_us(&samples, 99);
}

BENCH(noop_throughput, BENCH_POOL, measure_throughput, {"noop_throughput", "tasks/s"});
BENCH(noop_throughput_2, BENCH_POOL, measure_throughput_2, {"noop_throughput_2", "tasks/s"});
BENCH(noop_roundtrip, BENCH_POOL, measure_round_trip, {"noop_roundtrip_p50", "us"},
      {"noop_roundtrip_p99", "us"});
