/* SPDX-License-Identifier: MIT */
/*
 * pool: a live pool for one round. Opened when all its workers are up, closed when its books agree.
 */
#ifndef BENCH_POOL_H
#define BENCH_POOL_H

#include <libpool.h>

#include "bench.h"

/* size may be left 0. On return min_workers workers have met in a task. */
libpool *bench_pool_open(libpool_options options);
/* The round fails unless exactly so many tasks of the caller have ended as completed. */
void bench_pool_close(libpool *pool, uint64_t completed);

/* Any failure is the round's. */
libpool_future *bench_submit(libpool *pool, const libpool_task *task);
/* Waits until it has ended and is what it has to be. */
const libpool_result *bench_end(libpool_future *future, libpool_cause expected);

/* A task that replies with the pid of its worker, and the whole way there and back. */
int bench_tell_pid(libpool_worker *worker, const void *input, size_t input_size);
pid_t bench_pid_of(libpool_future *future); /* waits for such a task; frees it */

#endif
