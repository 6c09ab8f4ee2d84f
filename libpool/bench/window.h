/* SPDX-License-Identifier: MIT */
/*
 * window: no-op tasks in flight, and the proof that each has run, once.
 *
 * Every task adds its number to a line of its worker's own in shared memory. At the end the sums over all
 * lines are what the futures have told.
 */
#ifndef BENCH_WINDOW_H
#define BENCH_WINDOW_H

#include "pool.h"

struct bench_noops {
    libpool *pool;
    uint64_t submitted, id_sum; /* of windows that are closed */
};

/* Fields of options that are 0 get what fits so many in flight. */
void bench_noops_open(struct bench_noops *noops, libpool_options options, uint64_t in_flight);
/* The round fails unless all have run. */
void bench_noops_close(struct bench_noops *noops);

/* A no-op task that is counted. */
int bench_noop(libpool_worker *worker, const void *input, size_t input_size);
/* So many have run by now, or a few more. */
uint64_t bench_noops_run(void);

#define BENCH_BATCH_MAX 64

/* One thread's share. */
struct bench_window {
    struct bench_noops *noops;
    uint64_t size, submitted, ended, id_sum;
    libpool_future **futures;
    libpool_task task; /* what is submitted; a no-op of priority 0, to be changed at will */
    uint64_t batch;    /* submitted at once; 1, to be changed, too: size is a multiple of it */
};

void bench_window_open(struct bench_window *window, struct bench_noops *noops, uint64_t size);
void bench_window_close(struct bench_window *window); /* when it is empty; not thread-safe */

void bench_window_submit(struct bench_window *window); /* a batch: there is room for it */
void bench_window_take(struct bench_window *window);   /* waits for the oldest */

/* Tasks a second over about time_ns, with `patience` more to wait for before it submits again. */
double bench_window_stream(struct bench_window *window, uint64_t time_ns, uint64_t patience);

#endif
