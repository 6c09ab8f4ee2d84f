/* SPDX-License-Identifier: MIT */
/* Through the public door: workers that leak are replaced, and what tasks have freed goes back. */
#include "growth.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/test.h"
#include "os/weight.h"

#define MIB (UINT64_C(1) << 20)

static void *hold(size_t bytes)
{
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block != MAP_FAILED)
        memset(block, 1, bytes);
    return block;
}

/* Replies its pid. Longer than LP_GROWTH_PAUSE_NS after the one before, so that each is looked at. */
static int leak(libpool_worker *worker, const void *input, size_t size)
{
    pid_t pid = getpid();
    (void)size;
    (void)hold(*(const size_t *)input);
    (void)poll(NULL, 0, 2);
    return libpool_reply(worker, &pid, sizeof pid);
}

static int be_large(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    return hold(64 * MIB) == MAP_FAILED;
}

static libpool *open_pool(libpool_options options)
{
    libpool *pool = NULL;
    options.size = sizeof options;
    options.min_workers = options.max_workers = 1;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

/* Runs it once; the bytes of its result. */
static void run(libpool *pool, libpool_task_function *function, size_t bytes, void *reply,
                size_t size)
{
    libpool_future *future = NULL;
    libpool_task task = {
        .size = sizeof task, .function = function, .input = &bytes, .input_size = sizeof bytes};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 20000), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL_FATAL(result->data_size, size);
    memcpy(reply, result->data, size);
    libpool_future_free(future);
}

/* How many of so many tasks had another worker than the one before. */
static uint32_t count_changes(libpool *pool, uint32_t tasks, size_t bytes)
{
    pid_t pid = 0, before = 0;
    uint32_t changes = 0;
    for (uint32_t i = 0; i < tasks; i++, before = pid) {
        run(pool, leak, bytes, &pid, sizeof pid);
        changes += before && pid != before;
    }
    return changes;
}

static libpool_stats stats_of(libpool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    return stats;
}

/* 4 MiB each: the fourth of a worker takes it above 14 MiB. */
TEST(growth, a_worker_that_leaks_is_replaced_in_order)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    libpool *pool = open_pool((libpool_options){.recycle_bytes = 14 * MIB, .event_buffer = 1000});
    CU_ASSERT_EQUAL(count_changes(pool, 17, 4 * MIB), 4);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.workers_outgrown, 4);
    CU_ASSERT_EQUAL(stats.tasks_failed, 0);
    libpool_event event = {.size = sizeof event};
    uint32_t told = 0;
    while (libpool_event_next(pool, &event, 0) == 0)
        told += event.kind == LIBPOOL_EVENT_WORKER_RETIRED && event.cause == LIBPOOL_MEMORY;
    CU_ASSERT_EQUAL(told, 4);
    libpool_close(pool);
}

/* It would be replaced after each task, for ever. */
TEST(growth, a_worker_that_is_large_from_the_start_stays)
{
    libpool *pool = open_pool(
        (libpool_options){.recycle_bytes = 16 * MIB, .initializer = be_large});
    CU_ASSERT_EQUAL(count_changes(pool, 10, 4096), 0);
    CU_ASSERT_EQUAL(stats_of(pool).workers_outgrown, 0);
    libpool_close(pool);
}

TEST(growth, a_worker_without_a_limit_may_grow)
{
    libpool *pool = open_pool((libpool_options){.recycle_bytes = 0});
    CU_ASSERT_EQUAL(count_changes(pool, 10, 4 * MIB), 0);
    libpool_close(pool);
}

/* Large results are the pool's own: they leave with the next idle moment. */
static int reply_much(libpool_worker *worker, const void *input, size_t size)
{
    size_t bytes = *(const size_t *)input;
    char *block = hold(bytes);
    (void)size;
    (void)poll(NULL, 0, 2);
    int error = libpool_reply(worker, block, bytes);
    (void)munmap(block, bytes);
    return error;
}

