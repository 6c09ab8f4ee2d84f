/* SPDX-License-Identifier: MIT */
/*
 * A worker's line against tasks that speak for their worker: they say what they like, as slowly as they
 * like, or take its voice away. It costs them and nobody else.
 */
#include "line.h"

#include <fcntl.h>
#include <libpool.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"

#define WAIT_MS 8000 /* less than the pool's own patience with a mute worker */

/* ---- helpers -------------------------------------------------------------------------------- */

static int noop(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

static int hang(void)
{
    for (;;)
        (void)pause();
    return 0;
}

static libpool_future *submit(libpool *pool, libpool_task_function *function, uint32_t run_ms)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .function = function, .run_timeout_ms = run_ms};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

static libpool_cause cause_of(libpool_future *future)
{
    if (libpool_future_wait(future, WAIT_MS) != 0)
        return LIBPOOL_PENDING;
    libpool_cause cause = libpool_future_result(future)->cause;
    libpool_future_free(future);
    return cause;
}

/* What this task does in one pool, and an innocent one that follows it; the zygote stays. */
static libpool_cause cause_of_evil(libpool_task_function *evil, uint32_t run_ms)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_cause cause = cause_of(submit(pool, evil, run_ms));
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(cause_of(submit(pool, noop, 0)), LIBPOOL_COMPLETED);
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.zygotes_lost, 0);
    libpool_close(pool);
    return cause;
}

/* The worker's own side of its channel: the first member of what user code is handed. */
static struct lp_channel *channel_of(libpool_worker *worker)
{
    return (struct lp_channel *)(void *)worker;
}

/* ---- words ---------------------------------------------------------------------------------- */

static int say_ready_and_hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    (void)lp_channel_send(channel_of(worker), &(struct lp_message){.kind = LP_MESSAGE_READY});
    return hang(); /* no bell: it is found when the task's time is over */
}

TEST(line, a_word_that_is_found_at_the_deadline_costs_the_worker_only)
{
    CU_ASSERT_EQUAL(cause_of_evil(say_ready_and_hang, 50), LIBPOOL_CORRUPT);
}

/* A result that never comes to its end, byte by byte, with a bell for each. */
static int trickle(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    struct lp_channel *channel = channel_of(worker);
    struct lp_message message = {
        .kind = LP_MESSAGE_RESULT, .task_id = libpool_worker_task_id(worker), .size = 1u << 30};
    (void)lp_channel_send(channel, &message);
    for (;;) {
        (void)lp_channel_write(channel, "x", 1, false);
        lp_channel_ring(channel);
    }
    return 0;
}

TEST(line, a_result_byte_by_byte_does_not_keep_the_others_waiting)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .min_workers = 2, .max_workers = 2};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_future *trickler = submit(pool, trickle, 1000);
    for (int i = 0; i < 200; i++)
        CU_ASSERT_EQUAL(cause_of(submit(pool, noop, 0)), LIBPOOL_COMPLETED);
    CU_ASSERT_PTR_NULL(libpool_future_result(trickler));
    CU_ASSERT_EQUAL(cause_of(trickler), LIBPOOL_TIMEOUT);
    libpool_close(pool);
}

/* ---- the bell ------------------------------------------------------------------------------- */

static int close_the_bell(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return close(3);
}

static int replace_the_bell(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return fd < 0 || dup2(fd, 3) != 3;
}

static int fill_the_bell(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    uint64_t most = UINT64_MAX - 1, count;
    (void)read(3, &count, sizeof count);
    (void)write(3, &most, sizeof most);
    return 0;
}

TEST(line, a_worker_that_can_not_ring_is_heard_by_its_death)
{
    CU_ASSERT_EQUAL(cause_of_evil(close_the_bell, 0), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(cause_of_evil(replace_the_bell, 0), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(cause_of_evil(fill_the_bell, 0), LIBPOOL_COMPLETED);
}

static int close_the_bell_at_once(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    (void)close(3);
    return 0;
}

/* Nobody hears that it is ready, nor what it was given to do: that goes to another, four times at most. */
TEST(line, a_worker_that_never_could_ring_ends_and_its_task_with_it)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .max_workers = 1, .initializer = close_the_bell_at_once};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, 0)), LIBPOOL_EXIT);
    libpool_close(pool);
}
