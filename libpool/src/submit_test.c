/* SPDX-License-Identifier: MIT */
/* Handing over: one and many, what is refused and counted, and who is woken by it. */
#include <libpool.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"
#include "sys/sys.h"

#define WAIT_MS 20000
#define MANY 900
#define ROUNDS 10
#define BURSTS 300
#define BURST_MAX 100

/* ---- tasks and helpers ---------------------------------------------------------------------- */

static int noop(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

static _Atomic uint64_t *tally; /* shared with the workers */

static int count_itself(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    (void)atomic_fetch_add(tally, 1);
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

static libpool *open_pool(uint32_t flags, uint32_t workers, uint32_t backlog_tasks)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .flags = flags,
                               .min_workers = workers,
                               .max_workers = workers,
                               .backlog_tasks = backlog_tasks};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_cause cause_of(libpool_future *future)
{
    if (!future || libpool_future_wait(future, WAIT_MS) != 0)
        return LIBPOOL_PENDING;
    libpool_cause cause = libpool_future_result(future)->cause;
    libpool_future_free(future);
    return cause;
}

/* All of them have been idle once. */
static void raise_workers(libpool *pool, uint32_t workers)
{
    libpool_future *futures[8];
    libpool_task hangs = {.size = sizeof hangs, .function = hang};
    libpool_stats stats = {.size = sizeof stats};
    uint64_t end = (uint64_t)time(NULL) + WAIT_MS / 1000;
    for (uint32_t i = 0; i < workers; i++)
        CU_ASSERT_EQUAL(libpool_submit(pool, &hangs, WAIT_MS, &futures[i]), 0);
    while (libpool_stats_read(pool, &stats) == 0 && stats.worker_processes_busy < workers &&
           (uint64_t)time(NULL) < end)
        (void)libpool_future_wait(futures[0], 5);
    for (uint32_t i = 0; i < workers; i++) {
        CU_ASSERT(libpool_future_cancel(futures[i]) > 0);
        libpool_future_free(futures[i]);
    }
    while (libpool_stats_read(pool, &stats) == 0 && stats.worker_processes_idle < workers &&
           (uint64_t)time(NULL) < end) {
        libpool_task task = {.size = sizeof task, .function = noop};
        libpool_future *future = NULL;
        CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
        CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_COMPLETED);
    }
    CU_ASSERT_EQUAL_FATAL(stats.worker_processes_idle, workers);
}

/* ---- one ------------------------------------------------------------------------------------ */

TEST(submit, a_queue_timeout_is_kept_when_nothing_else_happens)
{
    libpool *pool = open_pool(0, 1, 10);
    raise_workers(pool, 1);
    libpool_future *busy = NULL, *queued = NULL;
    libpool_task task = {.size = sizeof task, .function = hang};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, &busy), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(busy, 50), -ETIMEDOUT); /* the driver sleeps by now */
    task.queue_timeout_ms = 20;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, &queued), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(queued, 2000), 0);
    CU_ASSERT_EQUAL(cause_of(queued), LIBPOOL_QUEUE_TIMEOUT);
    libpool_future_free(busy);
    libpool_close(pool);
}

/* ---- many ----------------------------------------------------------------------------------- */

TEST(submit, many_find_the_idle_and_then_the_backlog)
{
    libpool *pool = open_pool(0, 3, 1);
    raise_workers(pool, 3);
    libpool_task tasks[6];
    for (int i = 0; i < 6; i++)
        tasks[i] = (libpool_task){.size = sizeof tasks[i], .function = hang};
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 6, 0, NULL), 4);
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.tasks_received, 3 + stats.tasks_ended[LIBPOOL_COMPLETED] + 4);
    CU_ASSERT_EQUAL(stats.tasks_rejected, 2);
    libpool_close(pool);
}

/* What is sent ahead may be shown to its worker with what follows; here nothing does. */
TEST(submit, a_burst_of_tiny_tasks_is_run_though_nobody_waits_or_goes_on)
{
    libpool_task counts = {.size = sizeof counts, .function = count_itself};
    uint64_t submitted = 0, end = (uint64_t)time(NULL) + WAIT_MS / 1000;
    tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(tally != MAP_FAILED);
    libpool *pool = open_pool(0, 2, 200);
    for (int burst = 0; burst < BURSTS; burst++) {
        for (int i = 0; i <= burst % BURST_MAX; i++, submitted++)
            CU_ASSERT_EQUAL(libpool_submit(pool, &counts, 0, NULL), 0);
        while (atomic_load(tally) < submitted && (uint64_t)time(NULL) < end)
            (void)sched_yield();
    }
    CU_ASSERT_EQUAL(atomic_load(tally), submitted);
    libpool_close(pool);
    (void)munmap(tally, sizeof *tally);
}

