/* SPDX-License-Identifier: MIT */
/* Futures that nobody keeps, and pools inside tasks: what each leaves behind, which is nothing. */
#include "future.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libpool.h>

#include "harness/test.h"
#include "os/file.h"
#include "supervisor.h"

#define WAIT_MS 20000
#define DETACHED 100000 /* DETACHED=1000000 in the environment: as many */
#define WARM 20000
#define BATCH 100

/* ---- detached ------------------------------------------------------------------------------- */

static int echo(libpool_worker *worker, const void *input, size_t size)
{
    return libpool_reply(worker, input, size);
}

static void detach(libpool *pool, uint32_t n)
{
    static const char text[64] = "as much as a small input has room for, and a result of that";
    libpool_task tasks[BATCH];
    for (uint32_t i = 0; i < BATCH; i++)
        tasks[i] = (libpool_task){
            .size = sizeof tasks[i], .function = echo, .input = text, .input_size = sizeof text};
    for (uint32_t done = 0; done < n; done += BATCH)
        CU_ASSERT_EQUAL_FATAL(libpool_submit_many(pool, tasks, BATCH, -1, NULL), BATCH);
}

static void await_all(libpool *pool, uint64_t n)
{
    libpool_stats stats = {.size = sizeof stats};
    libpool_event event = {.size = sizeof event};
    CU_ASSERT_EQUAL_FATAL(libpool_stats_read(pool, &stats), 0);
    while (stats.tasks_pending + stats.tasks_running &&
           libpool_event_next(pool, &event, WAIT_MS) == 0)
        CU_ASSERT_EQUAL_FATAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.tasks_ended[LIBPOOL_COMPLETED], n);
}

static uint64_t resident_kib(void)
{
    char text[128];
    unsigned long size = 0, pages = 0;
    ssize_t got = lp_file_read(AT_FDCWD, "/proc/self/statm", text, sizeof text);
    CU_ASSERT_FATAL(got > 0 && sscanf(text, "%lu %lu", &size, &pages) == 2);
    return (uint64_t)pages * 4;
}

struct meter {
    _Atomic int64_t bytes, most;
};

static void *measure(void *context, size_t size)
{
    struct meter *meter = context;
    int64_t now = atomic_fetch_add(&meter->bytes, (int64_t)size) + (int64_t)size;
    int64_t most = atomic_load(&meter->most);
    while (now > most && !atomic_compare_exchange_weak(&meter->most, &most, now))
        continue;
    return malloc(size);
}

static void measure_release(void *context, void *pointer, size_t size)
{
    struct meter *meter = context;
    atomic_fetch_sub(&meter->bytes, (int64_t)size);
    free(pointer);
}

/* By the allocator, to the byte; by the kernel, as far as pages and sanitizers allow. */
TEST_WITHIN(future, detached_ones_leave_nothing, 120000)
{
    const char *asked = getenv("DETACHED");
    uint32_t n = asked ? (uint32_t)strtoul(asked, NULL, 10) / BATCH * BATCH : DETACHED;
    struct meter meter = {0, 0};
    libpool_allocator allocator = {&meter, measure, measure_release};
    libpool_options options = {
        .size = sizeof options, .max_workers = 2, .event_buffer = 16, .allocator = &allocator};
    libpool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    detach(pool, WARM);
    await_all(pool, WARM);
    uint64_t before_kib = resident_kib();
    int64_t before = meter.bytes, most = meter.most;
    detach(pool, n);
    await_all(pool, (uint64_t)WARM + n);
    CU_ASSERT(meter.bytes <= most);
    CU_ASSERT(meter.most <= before * 4); /* the backlog was full before, and is no larger now */
    CU_ASSERT(TEST_ADDRESS_SANITIZER || TEST_THREAD_SANITIZER ||
              resident_kib() <= before_kib + 1024);
    libpool_close(pool);
    CU_ASSERT_EQUAL(meter.bytes, 0);
}

/* ---- one after the other ---------------------------------------------------------------------- */

enum deed {
    DEED_NOTHING = 0,
    DEED_REPLY,
    DEED_FAIL,
    DEED_TAKE_LONG,
    DEED_CRASH,
    DEEDS
};

static int do_deed(libpool_worker *worker, const void *input, size_t size)
{
    const enum deed *deed = input;
    (void)size;
    uint64_t end_ns = lp_supervisor_now() + 3 * LP_MS;
    if (*deed == DEED_REPLY)
        return libpool_reply(worker, "much", 4);
    while ((*deed == DEED_TAKE_LONG || *deed == DEED_CRASH) && lp_supervisor_now() < end_ns)
        continue; /* what has run for less than a millisecond is not measured */
    if (*deed == DEED_CRASH)
        (void)raise(SIGSEGV);
    return *deed == DEED_FAIL ? 7 : 0;
}

