/* SPDX-License-Identifier: MIT */
/*
 * A worker's line against tasks that speak for their worker: they say what they like, as slowly as they
 * like, or take its voice away. It costs them and nobody else. And large replies: byte by byte what the task
 * gave, or nothing.
 */
#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <libpool.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"

#define WAIT_MS 8000 /* less than the pool's own patience with a mute worker */
#define MIB ((size_t)1 << 20)
#define RING ((size_t)LP_CHANNEL_RING_BYTES)

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

/* Ends for the pool while it runs on, and writes nonsense when its worker has been handed the next task. */
static int forge(libpool_worker *worker, const void *input, size_t size)
{
    _Atomic bool *handed;
    memcpy(&handed, input, size);
    struct lp_message result = {.kind = LP_MESSAGE_RESULT,
                                .task_id = libpool_worker_task_id(worker),
                                .started_ns = 1,
                                .ended_ns = 2};
    (void)lp_channel_send(channel_of(worker), &result);
    lp_channel_ring(channel_of(worker));
    while (!atomic_load(handed))
        sched_yield();
    (void)lp_channel_send(channel_of(worker), &(struct lp_message){.kind = LP_MESSAGE_READY});
    lp_channel_ring(channel_of(worker));
    return hang();
}

TEST(line, a_task_that_a_liar_never_began_is_done_by_another)
{
    _Atomic bool *handed = mmap(NULL, sizeof *handed, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(handed != MAP_FAILED);
    libpool_options options = {.size = sizeof options, .min_workers = 1, .max_workers = 1};
    libpool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_task task = {
        .size = sizeof task, .function = forge, .input = &handed, .input_size = sizeof handed};
    libpool_future *forged = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &forged), 0);
    CU_ASSERT_EQUAL(cause_of(forged), LIBPOOL_COMPLETED);
    libpool_future *innocent = submit(pool, noop, 0);
    atomic_store(handed, true);
    CU_ASSERT_EQUAL(cause_of(innocent), LIBPOOL_COMPLETED);
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.tasks_returned, 1);
    CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_CORRUPT], 1);
    libpool_close(pool);
    munmap(handed, sizeof *handed);
}

static int answer_for_another(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    struct lp_message result = {
        .kind = LP_MESSAGE_RESULT, .task_id = libpool_worker_task_id(worker) + 1, .started_ns = 1};
    (void)lp_channel_send(channel_of(worker), &result);
    lp_channel_ring(channel_of(worker));
    return hang();
}

TEST(line, a_result_for_another_task_is_held_against_the_one_that_runs)
{
    libpool_options options = {
        .size = sizeof options, .max_workers = 1, .quarantine_deaths = 1, .quarantine_ms = 60000};
    libpool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_task task = {.size = sizeof task, .function = answer_for_another, .kind = 7};
    libpool_future *future = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_CORRUPT);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), -EKEYREJECTED);
    libpool_close(pool);
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

/* ---- replies that are on their way while their task runs -------------------------------------- */

static libpool *open_pool(uint64_t result_bytes)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .max_workers = 1, .result_bytes = result_bytes};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_future *submit_task(libpool *pool, libpool_task task)
{
    libpool_future *future = NULL;
    task.size = sizeof task;
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

/* The future's, whose end is waited for. */
static const libpool_result *result_of(libpool_future *future)
{
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, WAIT_MS), 0);
    return libpool_future_result(future);
}

static unsigned char byte_at(size_t place)
{
    return (unsigned char)(place * 2654435761u >> 13);
}

