/* SPDX-License-Identifier: MIT */
/*
 * No-op tasks: what handing over a task costs when the task itself costs nothing.
 *
 * Streams keep a window full; a window of two leaves each of the two workers one task. Round trips are
 * one task at a time: back to back, when the other side is still awake, and after a millisecond in
 * which everybody has gone to sleep. Where the scheduler puts the two sides decides more about a round
 * trip than any program does, so it is measured on one core and on two as well.
 */
#include <pthread.h>
#include <stdlib.h>

#include "window.h"

#define WORKERS 2
#define WINDOW 1024
#define BATCH 32
#define THREADS_MAX 64
#define ROUND_TRIPS_MAX 100000
#define WARM_UP 200
#define WARM_UP_ASLEEP 10

static void open_pool(struct bench_noops *noops)
{
    bench_noops_open(noops, (libpool_options){.min_workers = WORKERS, .max_workers = WORKERS},
                     WINDOW);
}

/* ---- streams ------------------------------------------------------------------------------ */

static double stream(const struct bench_round *round, uint64_t size, uint64_t batch,
                     uint64_t patience)
{
    struct bench_noops noops;
    struct bench_window window;
    open_pool(&noops);
    bench_window_open(&window, &noops, size);
    window.batch = batch;
    (void)bench_window_stream(&window, round->time_ns / 10, patience);
    double rate = bench_window_stream(&window, round->time_ns, patience);
    bench_window_close(&window);
    bench_noops_close(&noops);
    return rate;
}

static void measure_throughput(struct bench_round *round)
{
    round->values[0] = stream(round, WINDOW, 1, 0);
}

static void measure_batches(struct bench_round *round)
{
    round->values[0] = stream(round, WINDOW, BATCH, 0);
}

static void measure_patient(struct bench_round *round)
{
    round->values[0] = stream(round, WINDOW, 1, WINDOW / 2);
}

static void measure_throughput_2(struct bench_round *round)
{
    round->values[0] = stream(round, WORKERS, 1, 0);
}

/* ---- many submitting threads -------------------------------------------------------------- */

struct submitter {
    struct bench_window window;
    pthread_t thread;
    uint64_t time_ns;
};

static void *submit_all(void *argument)
{
    struct submitter *submitter = argument;
    (void)bench_window_stream(&submitter->window, submitter->time_ns, 0);
    return NULL;
}

/* Tasks a second of all threads together, from the first's start to the last's end. */
static double stream_threads(struct submitter *submitters, size_t count, uint64_t time_ns)
{
    uint64_t before = 0, after = 0, begun_ns = bench_now_ns();
    for (size_t i = 0; i < count; i++) {
        before += submitters[i].window.submitted;
        submitters[i].time_ns = time_ns;
        int error = pthread_create(&submitters[i].thread, NULL, submit_all, &submitters[i]);
        bench_must(error == 0, "no thread: error %d", error);
    }
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(submitters[i].thread, NULL);
        after += submitters[i].window.submitted;
    }
    return (double)(after - before) * 1e9 / (double)(bench_now_ns() - begun_ns);
}

static double measure_threads(const struct bench_round *round, size_t count)
{
    static struct submitter submitters[THREADS_MAX];
    struct bench_noops noops;
    open_pool(&noops);
    for (size_t i = 0; i < count; i++)
        bench_window_open(&submitters[i].window, &noops, WINDOW / count);
    (void)stream_threads(submitters, count, round->time_ns / 10);
    double rate = stream_threads(submitters, count, round->time_ns);
    for (size_t i = 0; i < count; i++)
        bench_window_close(&submitters[i].window);
    bench_noops_close(&noops);
    return rate;
}

static void measure_4_threads(struct bench_round *round)
{
    round->values[0] = measure_threads(round, 4);
}

static void measure_64_threads(struct bench_round *round)
{
    round->values[0] = measure_threads(round, 64);
}

/* ---- round trips -------------------------------------------------------------------------- */

