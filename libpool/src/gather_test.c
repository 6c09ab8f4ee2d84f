/* SPDX-License-Identifier: MIT */
/* Any, all, and each as it ends; what has ended before, what never does, and who leaves early. */
#include <libpool.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"
#include "os/file.h"
#include "supervisor.h"
#include "sys/sys.h"

#define WAIT_MS 20000
#define MANY 600

/* ---- tasks and helpers ---------------------------------------------------------------------- */

static int noop(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

static int nap_ms(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    return poll(NULL, 0, *(const int *)input);
}

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
    return 0;
}

static libpool *open_pool(uint32_t flags, uint32_t workers)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .flags = flags, .min_workers = workers, .max_workers = workers};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_future *submit(libpool *pool, libpool_task_function *function, int ms)
{
    libpool_future *future = NULL;
    libpool_task task = {
        .size = sizeof task, .function = function, .input = &ms, .input_size = sizeof ms};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

static void free_all(libpool_future **futures, size_t n)
{
    for (size_t i = 0; i < n; i++)
        libpool_future_free(futures[i]);
}

static uint64_t cpu_us(void)
{
    struct rusage use;
    (void)getrusage(RUSAGE_SELF, &use);
    return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

/* ---- any ------------------------------------------------------------------------------------ */

TEST(gather, any_is_the_one_that_ends)
{
    libpool *pool = open_pool(0, 3);
    libpool_future *futures[] = {submit(pool, hang, 0), NULL, submit(pool, nap_ms, 50),
                                 submit(pool, hang, 0)};
    CU_ASSERT_EQUAL(libpool_wait_any(futures, 4, 0), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_wait_any(futures, 4, WAIT_MS), 2);
    CU_ASSERT_EQUAL(libpool_wait_any(futures, 4, WAIT_MS), 2); /* as long as it is in the array */
    libpool_future_free(futures[2]);
    futures[2] = NULL;
    CU_ASSERT_EQUAL(libpool_wait_any(futures, 4, 30), -ETIMEDOUT);
    free_all(futures, 4);
    libpool_close(pool);
}

TEST(gather, any_of_more_than_have_room_on_the_stack)
{
    libpool *pool = open_pool(0, 2);
    libpool_future *futures[40];
    futures[0] = submit(pool, hang, 0);
    futures[1] = submit(pool, nap_ms, 30);
    for (int i = 2; i < 40; i++)
        futures[i] = submit(pool, hang, 0);
    CU_ASSERT_EQUAL(libpool_wait_any(futures, 40, WAIT_MS), 1);
    free_all(futures, 40);
    libpool_close(pool);
}

TEST(gather, what_is_no_set_of_futures_is_refused)
{
    libpool *pool = open_pool(0, 1), *other = open_pool(0, 1);
    libpool_gather *gather = (libpool_gather *)pool;
    libpool_future *none[2] = {NULL, NULL};
    libpool_future *two[] = {submit(pool, hang, 0), submit(other, hang, 0)};
    CU_ASSERT_EQUAL(libpool_wait_any(none, 2, -1), -ENOENT);
    CU_ASSERT_EQUAL(libpool_wait_any(NULL, 0, -1), -ENOENT);
    CU_ASSERT_EQUAL(libpool_wait_any(NULL, 2, -1), -EINVAL);
    CU_ASSERT_EQUAL(libpool_wait_any(two, 2, -1), -EINVAL);
    CU_ASSERT_EQUAL(libpool_wait_all(NULL, 1, -1), -EINVAL);
    CU_ASSERT_EQUAL(libpool_wait_all(none, 2, -1), 0);
    CU_ASSERT_EQUAL(libpool_gather_open(NULL, two, 1), -EINVAL);
    CU_ASSERT_EQUAL(libpool_gather_open(&gather, two, 2), -EINVAL);
    CU_ASSERT_PTR_NULL(gather);
    CU_ASSERT_EQUAL(libpool_gather_next(NULL, 0), -EINVAL);
    libpool_gather_close(NULL);
    free_all(two, 2);
    libpool_close(pool);
    libpool_close(other);
}

/* ---- all ------------------------------------------------------------------------------------ */

TEST(gather, all_have_ended_or_it_says_so)
{
    libpool *pool = open_pool(0, 2);
    libpool_future *futures[] = {submit(pool, nap_ms, 20), submit(pool, noop, 0),
                                 submit(pool, nap_ms, 40), submit(pool, hang, 0)};
    CU_ASSERT_EQUAL(libpool_wait_all(futures, 3, WAIT_MS), 0);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_PTR_NOT_NULL(libpool_future_result(futures[i]));
    CU_ASSERT_EQUAL(libpool_wait_all(futures, 4, 30), -ETIMEDOUT);
    free_all(futures, 4);
    libpool_close(pool);
}

/* ---- each as it ends ------------------------------------------------------------------------ */

TEST(gather, each_comes_once_and_as_it_ends)
{
    libpool *pool = open_pool(0, 3);
    libpool_gather *gather = NULL;
    libpool_future *futures[] = {submit(pool, nap_ms, 300), submit(pool, nap_ms, 10),
                                 submit(pool, nap_ms, 120)};
    CU_ASSERT_EQUAL_FATAL(libpool_gather_open(&gather, futures, 3), 0);
    CU_ASSERT_EQUAL(libpool_gather_next(gather, 0), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_gather_next(gather, WAIT_MS), 1);
    CU_ASSERT_EQUAL(libpool_gather_next(gather, 5), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_gather_next(gather, WAIT_MS), 2);
    CU_ASSERT_EQUAL(libpool_gather_next(gather, WAIT_MS), 0);
    CU_ASSERT_EQUAL(libpool_gather_next(gather, -1), -ENOENT);
    libpool_gather_close(gather);
    free_all(futures, 3);
    libpool_close(pool);
}

/* Takes all n, each once; true when none was missing and none came early. */
static bool take_each_once(libpool_future **futures, uint32_t n)
{
    bool seen[MANY] = {false};
    libpool_gather *gather = NULL;
    if (libpool_gather_open(&gather, futures, n))
        return false;
    bool good = true;
    for (uint32_t i = 0; i < n && good; i++) {
        int64_t index = libpool_gather_next(gather, WAIT_MS);
        good = index >= 0 && index < n && !seen[index] && libpool_future_result(futures[index]);
        if (good)
            seen[index] = true;
    }
    good = good && libpool_gather_next(gather, -1) == -ENOENT;
    libpool_gather_close(gather);
    return good;
}

/* Tiny ones: some have ended before they are gathered, some end meanwhile. */
static bool gather_tiny_ones(libpool *pool)
{
    libpool_task tasks[MANY];
    libpool_future *futures[MANY];
    for (int i = 0; i < MANY; i++)
        tasks[i] = (libpool_task){.size = sizeof tasks[i], .function = noop};
    bool good = libpool_submit_many(pool, tasks, MANY, -1, futures) == MANY &&
                take_each_once(futures, MANY);
    free_all(futures, MANY);
    return good;
}

static void *gather_in_rounds(void *pool)
{
    for (int round = 0; round < 20; round++)
        if (!gather_tiny_ones(pool))
            return pool;
    return NULL;
}

static void gather_in_threads(uint32_t flags)
{
    libpool *pool = open_pool(flags, 2);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, gather_in_rounds, pool), 0);
    for (int i = 0; i < 3; i++) {
        void *failed = pool;
        CU_ASSERT_EQUAL(pthread_join(threads[i], &failed), 0);
        CU_ASSERT_PTR_NULL(failed);
    }
    libpool_close(pool);
}