/* So many bytes as a task has replied that began at the first. */
static bool is_pattern(const libpool_result *result, size_t size)
{
    const unsigned char *data = result->data;
    if (result->data_size != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (data[i] != byte_at(i))
            return false;
    return true;
}

static int reply_pattern(libpool_worker *worker, size_t from, size_t size)
{
    unsigned char *data = malloc(size ? size : 1);
    if (!data)
        return -ENOMEM;
    for (size_t i = 0; i < size; i++)
        data[i] = byte_at(from + i);
    int error = libpool_reply(worker, data, size);
    free(data);
    return error;
}

static libpool_cause cause_after(libpool *pool, libpool_task_function *function)
{
    libpool_future *future = submit_task(pool, (libpool_task){.function = function});
    libpool_cause cause = result_of(future)->cause;
    libpool_future_free(future);
    return cause;
}

/* ---- what is replied is what comes ---------------------------------------------------------- */

/* Such and such sizes, one after the other, up to a 0. */
static int reply_sizes(libpool_worker *worker, const void *input, size_t size)
{
    size_t from = 0, sizes[16];
    memcpy(sizes, input, size);
    for (size_t i = 0; i < size / sizeof *sizes; i++) {
        int error = reply_pattern(worker, from, sizes[i]);
        if (error)
            return error;
        from += sizes[i];
    }
    return 0;
}

static bool come_as_one(libpool *pool, const size_t *sizes, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += sizes[i];
    libpool_task task = {.function = reply_sizes, .input = sizes, .input_size = n * sizeof *sizes};
    libpool_future *future = submit_task(pool, task);
    const libpool_result *result = result_of(future);
    bool is_one = result->cause == LIBPOOL_COMPLETED && is_pattern(result, sum);
    libpool_future_free(future);
    return is_one;
}

TEST(reply, small_and_large_ones_come_as_one)
{
    static const size_t sizes[][6] = {
        {0, 1, 0},        {RING - 1},         {RING},        {RING + 1, 1},       {1, RING, 1},
        {RING - 1, 1, 5}, {7, 3 * MIB, 9, 1}, {65 * MIB, 3}, {MIB, MIB, MIB, 77}, {64, RING - 64}};
    libpool *pool = open_pool(0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CU_ASSERT(come_as_one(pool, sizes[i], 6));
    libpool_close(pool);
}

static int reply_from_a_thread_of_its_own(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    return reply_pattern(worker, 0, 2 * MIB + 5);
}

TEST(reply, threads_have_it_too)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .start = LIBPOOL_THREADS};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_future *future = submit_task(
        pool, (libpool_task){.function = reply_from_a_thread_of_its_own});
    CU_ASSERT(is_pattern(result_of(future), 2 * MIB + 5));
    libpool_future_free(future);
    libpool_close(pool);
}

static int reply_too_much(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    if (reply_pattern(worker, 0, 3 * MIB) || reply_pattern(worker, 3 * MIB, MIB))
        return 1;
    if (reply_pattern(worker, 0, 1) != -EMSGSIZE || reply_pattern(worker, 0, MIB) != -EMSGSIZE)
        return 2;
    return 0;
}

TEST(reply, the_limit_is_for_all_of_it)
{
    libpool *pool = open_pool(4 * MIB);
    for (int i = 0; i < 2; i++) {
        libpool_future *future = submit_task(pool, (libpool_task){.function = reply_too_much});
        const libpool_result *result = result_of(future);
        CU_ASSERT_EQUAL(result->code, 0);
        CU_ASSERT(is_pattern(result, 4 * MIB));
        libpool_future_free(future);
    }
    libpool_close(pool);
}

static long kib_of_data(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? 0 : usage.ru_maxrss;
}

static int reply_and_weigh(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    size_t bytes = 48 * MIB;
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (data == MAP_FAILED)
        return 1;
    long before_kib = kib_of_data();
    if (libpool_reply(worker, data, bytes))
        return 2;
    return kib_of_data() - before_kib < 4096 ? 0 : 3;
}

TEST(reply, a_large_one_needs_no_memory_of_the_worker)
{
    libpool *pool = open_pool(0);
    libpool_future *future = submit_task(pool, (libpool_task){.function = reply_and_weigh});
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->code, 0);
    CU_ASSERT_EQUAL(result->data_size, 48 * MIB);
    libpool_future_free(future);
    libpool_close(pool);
}

/* ---- or nothing does ------------------------------------------------------------------------ */

static int *runs; /* shared with the workers */

static int crash_once(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    bool is_first = __atomic_add_fetch(runs, 1, __ATOMIC_SEQ_CST) == 1;
    int error = reply_pattern(worker, is_first ? 5 : 0, MIB);
    if (is_first)
        raise(SIGSEGV);
    return error;
}

static void run_with_crash(libpool *pool, libpool_task task, libpool_cause cause, size_t size)
{
    *runs = 0;
    task.function = crash_once;
    libpool_future *future = submit_task(pool, task);
    CU_ASSERT_EQUAL(result_of(future)->cause, cause);
    CU_ASSERT(is_pattern(result_of(future), size));
    libpool_future_free(future);
}

