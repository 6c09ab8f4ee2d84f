/* SPDX-License-Identifier: MIT */
/* Parts: they come before the result, in order, none too many and none twice. */
#include <libpool.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"

#define PART_BYTES 100000u
#define MANY 100u
#define MANY_SMALL 1000u /* more than one look at a channel takes */
/* What waits, what is in the ring, and the one that is being sent. */
#define RING_BYTES (256u * 1024)
#define MOST_AHEAD ((LIBPOOL_PARTS_BYTES + RING_BYTES) / PART_BYTES + 2)
#define WAIT_MS 20000

static struct shared {
    _Atomic uint32_t sent, runs;
    _Atomic int told[4];
} * shared;

static const size_t sizes[] = {1, 0, 64, 100, 65536, 700000, 3};
#define N_SIZES (sizeof sizes / sizeof *sizes)

static unsigned char byte_of(size_t part, size_t at)
{
    return (unsigned char)(part * 31 + at * 7 + at / 4096);
}

/* ---- tasks ---------------------------------------------------------------------------------- */

static void emit_one(libpool_worker *worker, size_t part, size_t size)
{
    unsigned char *bytes = malloc(size + 1);
    for (size_t i = 0; bytes && i < size; i++)
        bytes[i] = byte_of(part, i);
    if (libpool_emit(worker, bytes, size) == 0)
        atomic_fetch_add(&shared->sent, 1);
    free(bytes);
}

static int emit_and_hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    for (size_t i = 0; i < N_SIZES; i++)
        emit_one(worker, i, sizes[i]);
    while (worker)
        (void)pause();
    return 0;
}

static int emit_many(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    for (size_t i = 0; i < MANY; i++)
        emit_one(worker, i, PART_BYTES);
    return libpool_reply(worker, "end", 3);
}

static int emit_many_small(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    for (size_t i = 0; i < MANY_SMALL; i++)
        emit_one(worker, i, i % 3);
    return 0;
}

/* Its first run dies when it has sent something, its second sends something else. */
static int emit_and_die_first(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    uint32_t run = atomic_fetch_add(&shared->runs, 1);
    emit_one(worker, run, 50 + run);
    if (run == 0)
        (void)raise(SIGKILL);
    return 0;
}

static int emit_where_it_cannot(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    pid_t child = fork();
    if (child == 0) {
        shared->told[1] = libpool_emit(worker, "x", 1);
        _exit(0);
    }
    (void)waitpid(child, NULL, 0);
    shared->told[2] = libpool_emit(worker, NULL, 5000);
    return 0;
}

static int emit_outside(libpool_worker *worker, void *arg)
{
    (void)arg;
    shared->told[0] = libpool_emit(worker, "x", 1);
    return 0;
}

/* ---- the application ------------------------------------------------------------------------ */

static libpool *open_with(libpool_options options)
{
    libpool *pool = NULL;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(shared != MAP_FAILED);
    options.size = sizeof options;
    options.min_workers = options.max_workers = 1;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}
#define OPEN(...) open_with((libpool_options){.size = 0, ##__VA_ARGS__})

static void close_pool(libpool *pool)
{
    libpool_close(pool);
    (void)munmap(shared, sizeof *shared);
}

static libpool_future *submit_task(libpool *pool, libpool_task task)
{
    libpool_future *future = NULL;
    task.size = sizeof task;
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}
#define SUBMIT(...) submit_task(pool, (libpool_task){.size = 0, ##__VA_ARGS__})

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void expect_part(libpool_future *future, size_t part, size_t expected)
{
    const void *data = NULL;
    size_t size = SIZE_MAX, wrong = 0;
    CU_ASSERT_EQUAL_FATAL(libpool_future_part(future, &data, &size, WAIT_MS), 1);
    CU_ASSERT_EQUAL_FATAL(size, expected);
    CU_ASSERT_EQUAL((uintptr_t)data % 16, 0);
    for (size_t i = 0; i < size; i++)
        wrong += ((const unsigned char *)data)[i] != byte_of(part, i);
    CU_ASSERT_EQUAL(wrong, 0);
}

static int part_now(libpool_future *future)
{
    const void *data;
    size_t size;
    return libpool_future_part(future, &data, &size, 0);
}

static libpool_cause cause_of(libpool_future *future)
{
    CU_ASSERT_EQUAL(libpool_future_wait(future, WAIT_MS), 0);
    const libpool_result *result = libpool_future_result(future);
    return result ? result->cause : LIBPOOL_PENDING;
}

