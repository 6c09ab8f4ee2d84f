/* SPDX-License-Identifier: MIT */
/*
 * Recovery: from the SIGKILL of a busy worker to the first result of its replacement.
 *
 * A pool of one worker: the next task is already waiting when the worker is killed, so only a
 * replacement can answer it. Its floor is what has to happen one after the other: the kernel tells that
 * the killed one is dead (its pidfd), and a zygote forks another that answers (spawn.c).
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool.h"

#define DEATH_MS 10000

static _Atomic uint32_t *busy; /* set by the task that is about to be killed */

static void stay_for_ever(void)
{
    bench_raise(busy);
    for (;;)
        (void)pause();
}

static int hang(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)worker, (void)input, (void)input_size;
    stay_for_ever();
    return 0;
}

/* The pid of the replacement; its answer took *took_ns. */
static pid_t kill_one(libpool *pool, pid_t pid, uint64_t *took_ns)
{
    atomic_store(busy, 0);
    libpool_future *victim = bench_submit(pool, &(libpool_task){.function = hang});
    bench_await(busy);
    libpool_future *next = bench_submit(pool, &(libpool_task){.function = bench_tell_pid});
    int pid_fd = bench_pidfd(pid);
    uint64_t begun_ns = bench_now_ns();
    bench_pidfd_kill(pid_fd);
    (void)bench_end(next, LIBPOOL_COMPLETED);
    *took_ns = bench_now_ns() - begun_ns;
    (void)close(pid_fd);
    bench_must(bench_end(victim, LIBPOOL_KILLED)->pid == pid, "another worker was killed");
    libpool_future_free(victim);
    pid_t replacement = bench_pid_of(next);
    bench_must(replacement != pid, "a killed worker has answered");
    return replacement;
}

static void measure_recovery(struct bench_round *round)
{
    struct bench_samples samples = bench_samples_new(round->samples);
    busy = bench_share(sizeof *busy);
    libpool *pool = bench_pool_open((libpool_options){.min_workers = 1, .max_workers = 1});
    pid_t pid = bench_pid_of(bench_submit(pool, &(libpool_task){.function = bench_tell_pid}));
    for (size_t i = 0; i < round->samples; i++) {
        uint64_t took_ns;
        pid = kill_one(pool, pid, &took_ns);
        bench_sample(&samples, took_ns);
    }
    bench_pool_close(pool, round->samples + 1);
    round->values[0] = bench_percentile_us(&samples, 50);
    round->values[1] = bench_percentile_us(&samples, 90);
}

static int hang_alone(void *argument)
{
    (void)argument;
    stay_for_ever();
    return 0;
}

static uint64_t kill_child(void)
{
    atomic_store(busy, 0);
    pid_t pid = bench_fork(hang_alone, NULL);
    bench_await(busy);
    struct pollfd death = {.fd = bench_pidfd(pid), .events = POLLIN};
    uint64_t begun_ns = bench_now_ns();
    bench_pidfd_kill(death.fd);
    bench_must(poll(&death, 1, DEATH_MS) == 1, "a killed child lives on");
    uint64_t took_ns = bench_now_ns() - begun_ns;
    (void)close(death.fd);
    bench_kill(pid);
    return took_ns;
}

static void measure_death(struct bench_round *round)
{
    struct bench_samples samples = bench_samples_new(round->samples);
    busy = bench_share(sizeof *busy);
    for (size_t i = 0; i < round->samples; i++)
        bench_sample(&samples, kill_child());
    round->values[0] = bench_percentile_us(&samples, 50);
}

BENCH(recovery, BENCH_POOL, measure_recovery, {"recovery_p50", "us"}, {"recovery_p90", "us"});
BENCH(floor_death, BENCH_FLOOR, measure_death, {"floor_kill_to_pidfd_p50", "us"});
