/* SPDX-License-Identifier: MIT */
/*
 * Floor: the round trip between two processes that both sleep in a futex.
 *
 * Left alone, the scheduler puts them on one core or on two, as it does with the pool, and the two
 * cost very different amounts; so both are measured pinned as well, to tell which one it was.
 */
#include <stdlib.h>

#include "bench.h"

#define STOP UINT32_MAX
#define STOPPED 3
#define ROUND_TRIPS_MAX 100000
#define WARM_UP 200
#define ANYWHERE SIZE_MAX

struct table {
    _Atomic uint32_t ping;
    char apart[60];
    _Atomic uint32_t pong;
    size_t cpu;
};

/* Sleeps at once, as long as the word has this value. */
static uint32_t await_other(_Atomic uint32_t *word, uint32_t value)
{
    uint32_t now;
    while ((now = atomic_load(word)) == value)
        bench_futex_wait(word, value);
    return now;
}

static void tell(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    bench_futex_wake(word);
}

static int answer(void *argument)
{
    struct table *table = argument;
    uint32_t heard = 0;
    if (table->cpu != ANYWHERE)
        bench_pin(table->cpu);
    while ((heard = await_other(&table->ping, heard)) != STOP)
        tell(&table->pong, heard);
    return STOPPED;
}

static struct bench_samples play(const struct bench_round *round, size_t own_cpu, size_t other_cpu)
{
    struct bench_samples samples = bench_samples_new(ROUND_TRIPS_MAX);
    struct table *table = bench_share(sizeof *table);
    table->cpu = other_cpu;
    if (own_cpu != ANYWHERE)
        bench_pin(own_cpu);
    pid_t pid = bench_fork(answer, table);
    uint64_t until_ns = bench_now_ns() + round->time_ns, begun_ns;
    for (uint32_t i = 1; (begun_ns = bench_now_ns()) < until_ns; i++) {
        tell(&table->ping, i);
        bench_must(await_other(&table->pong, i - 1) == i, "a ping was lost");
        if (i > WARM_UP)
            bench_sample(&samples, bench_now_ns() - begun_ns);
    }
    tell(&table->ping, STOP);
    bench_reap(pid, STOPPED);
    return samples;
}

static void measure_anywhere(struct bench_round *round)
{
    struct bench_samples samples = play(round, ANYWHERE, ANYWHERE);
    round->values[0] = bench_percentile_us(&samples, 50);
    round->values[1] = bench_percentile_us(&samples, 99);
}

static void measure_pinned(struct bench_round *round)
{
    size_t first = bench_cpu_first(), last = bench_cpu_last();
    struct bench_samples apart = play(round, first, last);
    struct bench_samples together = play(round, first, first);
    round->values[0] = bench_percentile_us(&together, 50);
    round->values[1] = bench_percentile_us(&apart, 50);
}

BENCH(floor_futex, BENCH_FLOOR, measure_anywhere, {"floor_futex_p50", "us"},
      {"floor_futex_p99", "us"});
BENCH(floor_futex_pinned, BENCH_FLOOR, measure_pinned, {"floor_futex_one_core_p50", "us"},
      {"floor_futex_two_cores_p50", "us"});
