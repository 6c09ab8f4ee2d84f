/* SPDX-License-Identifier: MIT */
/* What a pool shares with its workers is in no process of another pool, and in no copy of the application. */
#include <libpool.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"
#include "os/channel.h"
#include "os/wardrobe.h"
#include "start_rig.h"

#define RANGES 64

struct range {
    char *from;
    size_t size;
};

struct ranges {
    size_t n, rings; /* rings: io_uring's, shared with the kernel alone */
    struct range at[RANGES];
};

/* What this process shares with others and may write to. */
static void find_shared(struct ranges *found)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    found->n = found->rings = 0;
    while (maps && fgets(line, sizeof line, maps) && found->n < RANGES) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx rw-s", &from, &to) == 2 && strstr(line, " rw-s "))
            found->at[found->n++] = (struct range){(char *)from, to - from}; /* NOLINT */
        found->rings += strstr(line, "[io_uring]") != NULL;
    }
    if (maps)
        fclose(maps);
}

static bool has(const struct ranges *ranges, const struct range *range)
{
    for (size_t i = 0; i < ranges->n; i++)
        if (ranges->at[i].from == range->from && ranges->at[i].size == range->size)
            return true;
    return false;
}

/* Those of `now` that were not there before. */
static void drop_known(struct ranges *now, const struct ranges *before)
{
    size_t left = 0;
    for (size_t i = 0; i < now->n; i++)
        if (!has(before, &now->at[i]))
            now->at[left++] = now->at[i];
    now->n = left;
}

static int tell_shared(libpool_worker *worker, const void *input, size_t size)
{
    struct ranges found;
    (void)input, (void)size;
    find_shared(&found);
    return libpool_reply(worker, &found, sizeof found);
}

static libpool *open_one(uint32_t start)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .max_workers = 1, .event_buffer = 64, .start = start};
    if (start == LIBPOOL_SPAWN)
        options.zygote_path = lp_rig_beside_us("libpool-zygote");
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_future *run(libpool *pool, libpool_task_function *function)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .function = function};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, 20000), 0);
    return future;
}

static libpool_cause cause_of(libpool_future *future)
{
    libpool_cause cause = libpool_future_result(future)->cause;
    libpool_future_free(future);
    return cause;
}

/* What the pool's worker has of it, beside what was there before. */
static struct ranges shared_in_worker(libpool *pool, const struct ranges *before, int *pid)
{
    struct ranges found = {0};
    libpool_future *future = run(pool, tell_shared);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_EQUAL_FATAL(result->data_size, sizeof found);
    memcpy(&found, result->data, sizeof found);
    *pid = result->pid;
    libpool_future_free(future);
    drop_known(&found, before);
    return found;
}

/* Its pid. */
static int expect_only_window(libpool *pool, const struct ranges *before)
{
    int pid = 0;
    struct ranges found = shared_in_worker(pool, before, &pid);
    CU_ASSERT_EQUAL(found.n, 1);
    CU_ASSERT_EQUAL(found.at[0].size, lp_channel_window_bytes());
    return pid;
}

static int kill_own_zygote(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return kill(getppid(), SIGKILL);
}

static bool await_zygote(libpool *pool)
{
    libpool_event event = {.size = sizeof event};
    int error = libpool_event_next(pool, &event, 20000);
    while (!error && event.kind != LIBPOOL_EVENT_ZYGOTE_STARTED)
        error = libpool_event_next(pool, &event, 20000);
    return error == 0;
}

/* The first pool's second zygote is forked when all the others are there. */
TEST(isolation, a_worker_shares_its_window_and_nothing_else)
{
    static const uint32_t methods[] = {LIBPOOL_FORK, LIBPOOL_SPAWN, LIBPOOL_THREADS, LIBPOOL_FORK};
    libpool *pools[4];
    struct ranges before, now;
    find_shared(&before);
    for (int i = 0; i < 4; i++)
        pools[i] = open_one(methods[i]);
    int of_first_zygote = expect_only_window(pools[0], &before);
    (void)expect_only_window(pools[3], &before);
    CU_ASSERT_TRUE(await_zygote(pools[0]));
    libpool_future_free(run(pools[0], kill_own_zygote));
    CU_ASSERT_TRUE(await_zygote(pools[0]));
    CU_ASSERT_NOT_EQUAL(expect_only_window(pools[0], &before), of_first_zygote);
    for (int i = 0; i < 4; i++)
        libpool_close(pools[i]);
    find_shared(&now);
    drop_known(&now, &before);
    CU_ASSERT_EQUAL(now.n, 0);
}