TEST(gather, tiny_ones_come_each_once)
{
    gather_in_threads(0);
}

TEST(gather, tiny_ones_come_each_once_where_waiters_drive)
{
    gather_in_threads(LIBPOOL_NO_THREAD);
}

struct shared {
    libpool_future **futures;
    bool good;
};

static void *take_shared(void *arg)
{
    struct shared *shared = arg;
    shared->good = take_each_once(shared->futures, 200);
    return NULL;
}

TEST(gather, several_gather_the_same_futures)
{
    libpool *pool = open_pool(0, 2);
    libpool_future *futures[200];
    struct shared shared[3];
    pthread_t threads[3];
    for (int i = 0; i < 200; i++)
        futures[i] = submit(pool, nap_ms, i % 3);
    for (int i = 0; i < 3; i++) {
        shared[i] = (struct shared){futures, false};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, take_shared, &shared[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
        CU_ASSERT(shared[i].good);
    }
    free_all(futures, 200);
    libpool_close(pool);
}

/* ---- who leaves early ------------------------------------------------------------------------ */

TEST(gather, who_leaves_is_not_told)
{
    libpool *pool = open_pool(0, 2);
    libpool_gather *left = NULL, *stays = NULL;
    libpool_future *futures[] = {submit(pool, nap_ms, 60), submit(pool, hang, 0)};
    CU_ASSERT_EQUAL_FATAL(libpool_gather_open(&stays, futures, 2), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_gather_open(&left, futures, 2), 0);
    libpool_gather_close(left); /* its memory is gone when the first ends */
    CU_ASSERT_EQUAL(libpool_gather_next(stays, WAIT_MS), 0);
    libpool_gather_close(stays);
    free_all(futures, 2);
    libpool_close(pool);
}

/* Closing races with ends: what is being told of is waited for. */
TEST(gather, many_leave_while_futures_end)
{
    libpool *pool = open_pool(0, 2);
    libpool_future *futures[64];
    for (unsigned round = 0; round < 150; round++) {
        libpool_gather *gather = NULL;
        for (int i = 0; i < 64; i++)
            futures[i] = submit(pool, noop, 0);
        CU_ASSERT_EQUAL_FATAL(libpool_gather_open(&gather, futures, 64), 0);
        for (unsigned i = 0; i < round % 64; i++)
            CU_ASSERT(libpool_gather_next(gather, WAIT_MS) >= 0);
        libpool_gather_close(gather);
        CU_ASSERT_EQUAL(libpool_wait_all(futures, 64, WAIT_MS), 0);
        free_all(futures, 64);
    }
    libpool_close(pool);
}

TEST(gather, a_future_may_be_freed_while_it_is_gathered)
{
    libpool *pool = open_pool(0, 1);
    libpool_gather *gather = NULL;
    libpool_future *futures[] = {submit(pool, nap_ms, 30), submit(pool, noop, 0)};
    CU_ASSERT_EQUAL_FATAL(libpool_gather_open(&gather, futures, 2), 0);
    free_all(futures, 2);
    CU_ASSERT_EQUAL(libpool_gather_next(gather, WAIT_MS), 0);
    CU_ASSERT_EQUAL(libpool_gather_next(gather, WAIT_MS), 1);
    CU_ASSERT_EQUAL(libpool_gather_next(gather, WAIT_MS), -ENOENT);
    libpool_gather_close(gather);
    libpool_close(pool);
}

/* Futures one by one; what was given back says nothing any more. */
static void *take_single(void *context, size_t size)
{
    (void)context;
    return size == 64 * sizeof(libpool_future) ? NULL : calloc(1, size);
}

static void wipe_and_give_back(void *context, void *pointer, size_t size)
{
    (void)context, (void)size;
    memset(pointer, 0, size == sizeof(libpool_future) ? size : 0); /* and it is not used again */
    if (size != sizeof(libpool_future))
        free(pointer);
}

struct leaver {
    libpool_gather *gather;
    libpool *pool;
    _Atomic pid_t tid;
};

static void *leave_slowly(void *arg)
{
    struct leaver *leaver = arg;
    (void)sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
    leaver->tid = gettid();
    libpool_gather_close(leaver->gather);
    return NULL;
}

static void *end_all(void *arg)
{
    struct leaver *leaver = arg;
    leaver->tid = gettid();
    (void)libpool_shutdown(leaver->pool, LIBPOOL_CANCEL, -1);
    return NULL;
}

/* Starts a thread that is asleep on the pool's lock when this returns. */
static pthread_t start_blocked(void *(*body)(void *), struct leaver *leaver)
{
    pthread_t thread;
    struct lp_file_stat stat = {.state = 'R'};
    leaver->tid = 0;
    if (pthread_create(&thread, NULL, body, leaver))
        _exit(10);
    while (!leaver->tid || lp_file_stat(leaver->tid, &stat) || stat.state != 'S')
        (void)poll(NULL, 0, 1);
    return thread;
}

/*
 * On one CPU, who lets go of the lock is overtaken by who waits for it: the future ends, and its last
 * holder is gone, before the one who leaves has left.
 */
static int leave_just_before_the_end(void *unused)
{
    (void)unused;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof one, &one);
    const libpool_allocator allocator = {NULL, take_single, wipe_and_give_back};
    struct leaver leaver = {0};
    libpool_options options = {.size = sizeof options, .max_workers = 1, .allocator = &allocator};
    if (libpool_open(&leaver.pool, &options))
        return 1;
    libpool_future *future = submit(leaver.pool, hang, 0);
    if (libpool_gather_open(&leaver.gather, &future, 1))
        return 2;
    libpool_future_free(future);
    pthread_mutex_lock(&leaver.pool->lock);
    pthread_t first = start_blocked(leave_slowly, &leaver);
    pthread_t second = start_blocked(end_all, &leaver);
    pthread_mutex_unlock(&leaver.pool->lock);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    libpool_close(leaver.pool); /* when all who came through a future have left */
    return 0;
}