TEST(submit, an_element_of_another_size_ends_the_batch_before_it)
{
    libpool *pool = open_pool(0, 1, 10);
    libpool_task tasks[3];
    libpool_future *futures[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = (libpool_task){.size = sizeof tasks[i], .function = noop};
    tasks[2].size = sizeof tasks[2] - sizeof(uint64_t);
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 3, -1, futures), 2);
    CU_ASSERT_PTR_NULL(futures[2]);
    CU_ASSERT_EQUAL(cause_of(futures[0]), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(cause_of(futures[1]), LIBPOOL_COMPLETED);
    tasks[0].size = sizeof(size_t) + 1; /* the second would not be aligned */
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 2, -1, NULL), -EINVAL);
    libpool_close(pool);
}

TEST(submit, a_large_input_among_small_ones_keeps_its_place)
{
    static unsigned char large[300000];
    libpool *pool = open_pool(0, 1, 100);
    libpool_task tasks[40];
    libpool_future *futures[40];
    for (int i = 0; i < 40; i++)
        tasks[i] = (libpool_task){.size = sizeof tasks[i],
                                  .function = noop,
                                  .input = large,
                                  .input_size = i % 10 == 5 ? sizeof large : 1};
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 40, -1, futures), 40);
    for (uint64_t i = 0; i < 40; i++) {
        CU_ASSERT_EQUAL(libpool_future_wait(futures[i], WAIT_MS), 0);
        CU_ASSERT_EQUAL(libpool_future_result(futures[i])->task_id, i + 1);
        libpool_future_free(futures[i]);
    }
    libpool_close(pool);
}

/* ---- mapped inputs ----------------------------------------------------------------------------- */

static int sum_up(libpool_worker *worker, const void *input, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += ((const unsigned char *)input)[i];
    return libpool_reply(worker, &sum, sizeof sum);
}

static int turn_round(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker;
    unsigned char *bytes = (void *)(uintptr_t)input;
    for (size_t i = 0; i < size / 2; i++) {
        unsigned char byte = bytes[i];
        bytes[i] = bytes[size - 1 - i];
        bytes[size - 1 - i] = byte;
    }
    return 0;
}

/* Holds 0, 1, 2... and reads back what of it is there. */
static int make_file(size_t size, unsigned char **bytes)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(ftruncate(fd, (off_t)size), 0);
    *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CU_ASSERT_FATAL(*bytes != MAP_FAILED);
    for (size_t i = 0; i < size; i++)
        (*bytes)[i] = (unsigned char)i;
    return fd;
}

static libpool_future *submit_file(libpool *pool, libpool_task_function *function, int fd,
                                   size_t size, uint32_t flags)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = function,
                         .input_fd = fd,
                         .input_size = size,
                         .flags = LIBPOOL_FILE | flags};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