TEST(growth, what_the_pool_needs_itself_does_not_count)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    char *reply = malloc(32 * MIB);
    libpool *pool = open_pool((libpool_options){.recycle_bytes = 8 * MIB});
    for (int i = 0; i < 3; i++)
        run(pool, reply_much, 32 * MIB, reply, 32 * MIB);
    CU_ASSERT_EQUAL(stats_of(pool).workers_outgrown, 0);
    libpool_close(pool);
    free(reply);
}

/* Small pieces, all freed but the last: the heap can't shrink, but can be trimmed. */
static int litter(libpool_worker *worker, const void *input, size_t size)
{
    static void *last;
    size_t pieces = *(const size_t *)input / 1024;
    void **all = malloc(pieces * sizeof *all);
    uint64_t bytes = lp_weight_own();
    (void)size;
    for (size_t i = 0; i < pieces; i++)
        all[i] = memset(malloc(1024), 1, 1024);
    free(last);
    last = all[pieces - 1];
    for (size_t i = 0; i + 1 < pieces; i++)
        free(all[i]);
    free(all);
    (void)poll(NULL, 0, 2);
    return libpool_reply(worker, &bytes, sizeof bytes);
}

/* What a worker holds when the second task begins, less what it held at the first. */
static uint64_t litter_twice(uint64_t trim_bytes)
{
    uint64_t first = 0, second = 0;
    libpool *pool = open_pool((libpool_options){.trim_bytes = trim_bytes});
    run(pool, litter, 32 * MIB, &first, sizeof first);
    run(pool, litter, 32 * MIB, &second, sizeof second);
    libpool_close(pool);
    return second > first ? second - first : 0;
}

TEST(growth, what_tasks_have_freed_goes_back)
{
    if (TEST_ADDRESS_SANITIZER || TEST_THREAD_SANITIZER)
        TEST_SKIP("its malloc is not the one that is trimmed");
    if (litter_twice(0) < 16 * MIB)
        TEST_SKIP("this malloc keeps nothing");
    CU_ASSERT(litter_twice(8 * MIB) < 8 * MIB);
}

/* What is in use is not tried again and again: it takes milliseconds each time. */
TEST(growth, what_can_t_be_given_back_is_tried_once)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    struct lp_growth growth;
    (void)malloc_trim(0); /* what the tests before this one have left */
    lp_growth_begin(&growth, &(libpool_options){.trim_bytes = MIB}, NULL, 0);
    CU_ASSERT(lp_growth_is_due(&growth, LP_GROWTH_TASK_NS, LP_GROWTH_PAUSE_NS - 1));
    CU_ASSERT_FALSE(lp_growth_is_due(&growth, LP_GROWTH_TASK_NS - 1, LP_GROWTH_PAUSE_NS - 1));
    CU_ASSERT(lp_growth_is_due(&growth, 0, LP_GROWTH_PAUSE_NS));
    void *block = hold(8 * MIB);
    CU_ASSERT_FALSE(lp_growth_look(&growth, 0, 1));
    CU_ASSERT(growth.kept_bytes > 7 * MIB);
    CU_ASSERT_EQUAL(growth.looked_ns, 1);
    uint64_t kept_bytes = growth.kept_bytes;
    growth.kept_bytes += 100; /* a trim would set it anew */
    CU_ASSERT_FALSE(lp_growth_look(&growth, 0, 2));
    CU_ASSERT(growth.kept_bytes >= kept_bytes - 256 * 1024);
    (void)munmap(block, 8 * MIB);
    CU_ASSERT_FALSE(lp_growth_look(&growth, 0, 3));
    CU_ASSERT(growth.kept_bytes < MIB); /* it was given back: the next megabyte counts again */
}

TEST(growth, a_worker_that_was_asked_for_nothing_never_looks)
{
    struct lp_growth growth;
    lp_growth_begin(&growth, &(libpool_options){.size = 0}, NULL, 0);
    CU_ASSERT_FALSE(lp_growth_is_due(&growth, UINT64_MAX, UINT64_MAX));
    CU_ASSERT_PTR_NULL(growth.place);
}