TEST(gather, who_leaves_a_future_that_nobody_else_holds_does_not_touch_it_again)
{
    CU_ASSERT_EQUAL(hn_test_child(leave_just_before_the_end, NULL, 25000), TEST_EXIT(0));
}

TEST(gather, it_outlives_its_pool)
{
    libpool *pool = open_pool(0, 1);
    libpool_gather *gather = NULL, *late = NULL;
    libpool_future *futures[] = {submit(pool, hang, 0), submit(pool, hang, 0)};
    CU_ASSERT_EQUAL_FATAL(libpool_gather_open(&gather, futures, 2), 0);
    libpool_close(pool);
    CU_ASSERT_EQUAL_FATAL(libpool_gather_open(&late, futures, 2), 0);
    CU_ASSERT_EQUAL(libpool_gather_next(late, -1), 0);
    CU_ASSERT(libpool_gather_next(gather, -1) >= 0);
    CU_ASSERT(libpool_gather_next(gather, -1) >= 0);
    CU_ASSERT_EQUAL(libpool_gather_next(gather, -1), -ENOENT);
    libpool_gather_close(gather);
    libpool_gather_close(late);
    free_all(futures, 2);
}

static void *close_pool(void *pool)
{
    libpool_close(pool);
    return NULL;
}

TEST(gather, a_pool_is_closed_while_somebody_gathers)
{
    libpool *pool = open_pool(0, 1);
    pthread_t closer;
    libpool_gather *gather = NULL;
    libpool_future *futures[] = {submit(pool, hang, 0), submit(pool, hang, 0)};
    CU_ASSERT_EQUAL_FATAL(libpool_gather_open(&gather, futures, 2), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&closer, NULL, close_pool, pool), 0);
    CU_ASSERT(libpool_gather_next(gather, WAIT_MS) >= 0);
    CU_ASSERT(libpool_gather_next(gather, WAIT_MS) >= 0);
    CU_ASSERT_EQUAL(pthread_join(closer, NULL), 0);
    libpool_gather_close(gather);
    free_all(futures, 2);
}