/* ---- what is true --------------------------------------------------------------------------- */

static void take_before_the_end(libpool *pool)
{
    libpool_future *future = SUBMIT(.function = emit_and_hang);
    for (size_t i = 0; i < N_SIZES; i++)
        expect_part(future, i, sizes[i]);
    CU_ASSERT_EQUAL(part_now(future), -ETIMEDOUT);
    CU_ASSERT_PTR_NULL(libpool_future_result(future));
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_KILLED);
    CU_ASSERT_EQUAL(part_now(future), 0);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(parts, they_come_while_the_task_runs)
{
    take_before_the_end(OPEN());
}

TEST(parts, they_come_where_the_application_drives)
{
    take_before_the_end(OPEN(.flags = LIBPOOL_NO_THREAD));
}

static void take_many(libpool *pool)
{
    libpool_future *future = SUBMIT(.function = emit_many);
    for (size_t i = 0; i < MANY; i++) {
        expect_part(future, i, PART_BYTES);
        CU_ASSERT(atomic_load(&shared->sent) <= i + 1 + MOST_AHEAD);
    }
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(part_now(future), 0);
    CU_ASSERT_EQUAL(libpool_future_result(future)->data_size, 3);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(parts, a_task_gets_no_further_ahead_than_what_may_wait)
{
    take_many(OPEN());
}

TEST(parts, many_small_ones_at_once_are_no_nonsense)
{
    libpool *pool = OPEN();
    libpool_future *future = SUBMIT(.function = emit_many_small);
    for (size_t i = 0; i < MANY_SMALL; i++)
        expect_part(future, i, i % 3);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_COMPLETED);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(parts, who_only_ever_looks_gets_them_all)
{
    libpool *pool = OPEN();
    libpool_future *future = SUBMIT(.function = emit_many);
    uint32_t taken = 0;
    int got;
    while ((got = part_now(future)) == 1 || got == -ETIMEDOUT) {
        taken += got == 1;
        while (got == 1 && atomic_load(&shared->sent) < MANY &&
               atomic_load(&shared->sent) < taken + LIBPOOL_PARTS_BYTES / PART_BYTES)
            (void)sched_yield(); /* the pool is left alone until it is stalled */
    }
    CU_ASSERT_EQUAL(got, 0);
    CU_ASSERT_EQUAL(taken, MANY);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(parts, a_task_gets_no_further_ahead_where_the_application_drives)
{
    take_many(OPEN(.flags = LIBPOOL_NO_THREAD));
}

TEST(parts, a_task_whose_parts_nobody_takes_has_its_time_and_they_stay)
{
    libpool *pool = OPEN();
    libpool_future *future = SUBMIT(.function = emit_many, .run_timeout_ms = 300);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_TIMEOUT);
    uint32_t sent = atomic_load(&shared->sent);
    uint32_t at_its_deadline = 2 * RING_BYTES / PART_BYTES + 2; /* is its result in the ring? */
    CU_ASSERT(sent >= LIBPOOL_PARTS_BYTES / PART_BYTES && sent <= MOST_AHEAD + at_its_deadline);
    for (size_t i = 0; i < LIBPOOL_PARTS_BYTES / PART_BYTES; i++)
        expect_part(future, i, PART_BYTES);
    int got;
    while ((got = part_now(future)) == 1)
        sent--;
    CU_ASSERT_EQUAL(got, 0);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(parts, a_future_that_is_freed_holds_nobody_up)
{
    libpool *pool = OPEN();
    libpool_future *future = SUBMIT(.function = emit_many);
    while (atomic_load(&shared->sent) < MOST_AHEAD - 2) /* then its worker is not listened to */
        (void)sched_yield();
    (void)poll(NULL, 0, 200); /* the pool dozes off: nothing but the freeing wakes it */
    libpool_future_free(future);
    uint64_t until_ms = now_ms() + 5000; /* a look at whatever is long in coming is in 10 s */
    while (atomic_load(&shared->sent) < MANY && now_ms() < until_ms)
        (void)sched_yield();
    CU_ASSERT_EQUAL(atomic_load(&shared->sent), MANY);
    libpool_task task = {.size = sizeof task, .function = emit_many};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), 0);
    CU_ASSERT_EQUAL(libpool_drain(pool, WAIT_MS), 0);
    CU_ASSERT_EQUAL(atomic_load(&shared->sent), 2 * MANY);
    close_pool(pool);
}