static void round_trip(struct bench_window *window, uint64_t idle_ns, struct bench_samples *samples)
{
    if (idle_ns)
        bench_idle(idle_ns);
    uint64_t begun_ns = bench_now_ns();
    bench_window_submit(window);
    bench_window_take(window);
    if (samples)
        bench_sample(samples, bench_now_ns() - begun_ns);
}

static struct bench_samples round_trips(const struct bench_round *round, enum bench_place place,
                                        uint64_t idle_ns)
{
    struct bench_samples samples = bench_samples_new(ROUND_TRIPS_MAX);
    struct bench_noops noops;
    struct bench_window window;
    bench_place_others(place);
    open_pool(&noops);
    bench_place_client(place);
    bench_window_open(&window, &noops, 1);
    for (int i = 0; i < (idle_ns ? WARM_UP_ASLEEP : WARM_UP); i++)
        round_trip(&window, idle_ns, NULL);
    uint64_t until_ns = bench_now_ns() + round->time_ns;
    while (bench_now_ns() < until_ns)
        round_trip(&window, idle_ns, &samples);
    bench_window_close(&window);
    bench_noops_close(&noops);
    return samples;
}

static void measure_back_to_back(struct bench_round *round)
{
    struct bench_samples samples = round_trips(round, BENCH_ANYWHERE, 0);
    round->values[0] = bench_percentile_us(&samples, 50);
    round->values[1] = bench_percentile_us(&samples, 99);
}

static void measure_asleep(struct bench_round *round)
{
    struct bench_samples samples = round_trips(round, BENCH_ANYWHERE, BENCH_MS);
    round->values[0] = bench_percentile_us(&samples, 50);
    round->values[1] = bench_percentile_us(&samples, 99);
}

static void measure_one_core(struct bench_round *round)
{
    struct bench_samples awake = round_trips(round, BENCH_ONE_CORE, 0);
    struct bench_samples asleep = round_trips(round, BENCH_ONE_CORE, BENCH_MS);
    round->values[0] = bench_percentile_us(&awake, 50);
    round->values[1] = bench_percentile_us(&asleep, 50);
}

static void measure_two_cores(struct bench_round *round)
{
    struct bench_samples awake = round_trips(round, BENCH_TWO_CORES, 0);
    struct bench_samples asleep = round_trips(round, BENCH_TWO_CORES, BENCH_MS);
    round->values[0] = bench_percentile_us(&awake, 50);
    round->values[1] = bench_percentile_us(&asleep, 50);
}

BENCH(noop_throughput, BENCH_POOL, measure_throughput, {"noop_throughput", "tasks/s"});
BENCH(noop_batch, BENCH_POOL, measure_batches, {"noop_batch_throughput", "tasks/s"});
BENCH(noop_patient, BENCH_POOL, measure_patient, {"noop_patient_throughput", "tasks/s"});
BENCH(noop_throughput_2, BENCH_POOL, measure_throughput_2, {"noop_throughput_2", "tasks/s"});
BENCH(noop_4_threads, BENCH_POOL, measure_4_threads, {"noop_4_threads_throughput", "tasks/s"});
BENCH(noop_64_threads, BENCH_POOL, measure_64_threads, {"noop_64_threads_throughput", "tasks/s"});
BENCH(noop_roundtrip, BENCH_POOL, measure_back_to_back, {"noop_roundtrip_p50", "us"},
      {"noop_roundtrip_p99", "us"});
BENCH(noop_asleep, BENCH_POOL, measure_asleep, {"noop_asleep_p50", "us"},
      {"noop_asleep_p99", "us"});
BENCH(noop_one_core, BENCH_POOL, measure_one_core, {"noop_roundtrip_one_core_p50", "us"},
      {"noop_asleep_one_core_p50", "us"});
BENCH(noop_two_cores, BENCH_POOL, measure_two_cores, {"noop_roundtrip_two_cores_p50", "us"},
      {"noop_asleep_two_cores_p50", "us"});