/* ---- what it costs --------------------------------------------------------------------------- */

TEST(gather, who_waits_sleeps)
{
    libpool *pool = open_pool(0, 1);
    libpool_future *futures[] = {submit(pool, hang, 0), submit(pool, hang, 0)};
    CU_ASSERT_EQUAL(libpool_wait_any(futures, 2, 100), -ETIMEDOUT); /* the worker is up by now */
    uint64_t before_us = cpu_us();
    CU_ASSERT_EQUAL(libpool_wait_any(futures, 2, 400), -ETIMEDOUT);
    CU_ASSERT(cpu_us() - before_us < 100000);
    free_all(futures, 2);
    libpool_close(pool);
}

struct counter {
    size_t calls, bytes;
};

static void *count_allocation(void *context, size_t size)
{
    struct counter *counter = context;
    __atomic_add_fetch(&counter->calls, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&counter->bytes, size, __ATOMIC_RELAXED);
    return malloc(size);
}

static void count_release(void *context, void *pointer, size_t size)
{
    struct counter *counter = context;
    __atomic_sub_fetch(&counter->bytes, size, __ATOMIC_RELAXED);
    free(pointer);
}

TEST(gather, memory_is_the_applications_and_all_given_back)
{
    struct counter counter = {0, 0};
    libpool_allocator allocator = {&counter, count_allocation, count_release};
    libpool_options options = {.size = sizeof options, .max_workers = 1, .allocator = &allocator};
    libpool *pool = NULL;
    libpool_gather *gather = NULL;
    libpool_future *futures[20];
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    for (int i = 0; i < 20; i++)
        futures[i] = submit(pool, hang, 0);
    size_t calls = counter.calls;
    CU_ASSERT_EQUAL(libpool_wait_any(futures, 16, 1), -ETIMEDOUT);
    CU_ASSERT_EQUAL(counter.calls, calls);
    CU_ASSERT_EQUAL_FATAL(libpool_gather_open(&gather, futures, 20), 0);
    CU_ASSERT_EQUAL(counter.calls, calls + 1);
    libpool_close(pool);
    free_all(futures, 20);
    libpool_gather_close(gather);
    CU_ASSERT_EQUAL(counter.bytes, 0);
}