TEST(parts, where_nobody_could_take_them_they_hold_nobody_up)
{
    libpool *pool = OPEN();
    libpool_batch batch = {.size = sizeof batch, .function = emit_many, .elements = 3};
    libpool_batch_report report = {.size = sizeof report};
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), 0);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_COMPLETED], 3);
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .function = emit_many};
    CU_ASSERT_EQUAL(libpool_call(&task, NULL, &future), 0);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(part_now(future), 0);
    CU_ASSERT_EQUAL(atomic_load(&shared->sent), 4 * MANY);
    libpool_future_free(future);
    task.flags = LIBPOOL_DROP_PARTS;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(part_now(future), 0);
    CU_ASSERT_EQUAL(atomic_load(&shared->sent), 5 * MANY);
    libpool_future_free(future);
    close_pool(pool);
}

static int emit_thirty(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    int error = 0;
    for (int i = 0; i < 30 && !error; i++)
        error = libpool_emit(worker, "x", 1);
    return error;
}

/* What lies between its results are parts; who is healthy is not killed for them. */
TEST(parts, a_cancel_finds_the_results_among_many_parts)
{
    libpool *pool = OPEN();
    libpool_task tasks[64];
    libpool_future *futures[64];
    for (int i = 0; i < 64; i++)
        tasks[i] = (libpool_task){.size = sizeof tasks[i], .function = emit_thirty};
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 200; i++) { /* so that tasks are tiny, as far as is known */
            libpool_future *future = SUBMIT(.function = libpool_noop);
            CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_COMPLETED);
            libpool_future_free(future);
        }
        CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 64, -1, futures), 64);
        (void)usleep(100); /* sleeps: the worker is somewhere among them then */
        (void)libpool_future_cancel(futures[63]);
        for (int i = 0; i < 64; i++) {
            CU_ASSERT(cause_of(futures[i]) == LIBPOOL_COMPLETED || i == 63);
            libpool_future_free(futures[i]);
        }
    }
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_CORRUPT], 0);
    close_pool(pool);
}

TEST(parts, what_was_sent_before_a_death_is_there)
{
    libpool *pool = OPEN();
    libpool_future *future = SUBMIT(.function = emit_and_die_first);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_KILLED);
    expect_part(future, 0, 50);
    CU_ASSERT_EQUAL(part_now(future), 0);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(parts, those_of_a_run_that_is_made_again_are_dropped)
{
    libpool *pool = OPEN();
    libpool_future *future = SUBMIT(.function = emit_and_die_first, .retries = 1,
                                    .retry_causes = 1u << LIBPOOL_KILLED, .retry_min_ms = 1);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_COMPLETED);
    expect_part(future, 1, 51);
    CU_ASSERT_EQUAL(part_now(future), 0);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(parts, they_are_sent_by_tasks_only_and_are_no_larger_than_results)
{
    libpool *pool = OPEN(.initializer = emit_outside, .result_bytes = 4096);
    libpool_future *future = SUBMIT(.function = emit_where_it_cannot);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(part_now(future), 0);
    CU_ASSERT_EQUAL(shared->told[0], -EINVAL);
    CU_ASSERT_EQUAL(shared->told[1], -ECHILD);
    CU_ASSERT_EQUAL(shared->told[2], -EMSGSIZE);
    libpool_future_free(future);
    close_pool(pool);
}

/* Refuses what is as large as the part of 700,000 bytes. */
static void *allocate(void *context, size_t size)
{
    (void)context;
    return size >= 600000 && size < 800000 ? NULL : malloc(size);
}

static void release(void *context, void *pointer, size_t size)
{
    (void)context, (void)size;
    free(pointer);
}

TEST(parts, one_that_there_is_no_memory_for_is_told)
{
    libpool_allocator allocator = {.allocate = allocate, .release = release};
    libpool *pool = OPEN(.allocator = &allocator);
    libpool_future *future = SUBMIT(.function = emit_and_hang);
    const void *data;
    size_t size, taken = 0, lost = 0;
    while (taken + lost < N_SIZES) {
        int got = libpool_future_part(future, &data, &size, WAIT_MS);
        CU_ASSERT_FATAL(got == 1 || got == -ENOMEM);
        CU_ASSERT(got != 1 || size != 700000);
        taken += got == 1;
        lost += got == -ENOMEM;
    }
    CU_ASSERT_EQUAL(lost, 1);
    CU_ASSERT_EQUAL(part_now(future), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_KILLED);
    libpool_future_free(future);
    close_pool(pool);
}
