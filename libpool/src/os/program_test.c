/* SPDX-License-Identifier: MIT */
/*
 * An application that computes with OpenMP, and whose tasks do: each process has to make its own threads.
 * All of it in a child: the threads that OpenMP keeps are not to stay with the tests that follow.
 */
#include <libpool.h>

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#include "harness/test.h"
#include "start_rig.h"

#define WAIT_MS 20000
#define TASKS 6
#define STUCK_MS 500

enum {
    FINE = 0,
    NO_OBJECT,
    NO_OPENMP,
    NO_POOL,
    WRONG_HERE,
    WRONG_IN_TASK,
    WRONG_AFTER
};

typedef int compute(uint64_t sum_and_threads[2]);

static compute *load(void)
{
    void *object = dlopen(lp_rig_beside_us("test_openmp.so"), RTLD_NOW | RTLD_LOCAL);
    return object ? (compute *)dlsym(object, "test_openmp") : NULL;
}

static bool is_right(const uint64_t sum_and_threads[2])
{
    return sum_and_threads[0] == 500500 && sum_and_threads[1] == 4;
}

/* In the application itself. */
static int use_here(void)
{
    uint64_t sum_and_threads[2];
    compute *here = load();
    if (!here)
        return NO_OBJECT;
    if (here(sum_and_threads))
        return NO_OPENMP;
    return is_right(sum_and_threads) ? FINE : WRONG_HERE;
}

static libpool *open_pool(uint32_t start, uint32_t flags)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options,
        .flags = flags,
        .max_workers = 2,
        .start = start,
        .zygote_path = start == LIBPOOL_SPAWN ? lp_rig_beside_us("libpool-zygote") : NULL};
    return libpool_open(&pool, &options) ? NULL : pool;
}

static libpool_future *submit(libpool *pool, const char *object, const char *symbol,
                              uint32_t timeout_ms)
{
    libpool_future *future = NULL;
    const libpool_task task = {
        .size = sizeof task, .object = object, .symbol = symbol, .run_timeout_ms = timeout_ms};
    return libpool_submit(pool, &task, WAIT_MS, &future) ? NULL : future;
}

static bool has_computed(libpool_future *future)
{
    uint64_t sum_and_threads[2] = {0};
    (void)libpool_future_wait(future, WAIT_MS);
    const libpool_result *result = libpool_future_result(future);
    if (result && result->data_size == sizeof sum_and_threads)
        memcpy(sum_and_threads, result->data, sizeof sum_and_threads);
    libpool_future_free(future);
    return is_right(sum_and_threads);
}

/* More than there are workers: each has threads left from the task before. */
static int use_in_tasks(libpool *pool)
{
    libpool_future *futures[TASKS];
    const char *object = lp_rig_beside_us("test_openmp.so");
    bool right = true;
    for (int i = 0; i < TASKS; i++)
        futures[i] = submit(pool, object, "test_openmp_task", WAIT_MS);
    for (int i = 0; i < TASKS; i++)
        right = has_computed(futures[i]) && right;
    return right ? FINE : WRONG_IN_TASK;
}

/* And once more here: it is not disturbed by what its copies do. */
static int open_after_use(uint32_t start)
{
    int code = use_here();
    libpool *pool = code ? NULL : open_pool(start, 0);
    if (!pool)
        return code ? code : NO_POOL;
    code = use_in_tasks(pool);
    libpool_close(pool);
    return code ? code : use_here();
}

static int spawn_after_use(void *unused)
{
    (void)unused;
    return open_after_use(LIBPOOL_SPAWN);
}

/* What OpenMP knows of its threads belongs to the thread that computes, and the pool's own has forked. */
static int fork_after_use(void *unused)
{
    (void)unused;
    return open_after_use(LIBPOOL_FORK);
}

static int fork_before_use(void *unused)
{
    (void)unused;
    libpool *pool = open_pool(LIBPOOL_FORK, LIBPOOL_NO_THREAD);
    int code = pool ? use_here() : NO_POOL;
    if (!code)
        code = use_in_tasks(pool);
    libpool_close(pool);
    return code ? code : use_here();
}

static libpool_cause cause_of(libpool_future *future)
{
    (void)libpool_future_wait(future, WAIT_MS);
    const libpool_result *result = libpool_future_result(future);
    libpool_cause cause = result ? result->cause : LIBPOOL_PENDING;
    libpool_future_free(future);
    return cause;
}

/* Here it is this thread that forks. Whether a region waits for ever then is OpenMP's matter. */
static int fork_by_user(void *unused)
{
    (void)unused;
    int code = use_here();
    libpool *pool = code ? NULL : open_pool(LIBPOOL_FORK, LIBPOOL_NO_THREAD);
    if (!pool)
        return code ? code : NO_POOL;
    const char *object = lp_rig_beside_us("test_openmp.so");
    libpool_cause cause = cause_of(submit(pool, object, "test_openmp_task", STUCK_MS));
    if (cause != LIBPOOL_TIMEOUT && cause != LIBPOOL_COMPLETED)
        code = WRONG_IN_TASK;
    else if (cause_of(submit(pool, "", "libpool_noop", WAIT_MS)) != LIBPOOL_COMPLETED)
        code = WRONG_AFTER;
    libpool_close(pool);
    return code ? code : use_here();
}

static void expect_fine(int (*body)(void *))
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("it does not know how OpenMP's threads wait for each other");
    int end = hn_test_child(body, NULL, 3 * WAIT_MS);
    if (end == TEST_EXIT(NO_OPENMP))
        TEST_SKIP("this compiler has no OpenMP");
    CU_ASSERT_EQUAL(end, TEST_EXIT(FINE));
}

TEST_WITHIN(openmp, in_use_by_the_application_and_by_spawned_workers, 4 * WAIT_MS)
{
    expect_fine(spawn_after_use);
}

TEST_WITHIN(openmp, in_use_by_the_application_and_by_forked_workers, 4 * WAIT_MS)
{
    expect_fine(fork_after_use);
}

TEST_WITHIN(openmp, in_use_by_a_thread_that_has_forked_its_zygote_before, 4 * WAIT_MS)
{
    expect_fine(fork_before_use);
}

TEST_WITHIN(openmp, in_use_by_a_thread_before_it_forks_costs_the_task_and_no_other, 4 * WAIT_MS)
{
    expect_fine(fork_by_user);
}
