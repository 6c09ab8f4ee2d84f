/* SPDX-License-Identifier: MIT */
/*
 * Nothing to be had: every public call with an allocator that fails at the n-th allocation, once or from
 * then on, for n = 1, 2, 3... until the call gets by; and libpool_open with each kernel call failing so.
 * The error is told, nothing is left, and the pool goes on.
 */
#include <libpool.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/test.h"
#include "sys/sys.h"

#define WAIT_MS 20000
#define MANY 200
#define LARGE 5000 /* bytes: neither input nor result lies in the future itself */
#define SWEEP_MAX 500

/* ---- an allocator that runs dry --------------------------------------------------------------- */

struct scarcity {
    int64_t calls, fail_at; /* 0: never */
    bool for_good;
    int64_t bytes;
};

static void *allocate(void *context, size_t size)
{
    struct scarcity *scarcity = context;
    int64_t fail_at = __atomic_load_n(&scarcity->fail_at, __ATOMIC_RELAXED);
    int64_t call = __atomic_add_fetch(&scarcity->calls, 1, __ATOMIC_RELAXED);
    if (fail_at && (call == fail_at || (scarcity->for_good && call > fail_at)))
        return NULL;
    __atomic_add_fetch(&scarcity->bytes, (int64_t)size, __ATOMIC_RELAXED);
    return malloc(size);
}

static void release(void *context, void *pointer, size_t size)
{
    struct scarcity *scarcity = context;
    __atomic_sub_fetch(&scarcity->bytes, (int64_t)size, __ATOMIC_RELAXED);
    free(pointer);
}

static void fail_from_here(struct scarcity *scarcity, int64_t n)
{
    int64_t calls = __atomic_load_n(&scarcity->calls, __ATOMIC_RELAXED);
    __atomic_store_n(&scarcity->fail_at, calls + n, __ATOMIC_RELAXED);
}

/* True: it did fail; all is to be had again. */
static bool heal(struct scarcity *scarcity)
{
    int64_t fail_at = __atomic_exchange_n(&scarcity->fail_at, 0, __ATOMIC_RELAXED);
    return __atomic_load_n(&scarcity->calls, __ATOMIC_RELAXED) >= fail_at;
}

/* ---- tasks and helpers ----------------------------------------------------------------------- */