static void check_told(const libpool_result *result, enum deed deed)
{
    static const libpool_cause causes[DEEDS] = {
        [DEED_NOTHING] = LIBPOOL_COMPLETED,   [DEED_REPLY] = LIBPOOL_COMPLETED,
        [DEED_FAIL] = LIBPOOL_ERROR,          [DEED_CRASH] = LIBPOOL_CRASH,
        [DEED_TAKE_LONG] = LIBPOOL_COMPLETED,
    };
    bool completes = causes[deed] == LIBPOOL_COMPLETED;
    CU_ASSERT_EQUAL(result->cause, causes[deed]);
    CU_ASSERT_EQUAL(strcmp(result->text, "completed") == 0, completes);
    CU_ASSERT_EQUAL(result->data_size, deed == DEED_REPLY ? 4 : 0);
    CU_ASSERT_EQUAL(result->data != NULL, deed == DEED_REPLY);
    CU_ASSERT_EQUAL(result->code, deed == DEED_FAIL ? 7 : 0);
    CU_ASSERT_EQUAL(result->attempts, 1);
    CU_ASSERT_EQUAL(result->retried_cause, LIBPOOL_PENDING);
    bool measured = deed == DEED_TAKE_LONG || deed == DEED_CRASH;
    CU_ASSERT_EQUAL(result->max_rss_bytes != 0, measured);
    CU_ASSERT(measured || result->user_ns + result->system_ns == 0);
    CU_ASSERT_EQUAL(result->trace != NULL, deed == DEED_CRASH);
    CU_ASSERT(result->tail == NULL && result->tail_size == 0 && result->memory_bytes == 0);
}

/* Each place in the slab is used by each of them, and after each of them. */
TEST_WITHIN(future, what_was_told_of_one_task_is_not_told_of_the_next, 60000)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .flags = LIBPOOL_TRACE};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    for (uint32_t i = 0; i < 64 * 8; i++) {
        enum deed deed = i % 64 < 20 ? (enum deed)((i / 64 * 3 + i) % DEEDS) : DEED_NOTHING;
        libpool_future *future = NULL;
        libpool_task task = {
            .size = sizeof task, .function = do_deed, .input = &deed, .input_size = sizeof deed};
        CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
        CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, WAIT_MS), 0);
        check_told(libpool_future_result(future), deed);
        libpool_future_free(future);
    }
    libpool_close(pool);
}

/* ---- a pool in a task ------------------------------------------------------------------------ */

#define INNER 3

/* Who runs in the inner pool. */
static _Atomic int32_t *inner_pids;

static int stay(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    atomic_store(&inner_pids[libpool_worker_task_id(worker) % INNER], getpid());
    for (;;)
        (void)pause();
    return 0;
}

static int open_inner(libpool **pool, uint32_t flags, libpool_task_function *function,
                      libpool_future **futures)
{
    libpool_options options = {.size = sizeof options, .flags = flags, .max_workers = INNER};
    libpool_task task = {
        .size = sizeof task, .function = function, .input = "inner", .input_size = 5};
    int error = libpool_open(pool, &options);
    for (int i = 0; i < INNER && !error; i++)
        error = libpool_submit(*pool, &task, -1, &futures[i]);
    return error;
}

/* Opens a pool, has it run what echoes, closes it. */
static int use_inner(libpool_worker *worker, const void *flags, size_t size)
{
    libpool *pool;
    libpool_future *futures[INNER];
    (void)worker, (void)size;
    int error = open_inner(&pool, *(const uint32_t *)flags, echo, futures);
    for (int i = 0; i < INNER && !error; i++) {
        error = libpool_future_wait(futures[i], WAIT_MS);
        const libpool_result *result = libpool_future_result(futures[i]);
        if (!error && (result->cause != LIBPOOL_COMPLETED || result->data_size != 5))
            error = -EBADMSG;
        libpool_future_free(futures[i]);
    }
    if (!error)
        libpool_close(pool);
    return error;
}

/* Opens one and never comes back: what runs in it has to be killed with this task. */
static int be_lost_with_inner(libpool_worker *worker, const void *flags, size_t size)
{
    libpool *pool;
    libpool_future *futures[INNER];
    (void)worker, (void)size;
    int error = open_inner(&pool, *(const uint32_t *)flags, stay, futures);
    if (error)
        return error;
    (void)libpool_wait_all(futures, INNER, -1);
    return 1;
}

static libpool_cause run(libpool *pool, libpool_task_function *function, uint32_t flags,
                         uint32_t run_timeout_ms)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = function,
                         .input = &flags,
                         .input_size = sizeof flags,
                         .run_timeout_ms = run_timeout_ms};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, WAIT_MS), 0);
    const libpool_result *result = libpool_future_result(future);
    libpool_cause cause = result->cause;
    if (cause == LIBPOOL_ERROR)
        fprintf(stderr, "%s\n", result->text);
    libpool_future_free(future);
    return cause;
}

static bool is_there(const char *parent, const char *name)
{
    char path[LP_CGROUP_PATH_BYTES + 128];
    (void)snprintf(path, sizeof path, "%s/%s", parent, name);
    return parent[0] && access(path, F_OK) == 0;
}

static void nest(uint32_t outer_flags, uint32_t inner_flags)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .flags = outer_flags, .max_workers = 1};
    inner_pids = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL((void *)inner_pids != MAP_FAILED);
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(run(pool, use_inner, inner_flags, 0), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(run(pool, be_lost_with_inner, inner_flags, 500), LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(run(pool, use_inner, inner_flags, 0), LIBPOOL_COMPLETED);
    struct lp_cgroup_place place = pool->place;
    libpool_close(pool);
    CU_ASSERT_FALSE(is_there(place.v2_path, place.name) || is_there(place.memory_path, place.name));
    for (int i = 0; i < INNER; i++) {
        CU_ASSERT(inner_pids[i] > 0);
        CU_ASSERT_EQUAL(kill(inner_pids[i], 0), -1);
    }
    (void)munmap((void *)inner_pids, 4096);
}

TEST(nested, a_task_may_use_a_pool_of_its_own_which_ends_with_it)
{
    nest(0, 0);
    nest(0, LIBPOOL_NO_THREAD);
    nest(LIBPOOL_NO_CGROUP, LIBPOOL_NO_CGROUP);
}