TEST(reply, of_a_run_that_crashed_nothing_is_kept)
{
    runs = mmap(NULL, sizeof *runs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_NOT_EQUAL_FATAL(runs, MAP_FAILED);
    libpool *pool = open_pool(0);
    run_with_crash(pool, (libpool_task){.retries = 0}, LIBPOOL_CRASH, 0);
    run_with_crash(pool, (libpool_task){.retries = 1, .retry_causes = 1u << LIBPOOL_CRASH},
                   LIBPOOL_COMPLETED, MIB);
    libpool_close(pool);
    (void)munmap(runs, sizeof *runs);
}

static int reply_for_ever(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    int error = 0;
    while (!error)
        error = reply_pattern(worker, 0, RING);
    for (;;)
        (void)pause();
    return 0;
}

static int reply_a_little(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    return reply_pattern(worker, 0, 100);
}

TEST(reply, who_is_killed_in_the_middle_costs_nobody_else)
{
    libpool *pool = open_pool(0);
    for (uint32_t timeout_ms = 1; timeout_ms < 20; timeout_ms += 3) {
        libpool_future *endless = submit_task(
            pool, (libpool_task){.function = reply_for_ever, .run_timeout_ms = timeout_ms});
        libpool_future *other = submit_task(pool, (libpool_task){.function = reply_a_little});
        const libpool_result *result = result_of(endless);
        CU_ASSERT_EQUAL(result->cause, LIBPOOL_TIMEOUT);
        CU_ASSERT_EQUAL(result->data_size, 0);
        CU_ASSERT(is_pattern(result_of(other), 100));
        libpool_future_free(endless);
        libpool_future_free(other);
    }
    libpool_close(pool);
}

static void *refuse_large(void *context, size_t size)
{
    (void)context;
    return size > 2 * MIB ? NULL : malloc(size);
}

static void give_back(void *context, void *memory, size_t size)
{
    (void)context, (void)size;
    free(memory);
}

static int reply_large(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    for (size_t i = 0; i < 6; i++)
        if (reply_pattern(worker, i * MIB, MIB))
            return 1;
    return 0;
}

TEST(reply, without_memory_for_it_the_task_fails_and_the_next_does_not)
{
    libpool *pool = NULL;
    const libpool_allocator allocator = {.allocate = refuse_large, .release = give_back};
    libpool_options options = {.size = sizeof options, .max_workers = 1, .allocator = &allocator};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    for (int i = 0; i < 2; i++) {
        libpool_future *future = submit_task(pool, (libpool_task){.function = reply_large});
        const libpool_result *result = result_of(future);
        CU_ASSERT_EQUAL(result->cause, LIBPOOL_ERROR);
        CU_ASSERT_EQUAL(result->code, -ENOMEM);
        CU_ASSERT_EQUAL(result->data_size, 0);
        libpool_future_free(future);
        future = submit_task(pool, (libpool_task){.function = reply_a_little});
        CU_ASSERT(is_pattern(result_of(future), 100));
        libpool_future_free(future);
    }
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.worker_processes_created, 1);
    libpool_close(pool);
}

/* ---- who may ------------------------------------------------------------------------------ */

static int reply_in_a_child(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(reply_pattern(worker, 1, 2 * MIB) ? 1 : 0);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
        return 1;
    return reply_pattern(worker, 0, MIB);
}

TEST(reply, nothing_comes_of_what_a_child_of_the_task_replies)
{
    libpool *pool = open_pool(0);
    libpool_future *future = submit_task(pool, (libpool_task){.function = reply_in_a_child});
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT(is_pattern(result, MIB));
    libpool_future_free(future);
    libpool_close(pool);
}

/* As the worker would, but for what it says; the host makes room. */
static int say(libpool_worker *worker, uint64_t task_id, uint64_t size)
{
    struct lp_message message = {.kind = LP_MESSAGE_REPLY, .task_id = task_id, .size = size};
    while (lp_channel_send(channel_of(worker), &message) == 0)
        sched_yield();
    if (size == 1)
        while (lp_channel_write(channel_of(worker), "x", 1, true) == 0)
            sched_yield();
    lp_channel_ring(channel_of(worker));
    for (;;)
        (void)pause();
    return 0;
}

static int speak_for_another(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    return say(worker, libpool_worker_task_id(worker) + 1, 1);
}

static int promise_too_much(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    return say(worker, libpool_worker_task_id(worker), 4 * MIB + 1);
}

static int promise_too_much_in_pieces(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    (void)reply_pattern(worker, 0, 4 * MIB);
    return say(worker, libpool_worker_task_id(worker), 1);
}

TEST(reply, a_worker_that_lies_about_it_is_corrupt)
{
    static libpool_task_function *const lies[] = {speak_for_another, promise_too_much,
                                                  promise_too_much_in_pieces};
    libpool *pool = open_pool(4 * MIB);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        CU_ASSERT_EQUAL(cause_after(pool, lies[i]), LIBPOOL_CORRUPT);
        CU_ASSERT_EQUAL(cause_after(pool, reply_a_little), LIBPOOL_COMPLETED);
    }
    libpool_close(pool);
}