TEST(submit, a_file_is_mapped_and_read_only_unless_shared)
{
    enum {
        SIZE = 1 << 20
    };
    libpool *pool = open_pool(0, 1, 10);
    unsigned char *bytes;
    int fd = make_file(SIZE, &bytes);
    libpool_future *future = submit_file(pool, sum_up, fd, SIZE, 0);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, WAIT_MS), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_FATAL(result->data_size == sizeof(uint64_t));
    CU_ASSERT_EQUAL(*(const uint64_t *)result->data, (uint64_t)SIZE / 256 * (255 * 256 / 2));
    libpool_future_free(future);
    CU_ASSERT_EQUAL(cause_of(submit_file(pool, turn_round, fd, SIZE, 0)), LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(bytes[0], 0);
    CU_ASSERT_EQUAL(cause_of(submit_file(pool, turn_round, fd, SIZE, LIBPOOL_FILE_SHARED)),
                    LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(bytes[0], 255);
    munmap(bytes, SIZE);
    close(fd);
    libpool_close(pool);
}

TEST(submit, a_file_that_shrinks_costs_its_task_and_one_that_is_gone_is_an_error)
{
    enum {
        SIZE = 1 << 20
    };
    libpool *pool = open_pool(0, 1, 10);
    unsigned char *bytes;
    int fd = make_file(SIZE, &bytes);
    libpool_task hangs = {
        .size = sizeof hangs, .function = nap_ms, .input = &(int){100}, .input_size = sizeof(int)};
    CU_ASSERT_EQUAL(libpool_submit(pool, &hangs, -1, NULL), 0);
    libpool_future *cut = submit_file(pool, sum_up, fd, SIZE, 0);
    CU_ASSERT_EQUAL(ftruncate(fd, 4096), 0);
    CU_ASSERT_EQUAL(cause_of(cut), LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(libpool_submit(pool, &hangs, -1, NULL), 0);
    libpool_future *gone = submit_file(pool, sum_up, fd, 4096, 0);
    close(fd);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(gone, WAIT_MS), 0);
    CU_ASSERT_EQUAL(libpool_future_result(gone)->cause, LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(libpool_future_result(gone)->code, -ENOENT);
    CU_ASSERT_EQUAL(libpool_future_result(gone)->certainty, LIBPOOL_NOT_STARTED);
    libpool_future_free(gone);
    munmap(bytes, SIZE);
    libpool_close(pool);
}

/* A zombie's descriptors are not to be found in /proc any more. */
static void *submit_when_first_is_gone(void *given)
{
    libpool *pool = given;
    unsigned char *bytes;
    char path[64];
    int fd = make_file(4096, &bytes), seen;
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
    while ((seen = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
        close(seen);
        (void)sched_yield();
    }
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = sum_up,
                         .input_fd = fd,
                         .input_size = 4096,
                         .flags = LIBPOOL_FILE};
    if (libpool_submit(pool, &task, -1, &future) || libpool_future_wait(future, WAIT_MS))
        _exit(1);
    _exit(libpool_future_result(future)->cause == LIBPOOL_COMPLETED ? 0 : 2);
}

static int end_first_thread(void *unused)
{
    (void)unused;
    pthread_t thread;
    libpool *pool = open_pool(0, 1, 10);
    if (pthread_create(&thread, NULL, submit_when_first_is_gone, pool))
        return 3;
    pthread_exit(NULL);
}

TEST(submit, a_file_is_found_when_the_first_thread_has_ended)
{
    CU_ASSERT_EQUAL(hn_test_child(end_first_thread, NULL, WAIT_MS), TEST_EXIT(0));
}

static libpool *asked_about;
static bool pool_lives;

static void *read_stats(void *lives)
{
    libpool_stats stats = {.size = sizeof stats};
    (void)libpool_stats_read(asked_about, &stats);
    sem_post(lives);
    return NULL;
}

/* A file system that answers when somebody else was let into the pool meanwhile. */
static int answer_late(int fd, struct stat *status)
{
    pthread_t thread;
    sem_t lives;
    struct timespec by;
    sem_init(&lives, 0, 0);
    clock_gettime(CLOCK_REALTIME, &by);
    by.tv_sec += 3;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, read_stats, &lives), 0);
    pool_lives = sem_timedwait(&lives, &by) == 0;
    if (pool_lives)
        pthread_join(thread, NULL);
    return lp_sys_kernel.fstat(fd, status);
}

TEST(submit, a_file_system_that_is_slow_does_not_stop_the_pool)
{
    libpool *pool = open_pool(0, 1, 10);
    unsigned char *bytes;
    int fd = make_file(4096, &bytes);
    libpool_future *futures[2];
    const libpool_task file = {.size = sizeof file,
                               .function = sum_up,
                               .input_fd = fd,
                               .input_size = 4096,
                               .flags = LIBPOOL_FILE};
    const libpool_task tasks[] = {{.size = sizeof file, .function = noop}, file};
    asked_about = pool;
    lp_sys.fstat = answer_late;
    CU_ASSERT_EQUAL_FATAL(libpool_submit_many(pool, tasks, 2, -1, futures), 2);
    lp_sys = lp_sys_kernel;
    CU_ASSERT_TRUE_FATAL(pool_lives);
    CU_ASSERT_EQUAL(cause_of(futures[0]), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(cause_of(futures[1]), LIBPOOL_COMPLETED);
    munmap(bytes, 4096);
    close(fd);
    libpool_close(pool);
}

TEST(submit, what_can_not_be_mapped_is_refused)
{
    libpool *pool = open_pool(0, 1, 10);
    unsigned char *bytes;
    int fd = make_file(4096, &bytes);
    libpool_task task = {.size = sizeof task,
                         .function = sum_up,
                         .input_fd = fd,
                         .input_size = 4097,
                         .flags = LIBPOOL_FILE};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EINVAL); /* longer than the file */
    task.input_size = 0;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EINVAL);
    task.input_size = 4096, task.input = bytes;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EINVAL);
    task.input = NULL, task.flags |= LIBPOOL_BORROW;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EINVAL);
    task.flags = LIBPOOL_FILE_SHARED;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EINVAL);
    task.flags = LIBPOOL_FILE, task.input_fd = -1;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EBADF);
    munmap(bytes, 4096);
    close(fd);
    libpool_close(pool);
}

