/* SPDX-License-Identifier: MIT */
/*
 * Spawning: from a task that finds no worker to the answer of one that was forked for it.
 *
 * The pool keeps no idle worker for longer than a millisecond. Each sample waits until the last one is
 * reported dead, then submits. The floor is the same without a pool: a bare zygote, asked over a
 * socket, forks a child that answers in shared memory. And a thousand of them: all up, all killed.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nursery.h"
#include "pool.h"

#define LATE_MS 10000
#define CHILD_DONE 5
#define MANY 1000

struct crowd {
    _Atomic uint32_t busy, next, complete;
    pid_t pids[MANY];
};

static struct crowd *crowd; /* shared with the workers */

/* ---- the pool ----------------------------------------------------------------------------- */

static void await_exit(libpool *pool, pid_t pid)
{
    libpool_event event = {.size = sizeof event};
    do {
        int error = libpool_event_next(pool, &event, LATE_MS);
        bench_must(error == 0, "an idle worker has not left: %s", strerror(-error));
    } while (event.kind != LIBPOOL_EVENT_WORKER_EXITED || event.pid != pid);
    bench_must(event.cause == LIBPOOL_COMPLETED, "an idle worker left as %s",
               libpool_cause_name(event.cause));
}

static void measure_spawn(struct bench_round *round)
{
    struct bench_samples samples = bench_samples_new(round->samples);
    libpool *pool = bench_pool_open(
        (libpool_options){.max_workers = 1, .idle_timeout_ms = 1, .event_buffer = 1024});
    for (size_t i = 0; i < round->samples; i++) {
        uint64_t begun_ns = bench_now_ns();
        libpool_future *answer = bench_submit(pool, &(libpool_task){.function = bench_tell_pid});
        (void)bench_end(answer, LIBPOOL_COMPLETED);
        bench_sample(&samples, bench_now_ns() - begun_ns);
        await_exit(pool, bench_pid_of(answer));
    }
    bench_pool_close(pool, round->samples);
    round->values[0] = bench_percentile_us(&samples, 50);
    round->values[1] = bench_percentile_us(&samples, 90);
}

/* ---- a bare zygote ------------------------------------------------------------------------ */

static int answer_once(void *argument)
{
    _Atomic uint32_t *answered = argument;
    bench_raise(answered);
    return CHILD_DONE;
}

static void measure_zygote(struct bench_round *round)
{
    struct bench_samples samples = bench_samples_new(round->samples);
    struct bench_nursery nursery;
    _Atomic uint32_t *answered = bench_share(sizeof *answered);
    bench_nursery_open(&nursery, answer_once, answered);
    for (size_t i = 0; i < round->samples + 1; i++) {
        atomic_store(answered, 0);
        uint64_t begun_ns = bench_now_ns();
        bench_nursery_ask(&nursery, 1);
        bench_await(answered);
        if (i > 0)
            bench_sample(&samples, bench_now_ns() - begun_ns);
        bench_nursery_await(&nursery, 1);
    }
    bench_nursery_close(&nursery);
    round->values[0] = bench_percentile_us(&samples, 50);
}

/* ---- a thousand at once ------------------------------------------------------------------- */

static void await_ready(libpool *pool, size_t workers)
{
    libpool_event event = {.size = sizeof event};
    while (workers) {
        int error = libpool_event_next(pool, &event, LATE_MS);
        bench_must(error == 0, "%zu workers are not ready: %s", workers, strerror(-error));
        workers -= event.kind == LIBPOOL_EVENT_WORKER_READY;
    }
}

static int hang(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)worker, (void)input, (void)input_size;
    if (atomic_fetch_add(&crowd->busy, 1) + 1 == MANY)
        bench_raise(&crowd->complete);
    for (;;)
        (void)pause();
    return 0;
}

/* Up: ready, all of them. Killed: each with a task that would never end, and shutdown has returned. */
static void measure_many(struct bench_round *round)
{
    libpool *pool;
    libpool_options options = {.size = sizeof options,
                               .min_workers = MANY,
                               .max_workers = MANY,
                               .event_buffer = 8 * MANY,
                               .name = "bench"};
    crowd = bench_share(sizeof *crowd);
    uint64_t begun_ns = bench_now_ns();
    int error = libpool_open(&pool, &options);
    bench_must(error == 0, "libpool_open: %s", strerror(-error));
    await_ready(pool, MANY);
    round->values[0] = (double)(bench_now_ns() - begun_ns) / 1e6;
    for (int i = 0; i < MANY; i++)
        libpool_future_free(bench_submit(pool, &(libpool_task){.function = hang}));
    bench_await(&crowd->complete);
    begun_ns = bench_now_ns();
    error = libpool_shutdown(pool, LIBPOOL_WAIT | LIBPOOL_CANCEL, 0);
    round->values[1] = (double)(bench_now_ns() - begun_ns) / 1e6;
    bench_must(error == 0 || error == -ETIME, "libpool_shutdown: %s", strerror(-error));
    bench_must(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a process is left");
    libpool_close(pool);
}

static int stay(void *argument)
{
    (void)argument;
    crowd->pids[atomic_fetch_add(&crowd->next, 1)] = getpid();
    if (atomic_fetch_add(&crowd->busy, 1) + 1 == MANY)
        bench_raise(&crowd->complete);
    for (;;)
        (void)pause();
    return 0;
}

static void measure_many_bare(struct bench_round *round)
{
    struct bench_nursery nursery;
    crowd = bench_share(sizeof *crowd);
    bench_nursery_open(&nursery, stay, NULL);
    uint64_t begun_ns = bench_now_ns();
    bench_nursery_ask(&nursery, MANY);
    bench_await(&crowd->complete);
    round->values[0] = (double)(bench_now_ns() - begun_ns) / 1e6;
    begun_ns = bench_now_ns();
    for (int i = 0; i < MANY; i++)
        (void)kill(crowd->pids[i], SIGKILL);
    bench_nursery_await(&nursery, MANY);
    round->values[1] = (double)(bench_now_ns() - begun_ns) / 1e6;
    bench_nursery_close(&nursery);
}

BENCH(spawn, BENCH_POOL, measure_spawn, {"spawn_p50", "us"}, {"spawn_p90", "us"});
BENCH(floor_zygote, BENCH_FLOOR, measure_zygote, {"floor_zygote_answer_p50", "us"});
BENCH(workers_1000, BENCH_POOL, measure_many, {"workers_1000_up_ms", "ms"},
      {"workers_1000_killed_ms", "ms"});
BENCH(floor_1000, BENCH_FLOOR, measure_many_bare, {"floor_1000_up_ms", "ms"},
      {"floor_1000_killed_ms", "ms"});
