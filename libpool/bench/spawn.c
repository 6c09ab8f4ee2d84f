/* SPDX-License-Identifier: MIT */
/*
 * Spawning: from a task that finds no worker to the answer of one that was forked for it.
 *
 * The pool keeps no idle worker for longer than a millisecond. Each sample waits until the last one is
 * reported dead, then submits. The floor is the same without a pool: a small process forked early,
 * asked over a socket, forks a child that answers in shared memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool.h"

#define LATE_MS 10000
#define CHILD_DONE 5
#define ZYGOTE_DONE 3

/* ---- the pool ----------------------------------------------------------------------------- */

static void await_exit(libpool *pool, pid_t pid)
{
    libpool_event event = {.number = 0};
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

struct nursery {
    int zygote_fd, client_fd;
    _Atomic uint32_t *answered;
};

static int answer_once(void *argument)
{
    struct nursery *nursery = argument;
    bench_raise(nursery->answered);
    return CHILD_DONE;
}

/* Forks one for each byte it is sent, and sends it back when that one is reaped. */
static int serve_forks(void *argument)
{
    struct nursery *nursery = argument;
    char byte;
    (void)close(nursery->client_fd);
    while (recv(nursery->zygote_fd, &byte, 1, 0) == 1) {
        bench_reap(bench_fork(answer_once, nursery), CHILD_DONE);
        (void)send(nursery->zygote_fd, &byte, 1, MSG_NOSIGNAL);
    }
    return ZYGOTE_DONE;
}

static uint64_t ask(const struct nursery *nursery)
{
    char byte = 1;
    atomic_store(nursery->answered, 0);
    uint64_t begun_ns = bench_now_ns();
    bench_must(send(nursery->client_fd, &byte, 1, MSG_NOSIGNAL) == 1, "send: %s", strerror(errno));
    bench_await(nursery->answered);
    uint64_t took_ns = bench_now_ns() - begun_ns;
    bench_must(recv(nursery->client_fd, &byte, 1, 0) == 1, "the bare zygote is gone");
    return took_ns;
}

static void measure_zygote(struct bench_round *round)
{
    struct bench_samples samples = bench_samples_new(round->samples);
    struct nursery nursery = {.answered = bench_share(sizeof *nursery.answered)};
    int ends[2];
    int error = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
    bench_must(error == 0, "socketpair: %s", strerror(errno));
    nursery.zygote_fd = ends[0];
    nursery.client_fd = ends[1];
    pid_t pid = bench_fork(serve_forks, &nursery);
    (void)close(nursery.zygote_fd);
    (void)ask(&nursery);
    for (size_t i = 0; i < round->samples; i++)
        bench_sample(&samples, ask(&nursery));
    (void)close(nursery.client_fd);
    bench_reap(pid, ZYGOTE_DONE);
    round->values[0] = bench_percentile_us(&samples, 50);
}

BENCH(spawn, BENCH_POOL, measure_spawn, {"spawn_p50", "us"}, {"spawn_p90", "us"});
BENCH(floor_zygote, BENCH_FLOOR, measure_zygote, {"floor_zygote_answer_p50", "us"});