/* As a stray write would: over what is as large as a wardrobe, where its length once was. */
static int spoil_wardrobes(libpool_worker *worker, const void *input, size_t size)
{
    const size_t at = (size_t)2 * LP_WARDROBE_PLACE_BYTES;
    struct ranges found;
    (void)worker, (void)input, (void)size;
    find_shared(&found);
    for (size_t i = 0; i < found.n; i++)
        if (found.at[i].size > at && found.at[i].size < lp_channel_window_bytes())
            memset(found.at[i].from + at, 0xff, 16);
    return 0;
}

static int end_well(void *unused)
{
    (void)unused;
    libpool *first = open_one(LIBPOOL_FORK), *second = open_one(LIBPOOL_FORK);
    libpool_cause spoilt = cause_of(run(second, spoil_wardrobes));
    int error = libpool_recycle(first, 1);
    bool ran = cause_of(run(first, libpool_noop)) == LIBPOOL_COMPLETED;
    libpool_close(first);
    libpool_close(second);
    return spoilt == LIBPOOL_COMPLETED && !error && ran ? 0 : 1;
}

TEST(isolation, a_stray_write_in_one_pool_does_not_reach_another)
{
    CU_ASSERT_EQUAL(hn_test_child(end_well, NULL, 20000), TEST_EXIT(0));
}

struct copied {
    libpool *pool;
    struct ranges shared;
};

/* Where the pool's memory is in the application, the copy puts something of its own. */
static int close_in_copy(void *arg)
{
    struct copied *copied = arg;
    for (size_t i = 0; i < copied->shared.n; i++) {
        struct range *range = &copied->shared.at[i];
        void *own = mmap(range->from, range->size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (own != range->from)
            return 1;
        memset(own, 'x', range->size);
    }
    libpool_close(copied->pool);
    for (size_t i = 0; i < copied->shared.n; i++)
        for (size_t byte = 0; byte < copied->shared.at[i].size; byte++)
            if (copied->shared.at[i].from[byte] != 'x')
                return 2;
    return 0;
}

static void expect_copy_to_close(uint32_t start, size_t mappings)
{
    struct copied copied;
    struct ranges before;
    find_shared(&before);
    copied.pool = open_one(start);
    find_shared(&copied.shared);
    drop_known(&copied.shared, &before);
    CU_ASSERT_EQUAL(copied.shared.n - (copied.shared.rings - before.rings), mappings);
    CU_ASSERT_EQUAL(hn_test_child(close_in_copy, &copied, 20000), TEST_EXIT(0));
    libpool_close(copied.pool);
}

TEST(isolation, a_copy_of_the_application_closes_and_leaves_its_own_memory_alone)
{
    expect_copy_to_close(LIBPOOL_FORK, 2);
    expect_copy_to_close(LIBPOOL_SPAWN, 1);
    expect_copy_to_close(LIBPOOL_THREADS, 1);
}

static int beat_in_child(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        libpool_worker_beat(worker);
        _exit(libpool_worker_progress(worker, 1, 2, "half") == -ECHILD &&
                      libpool_worker_stopping(worker) == 0
                  ? 0
                  : 1);
    }
    return waitpid(child, &status, 0) == child ? status : -1;
}

TEST(isolation, a_child_of_a_threads_task_is_not_heard_and_does_not_crash)
{
    libpool *pool = open_one(LIBPOOL_THREADS);
    CU_ASSERT_EQUAL(cause_of(run(pool, beat_in_child)), LIBPOOL_COMPLETED);
    libpool_close(pool);
}
