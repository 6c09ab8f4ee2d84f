/* SPDX-License-Identifier: MIT */
/*
 * Scale: what a task costs as workers and backlog grow. Two cores do the work all the same, so that what
 * grows is only what the pool has to look through.
 *
 * A stream keeps 1,024 in flight; a lone task has all the workers to choose from. A backlog is filled
 * and drained, all of it in one priority or over all of them.
 */
#include <stdlib.h>

#include "window.h"

#define WINDOW 1024
#define ROUND_TRIPS_MAX 20000
#define MILLION 1000000
#define TIMES_ENDED_MAX 4096

static double us_per_task(double tasks_per_s)
{
    return 1e6 / tasks_per_s;
}

static void open_workers(struct bench_noops *noops, uint32_t workers, uint64_t in_flight)
{
    if (in_flight < workers)
        in_flight = workers; /* they meet in a task each */
    bench_noops_open(noops, (libpool_options){.min_workers = workers, .max_workers = workers},
                     in_flight);
}

/* ---- workers ------------------------------------------------------------------------------ */

static double lone_task_us(struct bench_noops *noops, uint64_t time_ns)
{
    struct bench_samples samples = bench_samples_new(ROUND_TRIPS_MAX);
    struct bench_window window;
    bench_window_open(&window, noops, 1);
    uint64_t until_ns = bench_now_ns() + time_ns, begun_ns;
    while ((begun_ns = bench_now_ns()) < until_ns) {
        bench_window_submit(&window);
        bench_window_take(&window);
        bench_sample(&samples, bench_now_ns() - begun_ns);
    }
    bench_window_close(&window);
    return bench_percentile_us(&samples, 50);
}

static void among(const struct bench_round *round, uint32_t workers, double *stream, double *lone)
{
    struct bench_noops noops;
    struct bench_window window;
    open_workers(&noops, workers, WINDOW);
    bench_window_open(&window, &noops, WINDOW);
    (void)bench_window_stream(&window, round->time_ns / 10, 0);
    *stream = us_per_task(bench_window_stream(&window, round->time_ns, 0));
    bench_window_close(&window);
    *lone = lone_task_us(&noops, round->time_ns / 2);
    bench_noops_close(&noops);
}

static void measure_workers(struct bench_round *round)
{
    static const uint32_t workers[] = {2, 10, 100, 1000};
    for (int i = 0; i < 4; i++)
        among(round, workers[i], &round->values[i], &round->values[4 + i]);
}

/* ---- backlog ------------------------------------------------------------------------------ */

static double with_pending(const struct bench_round *round, uint64_t pending)
{
    struct bench_noops noops;
    struct bench_window window;
    open_workers(&noops, 2, pending);
    bench_window_open(&window, &noops, pending);
    double rate = bench_window_stream(&window, round->time_ns, 0);
    bench_window_close(&window);
    bench_noops_close(&noops);
    return us_per_task(rate);
}

static void measure_pending(struct bench_round *round)
{
    round->values[0] = with_pending(round, 10);
    round->values[1] = with_pending(round, 1000);
    round->values[2] = with_pending(round, 100000);
}

/* Filled in all priorities at random, then drained. */
static double with_priorities(uint64_t pending)
{
    struct bench_noops noops;
    struct bench_window window;
    uint64_t state = 88172645463325252u;
    open_workers(&noops, 2, pending);
    bench_window_open(&window, &noops, pending);
    uint64_t begun_ns = bench_now_ns();
    for (uint64_t i = 0; i < pending; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        window.task.priority = (uint32_t)(state % LIBPOOL_PRIORITIES);
        bench_window_submit(&window);
    }
    for (uint64_t i = 0; i < pending; i++)
        bench_window_take(&window);
    uint64_t took_ns = bench_now_ns() - begun_ns;
    bench_window_close(&window);
    bench_noops_close(&noops);
    return (double)took_ns / 1000 / (double)pending;
}

static void measure_million(struct bench_round *round)
{
    round->values[0] = with_pending(round, MILLION);
    round->values[1] = with_priorities(MILLION);
}

/* ---- priorities --------------------------------------------------------------------------- */

static uint64_t *seen; /* how many had run when the urgent task did; shared with the workers */

static int look_around(libpool_worker *worker, const void *input, size_t input_size)
{
    *seen = bench_noops_run();
    return bench_noop(worker, input, input_size);
}

/* Others that ran between the submission of an urgent task and its start, of a full window. */
static uint64_t overtaken(struct bench_window *window)
{
    libpool_task urgent = {.function = look_around, .priority = 0};
    while (window->submitted - window->ended < window->size)
        bench_window_submit(window);
    uint64_t before = bench_noops_run();
    libpool_future *future = bench_submit(window->noops->pool, &urgent);
    window->noops->id_sum += bench_end(future, LIBPOOL_COMPLETED)->task_id;
    window->noops->submitted++;
    libpool_future_free(future);
    for (uint64_t i = 0; i < window->size / 2; i++)
        bench_window_take(window);
    return *seen - before;
}

static void measure_priority(struct bench_round *round)
{
    struct bench_samples samples = bench_samples_new(TIMES_ENDED_MAX);
    struct bench_noops noops;
    struct bench_window window;
    seen = bench_share(sizeof *seen);
    open_workers(&noops, 2, WINDOW);
    bench_window_open(&window, &noops, WINDOW);
    window.task.priority = 32;
    uint64_t until_ns = bench_now_ns() + round->time_ns;
    while (bench_now_ns() < until_ns)
        bench_sample(&samples, 1000 * overtaken(&window)); /* percentiles are in thousandths */
    while (window.ended < window.submitted)
        bench_window_take(&window);
    bench_window_close(&window);
    bench_noops_close(&noops);
    round->values[0] = bench_percentile_us(&samples, 50);
    round->values[1] = bench_percentile_us(&samples, 99);
}

BENCH(scale_workers, BENCH_POOL, measure_workers, {"task_2_workers_us", "us"},
      {"task_10_workers_us", "us"}, {"task_100_workers_us", "us"}, {"task_1000_workers_us", "us"},
      {"lone_task_2_workers_us", "us"}, {"lone_task_10_workers_us", "us"},
      {"lone_task_100_workers_us", "us"}, {"lone_task_1000_workers_us", "us"});
BENCH(scale_pending, BENCH_POOL, measure_pending, {"task_10_pending_us", "us"},
      {"task_1000_pending_us", "us"}, {"task_100000_pending_us", "us"});
BENCH_FULL(scale_million, BENCH_POOL, measure_million, {"task_1000000_pending_us", "us"},
           {"task_1000000_prioritised_us", "us"});
BENCH(priority, BENCH_POOL, measure_priority, {"priority_overtaken_p50", "tasks"},
      {"priority_overtaken_p99", "tasks"});
