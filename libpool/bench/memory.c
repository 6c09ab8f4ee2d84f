/* SPDX-License-Identifier: MIT */
/*
 * Memory: what an idle worker costs, the mean of eight that have run one task.
 *
 * PSS counts a page that n processes share as a n-th, so the floor has the same family: a child of ours
 * that has forked eight, who wait. The kernel's own share (page tables, stack, slab: some 80 KiB
 * each) is in neither; private memory is what one more worker adds to the rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool.h"

#define WORKERS 8
#define DONE 3

static void mean_of(const pid_t pids[WORKERS], struct bench_round *round)
{
    round->values[0] = round->values[1] = 0;
    for (int i = 0; i < WORKERS; i++) {
        round->values[0] += bench_smaps_kib(pids[i], "Pss") / WORKERS;
        round->values[1] += bench_smaps_kib(pids[i], "Private_Dirty") / WORKERS;
    }
}

static void collect_pids(libpool *pool, pid_t pids[WORKERS])
{
    libpool_event event = {.size = sizeof event};
    for (int found = 0; found < WORKERS;) {
        int error = libpool_event_next(pool, &event, 0);
        bench_must(error == 0, "%d of %d workers are ready", found, WORKERS);
        if (event.kind == LIBPOOL_EVENT_WORKER_READY)
            pids[found++] = event.pid;
    }
}

static void measure_worker(struct bench_round *round)
{
    pid_t pids[WORKERS];
    libpool *pool = bench_pool_open(
        (libpool_options){.min_workers = WORKERS, .max_workers = WORKERS, .event_buffer = 256});
    collect_pids(pool, pids);
    mean_of(pids, round);
    bench_pool_close(pool, 0);
}

/* ---- bare children ------------------------------------------------------------------------ */

struct nest {
    pid_t pids[WORKERS];
    _Atomic uint32_t complete, over;
};

static int wait_for_the_end(void *argument)
{
    struct nest *nest = argument;
    bench_await(&nest->over);
    bench_futex_wake(&nest->over);
    return DONE;
}

static int fork_all(void *argument)
{
    struct nest *nest = argument;
    for (int i = 0; i < WORKERS; i++)
        nest->pids[i] = bench_fork(wait_for_the_end, nest);
    bench_raise(&nest->complete);
    for (int i = 0; i < WORKERS; i++)
        bench_reap(nest->pids[i], DONE);
    return DONE;
}

static void measure_forked(struct bench_round *round)
{
    struct nest *nest = bench_share(sizeof *nest);
    pid_t pid = bench_fork(fork_all, nest);
    bench_await(&nest->complete);
    mean_of(nest->pids, round);
    bench_raise(&nest->over);
    bench_reap(pid, DONE);
}

BENCH(idle_worker, BENCH_POOL, measure_worker, {"idle_worker_pss", "KiB"},
      {"idle_worker_private", "KiB"});
BENCH(floor_forked, BENCH_FLOOR, measure_forked, {"floor_forked_pss", "KiB"},
      {"floor_forked_private", "KiB"});