/* ---- in copies of the process ---------------------------------------------------------------- */

struct copied {
    libpool_future **futures;
    libpool_gather *gather;
};

static int use_copies(void *arg)
{
    struct copied *copied = arg;
    libpool_gather *gather;
    if (libpool_wait_any(copied->futures, 2, -1) != -ECHILD)
        return 1;
    if (libpool_gather_open(&gather, copied->futures, 2) != -ECHILD || gather)
        return 2;
    if (libpool_gather_next(copied->gather, -1) != -ECHILD)
        return 3;
    libpool_gather_close(copied->gather);
    return 0;
}

TEST(gather, a_copy_of_the_process_is_refused_and_may_close)
{
    libpool *pool = open_pool(0, 1);
    libpool_gather *gather = NULL;
    libpool_future *futures[] = {submit(pool, hang, 0), submit(pool, hang, 0)};
    CU_ASSERT_EQUAL_FATAL(libpool_gather_open(&gather, futures, 2), 0);
    struct copied copied = {futures, gather};
    pthread_mutex_lock(
        &pool->lock); /* as any thread may just then: in the copy nobody unlocks it */
    int end = hn_test_child(use_copies, &copied, 5000);
    pthread_mutex_unlock(&pool->lock);
    CU_ASSERT_EQUAL(end, TEST_EXIT(0));
    CU_ASSERT(libpool_future_cancel(futures[1]) > 0);
    CU_ASSERT_EQUAL(libpool_gather_next(gather, WAIT_MS), 1);
    libpool_gather_close(gather);
    free_all(futures, 2);
    libpool_close(pool);
}

static struct copied about_to_be_told;
static int end_of_copy;

static int use_one_untold(void *unused)
{
    (void)unused;
    if (libpool_gather_next(about_to_be_told.gather, -1) != -ECHILD)
        return 1;
    libpool_gather_close(about_to_be_told.gather);
    return 0;
}

static int copy_and_wake(const _Atomic uint32_t *word)
{
    lp_sys = lp_sys_kernel;
    end_of_copy = hn_test_child(use_one_untold, NULL, 5000);
    return lp_sys.futex_wake_all(word);
}

/* The future has ended, its gather is about to be told: in the copy that never happens. */
TEST(gather, a_copy_made_between_the_end_and_its_telling_may_close)
{
    libpool *pool = open_pool(0, 1);
    libpool_gather *gather = NULL;
    libpool_future *future = submit(pool, hang, 0);
    CU_ASSERT_EQUAL_FATAL(libpool_gather_open(&gather, &future, 1), 0);
    about_to_be_told.gather = gather;
    end_of_copy = -1;
    atomic_fetch_or(&future->state, LP_AWAITED);
    lp_sys.futex_wake_all = copy_and_wake;
    CU_ASSERT(libpool_future_cancel(future) > 0);
    CU_ASSERT_EQUAL(end_of_copy, TEST_EXIT(0));
    CU_ASSERT_EQUAL(libpool_gather_next(gather, 0), 0);
    libpool_gather_close(gather);
    libpool_future_free(future);
    libpool_close(pool);
}
