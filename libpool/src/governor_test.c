/* SPDX-License-Identifier: MIT */
/* Several pools with one cap, with real processes. */
#include "governor.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "harness/test.h"

#define WAIT_MS 20000

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
    return 0;
}

static int nap(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return usleep(2000); /* sleeps: it is its work */
}

static libpool_governor *open_governor(uint32_t limit)
{
    libpool_governor *governor = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_governor_open(&governor, limit), 0);
    return governor;
}

static libpool *open_pool(libpool_governor *governor, uint32_t min_workers, uint32_t max_workers)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .min_workers = min_workers,
                               .max_workers = max_workers,
                               .idle_timeout_ms = 100000,
                               .event_buffer = 65536,
                               .governor = governor};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_future *submit(libpool *pool, libpool_task_function *function)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .function = function};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

static libpool_cause cause_of(libpool_future *future)
{
    libpool_cause cause = LIBPOOL_PENDING;
    if (libpool_future_wait(future, WAIT_MS) == 0)
        cause = libpool_future_result(future)->cause;
    libpool_future_free(future);
    return cause;
}

static bool await_event(libpool *pool, libpool_event_kind kind)
{
    libpool_event event = {.size = sizeof event};
    while (libpool_event_next(pool, &event, WAIT_MS) == 0)
        if (event.kind == kind)
            return true;
    return false;
}

TEST(governor, idle_workers_of_one_pool_make_room_for_another)
{
    libpool_governor *governor = open_governor(4);
    libpool *rich = open_pool(governor, 0, 4), *poor = open_pool(governor, 0, 4);
    libpool_future *futures[4];
    for (int i = 0; i < 3; i++)
        futures[i] = submit(rich, hang);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_TRUE(await_event(rich, LIBPOOL_EVENT_WORKER_READY));
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(libpool_future_cancel(futures[i]), LIBPOOL_CANCEL_KILLED);
        libpool_future_free(futures[i]);
    }
    CU_ASSERT_EQUAL(cause_of(submit(rich, libpool_noop)), LIBPOOL_COMPLETED);
    for (int i = 0; i < 3; i++) /* one more than its share of two: one is kept for the other */
        futures[i] = submit(poor, hang);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_TRUE(await_event(poor, LIBPOOL_EVENT_TASK_LAUNCHED));
    for (int i = 0; i < 3; i++)
        libpool_future_free(futures[i]);
    libpool_close(poor);
    CU_ASSERT_EQUAL(cause_of(submit(rich, libpool_noop)), LIBPOOL_COMPLETED);
    libpool_close(rich);
    CU_ASSERT_EQUAL(libpool_governor_close(governor), 0);
}

TEST(governor, a_busy_pool_goes_down_to_its_share_task_by_task)
{
    libpool_governor *governor = open_governor(4);
    libpool *rich = open_pool(governor, 0, 4), *poor = open_pool(governor, 0, 4);
    enum {
        TASKS = 600
    };
    static libpool_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++)
        futures[i] = submit(rich, nap);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_TRUE(await_event(rich, LIBPOOL_EVENT_WORKER_READY));
    libpool_future *first = submit(poor, hang), *second = submit(poor, hang);
    CU_ASSERT_TRUE(await_event(poor, LIBPOOL_EVENT_TASK_LAUNCHED));
    CU_ASSERT_TRUE(await_event(poor, LIBPOOL_EVENT_TASK_LAUNCHED));
    CU_ASSERT_PTR_NULL(libpool_future_result(futures[TASKS - 1])); /* it had more to do */
    libpool_future_free(first);
    libpool_future_free(second);
    for (int i = 0; i < TASKS; i++)
        CU_ASSERT_EQUAL(cause_of(futures[i]), LIBPOOL_COMPLETED);
    libpool_close(poor);
    libpool_close(rich);
    CU_ASSERT_EQUAL(libpool_governor_close(governor), 0);
}

TEST(governor, reserves_and_wrong_uses_are_told)
{
    libpool_governor *governor = open_governor(3);
    libpool *pool = open_pool(governor, 2, 3), *other = NULL;
    libpool_options options = {
        .size = sizeof options, .min_workers = 2, .max_workers = 2, .governor = governor};
    CU_ASSERT_EQUAL(libpool_open(&other, &options), -ENOSPC);
    options.min_workers = 0;
    options.spare_workers = 1;
    CU_ASSERT_EQUAL(libpool_open(&other, &options), -EINVAL);
    options.spare_workers = 0;
    CU_ASSERT_EQUAL(libpool_open(&other, &options), 0);
    CU_ASSERT_EQUAL(libpool_resize(pool, 3, 3), -ENOSPC);
    CU_ASSERT_EQUAL(libpool_resize(pool, 1, 3), 0);
    CU_ASSERT_EQUAL(libpool_governor_close(governor), -EBUSY);
    libpool_close(other);
    libpool_close(pool);
    CU_ASSERT_EQUAL(libpool_governor_close(governor), 0);
    CU_ASSERT_EQUAL(libpool_governor_close(NULL), 0);
    CU_ASSERT_EQUAL(libpool_governor_open(&governor, 0), -EINVAL);
    CU_ASSERT_EQUAL(libpool_governor_open(NULL, 1), -EINVAL);
}

