/* SPDX-License-Identifier: MIT */
/*
 * Warm-up is a meeting: one task for each worker, and none of them returns before all have come. After
 * it every worker has been forked, initialised and has run something, without any sleep or poll.
 */
#include "pool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LATE_MS 40000

struct meeting {
    _Atomic uint32_t arrived;
    uint32_t expected;
    _Atomic uint32_t complete;
};

static struct meeting *meeting; /* of this round's pool, shared with its workers */

static int meet(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)worker, (void)input, (void)input_size;
    if (atomic_fetch_add(&meeting->arrived, 1) + 1 == meeting->expected)
        bench_raise(&meeting->complete);
    bench_await(&meeting->complete);
    bench_futex_wake(&meeting->complete); /* the next one */
    return 0;
}

libpool_future *bench_submit(libpool *pool, const libpool_task *task)
{
    libpool_future *future = NULL;
    libpool_task sized = *task;
    sized.size = sizeof sized;
    int error = libpool_submit(pool, &sized, LATE_MS, &future);
    bench_must(error == 0, "libpool_submit: %s", strerror(-error));
    return future;
}

const libpool_result *bench_end(libpool_future *future, libpool_cause expected)
{
    int error = libpool_future_wait(future, LATE_MS);
    bench_must(error == 0, "a task has not ended after %d s: %s", LATE_MS / 1000, strerror(-error));
    const libpool_result *result = libpool_future_result(future);
    bench_must(result->cause == expected, "a task ended as %s, not as %s: %.120s",
               libpool_cause_name(result->cause), libpool_cause_name(expected), result->text);
    return result;
}

static void hold_meeting(libpool *pool, uint32_t workers)
{
    libpool_future **futures = calloc(workers + 1, sizeof(libpool_future *));
    bench_must(futures != NULL, "no memory for %u futures", workers);
    meeting->expected = workers;
    for (uint32_t i = 0; i < workers; i++)
        futures[i] = bench_submit(pool, &(libpool_task){.function = meet});
    for (uint32_t i = 0; i < workers; i++) {
        (void)bench_end(futures[i], LIBPOOL_COMPLETED);
        libpool_future_free(futures[i]);
    }
    free(futures);
}

libpool *bench_pool_open(libpool_options options)
{
    libpool *pool;
    meeting = bench_share(sizeof *meeting);
    options.size = sizeof options;
    options.name = "bench";
    int error = libpool_open(&pool, &options);
    bench_must(error == 0, "libpool_open: %s", strerror(-error));
    hold_meeting(pool, options.min_workers);
    return pool;
}

void bench_pool_close(libpool *pool, uint64_t completed)
{
    libpool_stats stats = {.size = sizeof stats};
    int error = libpool_stats_read(pool, &stats);
    bench_must(error == 0, "libpool_stats_read: %s", strerror(-error));
    uint64_t counted = stats.tasks_ended[LIBPOOL_COMPLETED] - meeting->expected;
    bench_must(counted == completed, "%llu tasks completed, %llu were expected to",
               (unsigned long long)counted, (unsigned long long)completed);
    bench_must(stats.tasks_pending == 0 && stats.tasks_running == 0, "tasks are left");
    libpool_close(pool);
}

int bench_tell_pid(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)input, (void)input_size;
    pid_t pid = getpid();
    return libpool_reply(worker, &pid, sizeof pid);
}

pid_t bench_pid_of(libpool_future *future)
{
    pid_t pid = 0;
    const libpool_result *result = bench_end(future, LIBPOOL_COMPLETED);
    bench_must(result->data_size == sizeof pid, "a pid of %zu bytes", result->data_size);
    memcpy(&pid, result->data, sizeof pid);
    bench_must(pid == result->pid, "worker %d says it is %d", result->pid, (int)pid);
    libpool_future_free(future);
    return pid;
}
