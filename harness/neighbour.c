/* SPDX-License-Identifier: MIT */
/* neighbour: see the header. */
#include "harness/neighbour.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness/check.h"
#include "harness/clock.h"
#include "harness/tasks.h"

#define UNDER_WAY 2u /* tasks for each worker */
#define WORK_NS (2 * HN_MS)
#define INPUT_BYTES 1000
#define PATIENCE_MS 10000 /* what takes longer does not end */

struct hn_neighbour {
    libpool *pool;
    uint32_t workers;
    enum hn_sabotage sabotage;
    struct hn_findings *findings;
    pthread_t thread;
    atomic_bool stopping;
    uint32_t submitted, completed;
};

/* ---- In its workers --------------------------------------------------------------------------- */

static int run(libpool_worker *worker, const void *input, size_t input_size)
{
    struct timespec until = hn_clock_timespec(hn_clock_ns() + WORK_NS);
    int rc;
    do
        rc = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL); /* sleeps: the work */
    while (rc == EINTR);
    return libpool_reply(worker, input, input_size);
}

static int die(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)worker;
    (void)input;
    (void)input_size;
    abort();
}

/* ---- In the target ---------------------------------------------------------------------------- */

#define OBJECT(neighbour, expected, ...)                                                          \
    hn_findings_add((neighbour)->findings, HN_I5_ISOLATION, "the pool beside the one under test", \
                    expected, __VA_ARGS__)

static libpool_future *submit(struct hn_neighbour *neighbour)
{
    uint8_t input[INPUT_BYTES];
    libpool_future *future = NULL;
    bool harmed = neighbour->sabotage == HN_SABOTAGE_HARM_NEIGHBOUR && !neighbour->submitted;
    libpool_task task = {.size = sizeof task,
                         .function = harmed ? die : run,
                         .input = input,
                         .input_size = sizeof input};
    hn_payload_fill(input, sizeof input, neighbour->submitted);
    int rc = libpool_submit(neighbour->pool, &task, PATIENCE_MS, &future);
    if (rc)
        OBJECT(neighbour, "it takes a task", "%d", rc);
    neighbour->submitted += rc == 0;
    return future;
}

/* Its oldest task, number `task`. */
static void collect(struct hn_neighbour *neighbour, libpool_future *future, uint32_t task)
{
    int rc = libpool_future_wait(future, PATIENCE_MS);
    const libpool_result *result = libpool_future_result(future);
    if (rc || !result)
        OBJECT(neighbour, "its tasks end", "%d for task %u", rc, task);
    else if (result->cause != LIBPOOL_COMPLETED)
        OBJECT(neighbour, "its tasks complete", "task %u: %s", task, result->text);
    else if (result->data_size != INPUT_BYTES ||
             !hn_payload_matches(result->data, result->data_size, task))
        OBJECT(neighbour, "its results are its own", "another one for task %u", task);
    else
        neighbour->completed++;
    libpool_future_free(future);
}

static void *work(void *argument)
{
    struct hn_neighbour *neighbour = argument;
    uint32_t window = neighbour->workers * UNDER_WAY, first = 0;
    libpool_future **futures = calloc(window, sizeof *futures);
    bool more = futures != NULL;
    while (more || first != neighbour->submitted) {
        more = more && !atomic_load(&neighbour->stopping);
        if (more && neighbour->submitted - first < window) {
            uint32_t place = neighbour->submitted % window;
            futures[place] = submit(neighbour);
            more = futures[place] != NULL;
        } else if (first != neighbour->submitted) {
            collect(neighbour, futures[first % window], first);
            first++;
        }
    }
    free(futures);
    return NULL;
}

int hn_neighbour_open(struct hn_neighbour **neighbour, uint32_t workers, libpool_governor *governor,
                      enum hn_sabotage how, struct hn_findings *findings)
{
    libpool_options options = {.size = sizeof options,
                               .min_workers = workers,
                               .max_workers = workers,
                               .name = "beside",
                               .governor = governor};
    struct hn_neighbour *new = calloc(1, sizeof *new);
    if (!new)
        return -ENOMEM;
    *new = (struct hn_neighbour){.workers = workers, .sabotage = how, .findings = findings};
    int rc = libpool_open(&new->pool, &options);
    if (rc == 0)
        rc = -pthread_create(&new->thread, NULL, work, new);
    if (rc) {
        libpool_close(new->pool);
        free(new);
        new = NULL;
    }
    *neighbour = new;
    return rc;
}

/* ---- What became of it ------------------------------------------------------------------------ */

static void compare(struct hn_neighbour *neighbour, const char *name, uint64_t actual,
                    uint64_t wanted)
{
    if (actual != wanted)
        OBJECT(neighbour, "its numbers are those of a pool to which nothing was done",
               "%s is %llu, not %llu", name, (unsigned long long)actual,
               (unsigned long long)wanted);
}

static void check_numbers(struct hn_neighbour *neighbour)
{
    libpool_stats stats = {.size = sizeof stats};
    int rc = libpool_stats_read(neighbour->pool, &stats);
    if (rc)
        OBJECT(neighbour, "it gives its numbers", "%d", rc);
    hn_check_books(NULL, &stats, neighbour->findings);
    compare(neighbour, "tasks_received", stats.tasks_received, neighbour->submitted);
    compare(neighbour, "ended.completed", stats.tasks_ended[LIBPOOL_COMPLETED],
            neighbour->submitted);
    compare(neighbour, "worker_processes_created", stats.worker_processes_created,
            neighbour->workers);
    compare(neighbour, "worker_processes_still_alive", stats.worker_processes_still_alive,
            neighbour->workers);
    compare(neighbour, "tasks_returned", stats.tasks_returned, 0);
    compare(neighbour, "zygotes_started", stats.zygotes_started, 1);
    compare(neighbour, "zygotes_lost", stats.zygotes_lost, 0);
    compare(neighbour, "spawns_failed", stats.spawns_failed, 0);
}

void hn_neighbour_close(struct hn_neighbour *neighbour)
{
    if (!neighbour)
        return;
    atomic_store(&neighbour->stopping, true);
    pthread_join(neighbour->thread, NULL);
    libpool_future *last = submit(neighbour); /* the other pool is gone by now */
    if (last)
        collect(neighbour, last, neighbour->submitted - 1);
    check_numbers(neighbour);
    libpool_close(neighbour->pool);
    free(neighbour);
}