TEST(governor, a_resize_that_is_refused_gives_no_reserve_away)
{
    libpool_governor *governor = open_governor(4);
    libpool *pool = open_pool(governor, 3, 4), *other = NULL;
    libpool_options options = {
        .size = sizeof options, .min_workers = 3, .max_workers = 3, .governor = governor};
    CU_ASSERT_EQUAL(libpool_resize(pool, 0, 0), -EINVAL);
    CU_ASSERT_EQUAL(libpool_resize(pool, 1, 5), -EINVAL);
    CU_ASSERT_EQUAL(libpool_open(&other, &options), -ENOSPC);
    CU_ASSERT_EQUAL(libpool_resize(pool, 0, 1), 0);
    CU_ASSERT_EQUAL(libpool_open(&other, &options), 0);
    libpool_close(other);
    libpool_close(pool);
    CU_ASSERT_EQUAL(libpool_governor_close(governor), 0);
}

static libpool_governor *inherited;

static int use_a_copy(void *unused)
{
    (void)unused;
    libpool *pool;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .governor = inherited};
    return libpool_open(&pool, &options) == -ECHILD && libpool_governor_close(inherited) == -ECHILD
               ? 0
               : 1;
}

TEST(governor, a_copy_of_the_process_is_refused)
{
    inherited = open_governor(2);
    CU_ASSERT_EQUAL(hn_test_child(use_a_copy, NULL, 10000), TEST_EXIT(0));
    CU_ASSERT_EQUAL(libpool_governor_close(inherited), 0);
}

/* ---- many at once ----------------------------------------------------------------------------- */

#define POOLS 3
#define LIMIT 5
#define ROUNDS 60

struct life {
    libpool *pool;
    int change[1 << 14];
    uint64_t time_ns[1 << 14];
    size_t n;
    uint32_t failed;
};

static void *live(void *arg)
{
    struct life *life = arg;
    for (int i = 0; i < ROUNDS; i++) {
        libpool_future *futures[8];
        for (int j = 0; j < 8; j++)
            futures[j] = submit(life->pool, j % 4 ? nap : hang);
        for (int j = 0; j < 8; j += 4) {
            (void)libpool_future_cancel(futures[j]); /* kills, or takes out */
            life->failed += cause_of(futures[j]) != LIBPOOL_CANCELLED;
        }
        for (int j = 0; j < 8; j++)
            if (j % 4)
                life->failed += cause_of(futures[j]) != LIBPOOL_COMPLETED;
    }
    return NULL;
}

static void read_events(struct life *life)
{
    libpool_event event = {.size = sizeof event};
    while (libpool_event_next(life->pool, &event, 0) == 0) {
        bool born = event.kind == LIBPOOL_EVENT_WORKER_SPAWNED;
        if (!born && event.kind != LIBPOOL_EVENT_WORKER_EXITED)
            continue;
        life->change[life->n] = born ? 1 : -1;
        life->time_ns[life->n++] = event.time_ns;
    }
}

/* By the pools' own events, in the order of their times. */
static int most_alive(const struct life lives[POOLS])
{
    size_t at[POOLS] = {0};
    int alive = 0, most = 0;
    for (;;) {
        int next = -1;
        for (int i = 0; i < POOLS; i++)
            if (at[i] < lives[i].n &&
                (next < 0 || lives[i].time_ns[at[i]] < lives[next].time_ns[at[next]]))
                next = i;
        if (next < 0)
            return most;
        alive += lives[next].change[at[next]++];
        most = alive > most ? alive : most;
    }
}

TEST(governor, pools_that_fight_for_places_never_have_more_and_all_get_on)
{
    static struct life lives[POOLS];
    pthread_t threads[POOLS];
    libpool_governor *governor = open_governor(LIMIT);
    for (int i = 0; i < POOLS; i++)
        lives[i].pool = open_pool(governor, i == 0, 4);
    for (int i = 0; i < POOLS; i++)
        CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, live, &lives[i]), 0);
    for (int i = 0; i < POOLS; i++)
        (void)pthread_join(threads[i], NULL);
    for (int i = 0; i < POOLS; i++) {
        CU_ASSERT_EQUAL(lives[i].failed, 0);
        (void)libpool_shutdown(lives[i].pool, LIBPOOL_WAIT, -1);
        read_events(&lives[i]);
        libpool_close(lives[i].pool);
    }
    int most = most_alive(lives);
    CU_ASSERT_TRUE(most > POOLS && most <= LIMIT);
    CU_ASSERT_EQUAL(libpool_governor_close(governor), 0);
}