static int noop(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

static int echo(libpool_worker *worker, const void *input, size_t size)
{
    return libpool_reply(worker, input, size);
}

static int count_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static int try_open(libpool **pool, uint32_t flags, libpool_allocator *allocator)
{
    static const char *const environment[] = {"SCARCE=1"};
    libpool_outfit outfit = {
        .size = sizeof outfit, .environment = environment, .environment_count = 1};
    libpool_options options = {.size = sizeof options,
                               .flags = flags,
                               .max_workers = 2,
                               .event_buffer = 16,
                               .outfit = &outfit,
                               .allocator = allocator};
    return libpool_open(pool, &options);
}

static libpool *open_pool(libpool_allocator *allocator)
{
    libpool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(try_open(&pool, 0, allocator), 0);
    return pool;
}

/* Completes, unless the pool is lame. */
static bool is_usable(libpool *pool)
{
    static const unsigned char input[LARGE] = {1};
    libpool_future *future = NULL;
    libpool_task task = {
        .size = sizeof task, .function = echo, .input = input, .input_size = sizeof input};
    if (libpool_submit(pool, &task, -1, &future) || libpool_future_wait(future, WAIT_MS))
        return false;
    bool usable = libpool_future_result(future)->cause == LIBPOOL_COMPLETED;
    libpool_future_free(future);
    return usable;
}

/* One call on a pool that is there, when the n-th allocation from here on fails. False: wrong. */
typedef bool attempt(libpool *pool, struct scarcity *scarcity);

/* The attempts see each failure until there is none; before and after each the pool works. */
static void sweep(attempt *call, bool for_good)
{
    struct scarcity scarcity = {.for_good = for_good};
    libpool_allocator allocator = {&scarcity, allocate, release};
    bool failed = true;
    int n = 0;
    while (failed && ++n < SWEEP_MAX) {
        libpool *pool = open_pool(&allocator);
        fail_from_here(&scarcity, n);
        CU_ASSERT(call(pool, &scarcity));
        failed = heal(&scarcity);
        CU_ASSERT(is_usable(pool));
        libpool_close(pool);
        CU_ASSERT_EQUAL(scarcity.bytes, 0);
    }
    CU_ASSERT(n > 1 && n < SWEEP_MAX);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void open_without_memory(uint32_t flags, bool for_good)
{
    struct scarcity scarcity = {.for_good = for_good};
    libpool_allocator allocator = {&scarcity, allocate, release};
    struct stat before, after;
    int fds = count_fds(), n = 0, error = -ENOMEM;
    CU_ASSERT_EQUAL_FATAL(fstat(0, &before), 0);
    while (error && ++n < SWEEP_MAX) {
        libpool *pool = (libpool *)&scarcity;
        fail_from_here(&scarcity, n);
        error = try_open(&pool, flags, &allocator);
        CU_ASSERT_EQUAL(heal(&scarcity), error != 0);
        CU_ASSERT(error == 0 || (error == -ENOMEM && !pool));
        CU_ASSERT(error || is_usable(pool));
        libpool_close(pool);
        CU_ASSERT_EQUAL(scarcity.bytes, 0);
        CU_ASSERT_EQUAL(count_fds(), fds);
    }
    CU_ASSERT(n > 5 && n < SWEEP_MAX);
    CU_ASSERT_EQUAL(fstat(0, &after), 0);
    CU_ASSERT(before.st_ino == after.st_ino && before.st_dev == after.st_dev);
}

TEST(scarce, open_tells_that_there_is_no_memory_and_leaves_nothing)
{
    open_without_memory(0, false);
    open_without_memory(LIBPOOL_NO_THREAD, true);
}

TEST(scarce, open_with_a_malformed_outfit_leaves_descriptors_alone)
{
    libpool *pool = NULL;
    libpool_outfit outfit = {.size = sizeof outfit, .directory = "relative"};
    libpool_options options = {.size = sizeof options, .outfit = &outfit};
    int fds = count_fds();
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
    CU_ASSERT_EQUAL(count_fds(), fds);
    outfit.size = 1;
    CU_ASSERT(libpool_open(&pool, &options) < 0);
    CU_ASSERT_EQUAL(count_fds(), fds);
}

/* ---- submitting ------------------------------------------------------------------------------ */

/* A task that was taken completes, or tells that there was no memory for its result. */
static bool ends_well(libpool_future *future, size_t size)
{
    if (libpool_future_wait(future, WAIT_MS))
        return false;
    const libpool_result *result = libpool_future_result(future);
    bool short_of_memory = result->cause == LIBPOOL_ERROR && result->code == -ENOMEM &&
                           !result->data_size;
    bool whole = result->cause == LIBPOOL_COMPLETED && result->data_size == size;
    return whole || short_of_memory;
}

static bool submit_large(libpool *pool, struct scarcity *scarcity)
{
    static unsigned char input[LARGE];
    libpool_future *future = (libpool_future *)(void *)scarcity;
    libpool_task task = {
        .size = sizeof task, .function = echo, .input = input, .input_size = sizeof input};
    int error = libpool_submit(pool, &task, -1, &future);
    bool good = error ? error == -ENOMEM && !future : ends_well(future, sizeof input);
    libpool_future_free(future);
    return good;
}

static bool submit_detached(libpool *pool, struct scarcity *scarcity)
{
    (void)scarcity;
    libpool_task task = {.size = sizeof task, .function = noop};
    int error = libpool_submit(pool, &task, -1, NULL);
    return error == 0 || error == -ENOMEM;
}

static void fill_tasks(libpool_task *tasks)
{
    static unsigned char input[LARGE];
    for (int i = 0; i < MANY; i++)
        tasks[i] = (libpool_task){.size = sizeof tasks[i],
                                  .function = i % 8 ? noop : echo,
                                  .input = input,
                                  .input_size = i % 8 ? 4 : sizeof input};
}

static bool submit_many(libpool *pool, struct scarcity *scarcity)
{
    libpool_task tasks[MANY];
    libpool_future *futures[MANY];
    (void)scarcity;
    fill_tasks(tasks);
    int64_t n = libpool_submit_many(pool, tasks, MANY, -1, futures);
    bool good = (n > 0 && n <= MANY) || n == -ENOMEM;
    for (int64_t i = 0; i < MANY; i++) {
        good = good &&
               (i < n ? futures[i] && ends_well(futures[i], i % 8 ? 0 : LARGE) : !futures[i]);
        libpool_future_free(futures[i]);
    }
    return good;
}

TEST(scarce, submit_takes_a_task_whole_or_not_at_all)
{
    sweep(submit_large, false);
    sweep(submit_large, true);
    sweep(submit_detached, true);
}

TEST(scarce, submit_many_says_how_many_it_took)
{
    sweep(submit_many, false);
    sweep(submit_many, true);
}

/* ---- gathering ------------------------------------------------------------------------------- */

static int submit_noops(libpool *pool, libpool_future **futures, int n)
{
    libpool_task task = {.size = sizeof task, .function = noop};
    for (int i = 0; i < n; i++)
        if (libpool_submit(pool, &task, -1, &futures[i]))
            return i;
    return n;
}

/* They are submitted before memory is short: the scarcity counts from then on. */
static bool gather(libpool *pool, struct scarcity *scarcity)
{
    libpool_future *futures[20];
    libpool_gather *gather = (libpool_gather *)(void *)scarcity;
    int64_t n = scarcity->fail_at - scarcity->calls;
    (void)heal(scarcity);
    bool good = submit_noops(pool, futures, 20) == 20;
    fail_from_here(scarcity, n);
    int64_t any = libpool_wait_any(futures, 20, WAIT_MS);
    int error = libpool_gather_open(&gather, futures, 20);
    good = good && (any >= 0 || any == -ENOMEM) && (error ? error == -ENOMEM && !gather : true);
    for (int i = 0; i < 20 && !error; i++)
        good = good && libpool_gather_next(gather, WAIT_MS) >= 0;
    libpool_gather_close(gather);
    good = good && libpool_wait_all(futures, 20, WAIT_MS) == 0;
    for (int i = 0; i < 20; i++)
        libpool_future_free(futures[i]);
    return good;
}

TEST(scarce, waiting_and_gathering_tell_and_may_be_tried_again)
{
    sweep(gather, false);
    sweep(gather, true);
}

/* ---- batches and calls ----------------------------------------------------------------------- */

static int count_result(void *arg, uint64_t element, const libpool_result *result)
{
    uint64_t *n = arg;
    (void)element, (void)result;
    ++*n;
    return 0;
}

static bool run_map(libpool *pool, struct scarcity *scarcity)
{
    static unsigned char inputs[40][LARGE];
    uint64_t results = 0;
    libpool_batch batch = {.size = sizeof batch,
                           .function = echo,
                           .inputs = inputs,
                           .input_size = LARGE,
                           .elements = 40,
                           .result = count_result,
                           .result_arg = &results};
    libpool_batch_report report = {.size = sizeof report};
    (void)scarcity;
    int error = libpool_map(pool, &batch, &report);
    return (error == 0 || error == -ENOMEM) && results == report.elements &&
           report.elements ==
               report.ended[LIBPOOL_COMPLETED] + report.failed + report.ended[LIBPOOL_CANCELLED] &&
           report.failed == report.ended[LIBPOOL_ERROR] && (error || report.elements == 40);
}

TEST(scarce, a_batch_hands_over_each_element_it_took)
{
    sweep(run_map, false);
    sweep(run_map, true);
}

static bool run_call(libpool *pool, struct scarcity *scarcity)
{
    static unsigned char input[LARGE];
    libpool_allocator allocator = {scarcity, allocate, release};
    libpool_options options = {.size = sizeof options, .allocator = &allocator};
    libpool_task task = {
        .size = sizeof task, .function = echo, .input = input, .input_size = sizeof input};
    libpool_future *future = (libpool_future *)(void *)pool;
    int error = libpool_call(&task, &options, &future);
    bool good = error ? error == -ENOMEM && !future : ends_well(future, sizeof input);
    libpool_future_free(future);
    return good;
}

TEST(scarce, a_call_tells_that_there_is_no_memory)
{
    sweep(run_call, false);
    sweep(run_call, true);
}

/* What ends things may not need what is not there. */
TEST(scarce, all_else_needs_no_memory)
{
    struct scarcity scarcity = {.for_good = true};
    libpool_allocator allocator = {&scarcity, allocate, release};
    libpool *pool = open_pool(&allocator);
    libpool_future *futures[2];
    libpool_stats stats = {.size = sizeof stats};
    libpool_event event = {.size = sizeof event};
    CU_ASSERT_EQUAL_FATAL(submit_noops(pool, futures, 2), 2);
    int64_t calls = scarcity.calls;
    fail_from_here(&scarcity, 1);
    CU_ASSERT_EQUAL(libpool_resize(pool, 1, 2), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(futures[0], WAIT_MS), 0);
    CU_ASSERT(libpool_wait_any(futures, 2, WAIT_MS) >= 0);
    CU_ASSERT(libpool_future_cancel(futures[1]) > 0);
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(libpool_event_next(pool, &event, 0), 0);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, -1), 0);
    libpool_close(pool);
    CU_ASSERT_EQUAL(scarcity.calls, calls);
    libpool_future_free(futures[0]);
    libpool_future_free(futures[1]);
    CU_ASSERT_EQUAL(scarcity.bytes, 0);
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static struct {
    pid_t host;
    int calls, fail_at;
} kernel;

/* The host's own calls, the midwife's included: it shares the host's memory. */
static bool is_refused(void)
{
    if (getpid() != kernel.host && getppid() != kernel.host)
        return false;
    return __atomic_add_fetch(&kernel.calls, 1, __ATOMIC_RELAXED) == kernel.fail_at;
}

#define REFUSING(type, row, parameters, arguments, error)                  \
    static type refusing_##row parameters                                  \
    {                                                                      \
        return is_refused() ? (type)(error) : lp_sys_kernel.row arguments; \
    }

REFUSING(void *, map, (size_t size), (size), 0)
REFUSING(void *, map_shared, (size_t size), (size), 0)
REFUSING(int, wipe_on_fork, (void *memory, size_t size), (memory, size), -EINVAL)
REFUSING(int, set_inherited, (void *memory, size_t size, int on), (memory, size, on), -ENOMEM)
REFUSING(int, eventfd, (unsigned count, int flags), (count, flags), -EMFILE)
REFUSING(int, epoll_create, (int flags), (flags), -EMFILE)
REFUSING(int, epoll_ctl, (int epoll_fd, int operation, int fd, struct epoll_event *event),
         (epoll_fd, operation, fd, event), -ENOMEM)
REFUSING(int, timerfd_create, (clockid_t clock, int flags), (clock, flags), -EMFILE)
REFUSING(int, pipe, (int fds[2], int flags), (fds, flags), -EMFILE)
REFUSING(int, socketpair, (int type, int fds[2]), (type, fds), -EMFILE)
REFUSING(int, dup_from, (int fd, int lowest), (fd, lowest), -EMFILE)
REFUSING(int, openat, (int directory_fd, const char *path, int flags), (directory_fd, path, flags),
         -EMFILE)
REFUSING(pid_t, fork, (void), (), -EAGAIN)
REFUSING(pid_t, clone, (int (*body)(void *), void *stack_top, int flags, void *arg),
         (body, stack_top, flags, arg), -EAGAIN)
REFUSING(int, pidfd_open, (pid_t pid), (pid), -EMFILE)

/* Opens, and says what came of it; a pool that opened has to work in the end. */
static void open_once(int fds)
{
    libpool *pool = NULL;
    int error = try_open(&pool, 0, NULL);
    CU_ASSERT(error == 0 || error == -ENOMEM || error == -EMFILE || error == -EAGAIN);
    CU_ASSERT_EQUAL(!pool, error != 0);
    CU_ASSERT(error || is_usable(pool));
    libpool_close(pool);
    CU_ASSERT_EQUAL(count_fds(), fds);
}

/* *row is refused once, at its first call, its second... until it isn't called so often. */
static void sweep_row(const char *name, void **row, void *refusing)
{
    int fds = count_fds(), n = 0;
    void *real = *row;
    do {
        kernel.calls = 0;
        kernel.fail_at = ++n;
        *row = refusing;
        open_once(fds);
        *row = real;
    } while (kernel.calls >= n && n < SWEEP_MAX);
    CU_assertImplementation(n > 1, __LINE__, name, __FILE__, "",
                            CU_FALSE); /* it is called at all */
}

#define SWEEP_ROW(row) sweep_row(#row, (void **)&lp_sys.row, (void *)refusing_##row)

TEST_WITHIN(scarce, open_with_each_kernel_call_refused_tells_or_gets_by, 60000)
{
    kernel.host = getpid();
    SWEEP_ROW(map);
    SWEEP_ROW(map_shared);
    SWEEP_ROW(wipe_on_fork);
    SWEEP_ROW(set_inherited);
    SWEEP_ROW(eventfd);
    SWEEP_ROW(epoll_create);
    SWEEP_ROW(epoll_ctl);
    SWEEP_ROW(timerfd_create);
    SWEEP_ROW(pipe);
    SWEEP_ROW(socketpair);
    SWEEP_ROW(dup_from);
    SWEEP_ROW(openat);
    SWEEP_ROW(fork);
    SWEEP_ROW(clone);
    SWEEP_ROW(pidfd_open);
}