/* ---- regressions: who sends ahead must not forget anybody -------------------------------------- */

TEST_ALONE(submit, cancels_that_race_with_results_keep_nobody_waiting, "a tenth of a second counts")

/* A result may be there already when its task is cancelled: what was recalled for it has to go on. */
TEST(submit, cancels_that_race_with_results_keep_nobody_waiting)
{
    libpool *pool = open_pool(0, 3, 100);
    libpool_task tasks[4];
    libpool_future *futures[4];
    raise_workers(pool, 3);
    for (int round = 0; round < 4 * ROUNDS; round++) {
        for (int i = 0; i < 4; i++)
            tasks[i] = (libpool_task){.size = sizeof tasks[i], .function = noop};
        tasks[2].function = nap_ms, tasks[2].input = &(int){150}, tasks[2].input_size = sizeof(int);
        for (int i = 0; i < 30; i++) { /* tiny tasks are usual here */
            libpool_future *future = NULL;
            CU_ASSERT_EQUAL(libpool_submit(pool, tasks, -1, &future), 0);
            CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_COMPLETED);
        }
        CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 4, -1, futures), 4);
        (void)poll(NULL, 0, 0);
        CU_ASSERT(libpool_future_cancel(futures[1]) > 0);
        CU_ASSERT_EQUAL(libpool_future_wait(futures[3], 100), 0);
        for (int i = 0; i < 4; i++) {
            (void)libpool_future_cancel(futures[i]);
            libpool_future_free(futures[i]);
        }
    }
    libpool_close(pool);
}

TEST(submit, cancels_that_race_with_results_lose_nothing)
{
    libpool *pool = open_pool(0, 2, 2 * MANY);
    static libpool_task tasks[MANY];
    static libpool_future *futures[MANY];
    for (int i = 0; i < MANY; i++)
        tasks[i] = (libpool_task){.size = sizeof tasks[i], .function = noop};
    for (int round = 0; round < ROUNDS; round++) {
        CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, MANY, -1, futures), MANY);
        for (int i = round; i < MANY; i += 7)
            CU_ASSERT(libpool_future_cancel(futures[i]) > 0);
        for (int i = 0; i < MANY; i++) {
            libpool_cause cause = cause_of(futures[i]);
            CU_ASSERT(cause == LIBPOOL_COMPLETED || cause == LIBPOOL_CANCELLED);
        }
    }
    libpool_close(pool);
}

/* Now and then a nap, and a wait that gives up: so that driving goes from one to the other. */
static bool submit_and_wait_for(libpool *pool, unsigned *seed)
{
    libpool_task tasks[40];
    libpool_future *futures[40];
    int n = 1 + rand_r(seed) % 40, ms = rand_r(seed) % 5, good = 0;
    for (int i = 0; i < n; i++) {
        tasks[i] = (libpool_task){.size = sizeof tasks[i], .function = noop};
        if (rand_r(seed) % 20 == 0)
            tasks[i].function = nap_ms, tasks[i].input = &ms, tasks[i].input_size = sizeof ms;
    }
    if (libpool_submit_many(pool, tasks, (size_t)n, -1, futures) != n)
        return false;
    for (int i = 0; i < n; i++) {
        if (rand_r(seed) % 3 == 0)
            (void)libpool_future_wait(futures[i], rand_r(seed) % 3);
        good += cause_of(futures[i]) == LIBPOOL_COMPLETED;
    }
    return good == n;
}

static void *submit_and_wait(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)&seed >> 4;
    for (int round = 0; round < 60 * ROUNDS; round++)
        if (!submit_and_wait_for(arg, &seed))
            return arg;
    return NULL;
}

/* Who drives leaves the driving to another, and that one may have looked before. */
TEST(submit, waiters_without_a_thread_wake_each_other)
{
    libpool *pool = open_pool(LIBPOOL_NO_THREAD, 2, 1000);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, submit_and_wait, pool), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = pool;
        CU_ASSERT_EQUAL(pthread_join(threads[i], &failed), 0);
        CU_ASSERT_PTR_NULL(failed);
    }
    libpool_close(pool);
}
