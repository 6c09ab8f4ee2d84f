/* SPDX-License-Identifier: MIT */
/* Tasks that submit tasks to their own pool and wait for them, with real processes. */
#include <libpool.h>

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/test.h"
#include "os/load.h"
#include "start_rig.h"
#include "supervisor.h"
#include "worker_call.h"

#define DEADLINE_MS 20000
#define MIB ((size_t)1 << 20)

static libpool_task task_of(libpool_task_function *function, const void *input, size_t size)
{
    return (libpool_task){
        .size = sizeof(libpool_task), .function = function, .input = input, .input_size = size};
}

static libpool *open_with(uint32_t max_workers, uint32_t waiting_workers, uint32_t backlog_tasks)
{
    const libpool_options options = {.size = sizeof options,
                                     .max_workers = max_workers,
                                     .waiting_workers = waiting_workers,
                                     .backlog_tasks = backlog_tasks,
                                     .event_buffer = 1000,
                                     .flags = LIBPOOL_NO_CGROUP};
    libpool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool *open_pool(uint32_t max_workers, uint32_t waiting_workers)
{
    return open_with(max_workers, waiting_workers, 0);
}

static libpool_future *submit(libpool *pool, const libpool_task *task)
{
    libpool_future *future = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, task, DEADLINE_MS, &future), 0);
    return future;
}

static const libpool_result *await(libpool_future *future)
{
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, DEADLINE_MS), 0);
    return libpool_future_result(future);
}

/* Ends as this, and returns its code. */
static int run(libpool *pool, const libpool_task *task, libpool_cause cause)
{
    libpool_future *future = submit(pool, task);
    const libpool_result *result = await(future);
    CU_ASSERT_EQUAL(result->cause, cause);
    int code = result->code;
    libpool_future_free(future);
    return code;
}

static libpool_stats stats_of(libpool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    return stats;
}

/* Nothing is left of any task, and the books say so. */
static void close_drained(libpool *pool)
{
    CU_ASSERT_EQUAL(libpool_drain(pool, DEADLINE_MS), 0);
    libpool_stats stats = stats_of(pool);
    uint64_t ended = 0;
    for (int cause = 0; cause < LIBPOOL_CAUSES_MAX; cause++)
        ended += stats.tasks_ended[cause];
    CU_ASSERT_EQUAL(stats.tasks_received, ended);
    CU_ASSERT_EQUAL(stats.workers_waiting, 0);
    libpool_close(pool);
}

static void await_event(libpool *pool, libpool_event_kind kind, unsigned count)
{
    libpool_event event = {.size = sizeof event};
    while (count) {
        CU_ASSERT_EQUAL_FATAL(libpool_event_next(pool, &event, DEADLINE_MS), 0);
        count -= event.kind == kind;
    }
}

/* ---- tasks ---------------------------------------------------------------------------------- */

static int echo(libpool_worker *worker, const void *input, size_t size)
{
    return libpool_reply(worker, input, size);
}

static int nothing(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

static int crash(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    abort();
}

static int fail(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 7;
}

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
    return 0;
}

/* Between tasks and tests: memory that is mapped before the pool is there (descriptors are not handed on). */
struct gate {
    sem_t open; /* once for each that is held */
    sem_t said; /* a task has said a word of its own */
};

static struct gate *make_gate(void)
{
    struct gate *gate = mmap(NULL, sizeof *gate, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                             -1, 0);
    CU_ASSERT_FATAL(gate != MAP_FAILED);
    CU_ASSERT_FATAL(sem_init(&gate->open, 1, 0) == 0 && sem_init(&gate->said, 1, 0) == 0);
    return gate;
}

static void drop_gate(struct gate *gate)
{
    sem_destroy(&gate->open);
    sem_destroy(&gate->said);
    munmap(gate, sizeof *gate);
}

static void pass(sem_t *semaphore)
{
    while (sem_wait(semaphore) < 0)
        ;
}

/* Until the gate is opened. */
static int hold(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    pass(&(*(struct gate *const *)input)->open);
    return 0;
}

/* What its one sub-task gives is its own result. */
static int pass_on(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task task = task_of(echo, input, size);
    const libpool_result *result;
    int error = libpool_worker_call(worker, &task, 1, -1, &result);
    if (error || result->cause != LIBPOOL_COMPLETED)
        return error ? error : (int)result->cause;
    return libpool_reply(worker, result->data, result->data_size);
}

/* What libpool_worker_call says of a task that does nothing. */
static int call_once(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task task = task_of(nothing, NULL, 0);
    (void)input, (void)size;
    return libpool_worker_call(worker, &task, 1, -1, NULL);
}

static int call_twice_deep(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task task = task_of(call_once, NULL, 0);
    const libpool_result *result;
    (void)input, (void)size;
    int error = libpool_worker_call(worker, &task, 1, -1, &result);
    return error ? error : result->code;
}

static int hang_in_others(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task tasks[] = {task_of(hang, NULL, 0), task_of(hang, NULL, 0)};
    (void)input, (void)size;
    return libpool_worker_call(worker, tasks, 2, -1, NULL);
}

/* ---- what it is for ------------------------------------------------------------------------- */

TEST(subs, one_worker_waits_for_another)
{
    libpool *pool = open_pool(1, 1);
    const libpool_task task = task_of(pass_on, "word", 4);
    libpool_future *future = submit(pool, &task);
    const libpool_result *result = await(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(result->code, 0);
    CU_ASSERT_EQUAL_FATAL(result->data_size, 4);
    CU_ASSERT_EQUAL(memcmp(result->data, "word", 4), 0);
    libpool_future_free(future);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.tasks_received, 2);
    CU_ASSERT_EQUAL(stats.tasks_ended[LIBPOOL_COMPLETED], 2);
    CU_ASSERT_EQUAL(stats.max_workers_busy_concurrently, 2);
    close_drained(pool);
}

TEST(subs, a_megabyte_goes_both_ways)
{
    libpool *pool = open_pool(1, 1);
    unsigned char *bytes = malloc(MIB);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    for (size_t i = 0; i < MIB; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    const libpool_task task = task_of(pass_on, bytes, MIB - 5);
    for (int i = 0; i < 3; i++) {
        libpool_future *future = submit(pool, &task);
        const libpool_result *result = await(future);
        CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
        CU_ASSERT_EQUAL_FATAL(result->data_size, MIB - 5);
        CU_ASSERT_EQUAL(memcmp(result->data, bytes, MIB - 5), 0);
        libpool_future_free(future);
    }
    free(bytes);
    close_drained(pool);
}

/* Each calls two, as deep as may be, and does the work by itself where no more may wait. */
static int fibonacci(libpool_worker *worker, const void *input, size_t size)
{
    int n = *(const int *)input, less[2] = {n - 1, n - 2}, sum = n;
    const libpool_task tasks[2] = {task_of(fibonacci, &less[0], sizeof(int)),
                                   task_of(fibonacci, &less[1], sizeof(int))};
    const libpool_result *results[2];
    (void)size;
    if (n < 2)
        return libpool_reply(worker, &sum, sizeof sum);
    int error = libpool_worker_call(worker, tasks, 2, -1, results);
    for (int i = sum = 0; i < 2 && !error; i++) {
        if (results[i]->cause != LIBPOOL_COMPLETED || results[i]->data_size != sizeof sum)
            return -EBADMSG;
        sum += *(const int *)results[i]->data;
    }
    if (error == -EDEADLK) {
        int before = 0, last = 1;
        for (; n > 1; n--) {
            last += before;
            before = last - before;
        }
        sum = last;
        error = 0;
    }
    return error ? error : libpool_reply(worker, &sum, sizeof sum);
}

static void check_fibonacci(uint32_t max_workers, uint32_t waiting_workers, int n, int expected)
{
    libpool *pool = open_pool(max_workers, waiting_workers);
    const libpool_task task = task_of(fibonacci, &n, sizeof n);
    libpool_future *futures[3];
    for (int i = 0; i < 3; i++)
        futures[i] = submit(pool, &task);
    for (int i = 0; i < 3; i++) {
        const libpool_result *result = await(futures[i]);
        CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
        CU_ASSERT_EQUAL(result->code, 0);
        CU_ASSERT_EQUAL_FATAL(result->data_size, sizeof(int));
        CU_ASSERT_EQUAL(*(const int *)result->data, expected);
        libpool_future_free(futures[i]);
    }
    libpool_stats stats = stats_of(pool);
    CU_ASSERT(stats.max_workers_busy_concurrently <= max_workers + waiting_workers);
    CU_ASSERT(stats.tasks_received > 3);
    close_drained(pool);
}

TEST_WITHIN(subs, tasks_call_tasks_that_call_tasks, 60000)
{
    check_fibonacci(1, 1, 8, 21);
    check_fibonacci(1, 7, 8, 21);
    check_fibonacci(2, 3, 9, 34);
}

/* A whole set at once, more than are told to the core in one go. */
static int call_many(libpool_worker *worker, const void *input, size_t size)
{
    int numbers[300];
    libpool_task tasks[300];
    const libpool_result *results[300];
    (void)input, (void)size;
    for (int i = 0; i < 300; i++) {
        numbers[i] = i;
        tasks[i] = task_of(echo, &numbers[i], sizeof(int));
    }
    int error = libpool_worker_call(worker, tasks, 300, -1, results);
    for (int i = 0; i < 300 && !error; i++)
        if (results[i]->data_size != sizeof(int) || *(const int *)results[i]->data != i)
            error = -EBADMSG;
    return error;
}

TEST(subs, results_are_in_the_order_of_the_tasks)
{
    libpool *pool = open_pool(2, 1);
    const libpool_task task = task_of(call_many, NULL, 0);
    CU_ASSERT_EQUAL(run(pool, &task, LIBPOOL_COMPLETED), 0);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_ended[LIBPOOL_COMPLETED], 301);
    close_drained(pool);
}

/* ---- who may not ---------------------------------------------------------------------------- */

TEST(subs, one_too_many_is_refused_at_once)
{
    libpool *none = open_pool(1, 0), *one = open_pool(1, 1), *two = open_pool(1, 2);
    const libpool_task once = task_of(call_once, NULL, 0);
    const libpool_task deep = task_of(call_twice_deep, NULL, 0);
    CU_ASSERT_EQUAL(run(none, &once, LIBPOOL_ERROR), -EDEADLK);
    CU_ASSERT_EQUAL(run(one, &once, LIBPOOL_COMPLETED), 0);
    CU_ASSERT_EQUAL(run(one, &deep, LIBPOOL_ERROR), -EDEADLK);
    CU_ASSERT_EQUAL(run(two, &deep, LIBPOOL_COMPLETED), 0);
    close_drained(none);
    close_drained(one);
    close_drained(two);
}

TEST(subs, options_are_checked)
{
    libpool *pool;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .waiting_workers = 4096};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
    options.waiting_workers = 1;
    CU_ASSERT_EQUAL(libpool_governor_open((libpool_governor **)&options.governor, 2), 0);
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
    CU_ASSERT_EQUAL(libpool_governor_close(options.governor), 0);
}

enum mistake {
    NO_FUNCTION,
    BOTH,
    FILE_INPUT,
    CALLBACK,
    NO_INPUT,
    PRIORITY,
    NO_TASKS,
    TOO_MANY,
    LONG_NAME,
    NO_SIZE
};

static void never(libpool_future *future, void *arg)
{
    (void)future, (void)arg;
}

static int make_mistake(libpool_worker *worker, const void *input, size_t size)
{
    static char name[LP_LOAD_NAME_BYTES];
    libpool_task task = task_of(nothing, NULL, 0);
    size_t n = 1;
    (void)size;
    memset(name, 'x', sizeof name - 1);
    switch (*(const enum mistake *)input) {
    case NO_FUNCTION: task.function = NULL; break;
    case BOTH: task.symbol = task.object = "x"; break;
    case FILE_INPUT: task.flags = LIBPOOL_FILE; break;
    case CALLBACK: task.done = never; break;
    case NO_INPUT: task.input_size = 1; break;
    case PRIORITY: task.priority = LIBPOOL_PRIORITIES; break;
    case NO_TASKS: n = 0; break;
    case TOO_MANY: n = LIBPOOL_CALL_TASKS + 1; break;
    case LONG_NAME:
        task.function = NULL;
        task.symbol = task.object = name;
        break;
    case NO_SIZE: task.size = 0; break;
    }
    return libpool_worker_call(worker, &task, n, -1, NULL);
}

TEST(subs, mistakes_are_told_and_cost_nothing)
{
    static const struct {
        enum mistake mistake;
        int code;
    } cases[] = {{NO_FUNCTION, -EINVAL}, {BOTH, -EINVAL},     {FILE_INPUT, -EINVAL},
                 {CALLBACK, -EINVAL},    {NO_INPUT, -EINVAL}, {PRIORITY, -EINVAL},
                 {NO_TASKS, -EINVAL},    {TOO_MANY, -E2BIG},  {LONG_NAME, -ENAMETOOLONG},
                 {NO_SIZE, -EINVAL}};
    libpool *pool = open_pool(1, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const libpool_task task = task_of(make_mistake, &cases[i].mistake, sizeof(enum mistake));
        CU_ASSERT_EQUAL(run(pool, &task, LIBPOOL_ERROR), cases[i].code);
    }
    const libpool_task task = task_of(call_once, NULL, 0);
    CU_ASSERT_EQUAL(run(pool, &task, LIBPOOL_COMPLETED), 0);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.worker_processes_still_alive, stats.worker_processes_created);
    CU_ASSERT_EQUAL(stats.tasks_rejected, 0);
    close_drained(pool);
}

static int call_three(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task tasks[] = {task_of(nothing, NULL, 0), task_of(nothing, NULL, 0),
                                  task_of(nothing, NULL, 0)};
    (void)input, (void)size;
    return libpool_worker_call(worker, tasks, 3, -1, NULL);
}

static int hold_and_call_three(libpool_worker *worker, const void *input, size_t size)
{
    int error = hold(worker, input, size);
    return error ? error : call_three(worker, NULL, 0);
}

/* It is taken when there is room for all of it, or not at all. */
TEST(subs, a_backlog_without_room_is_told)
{
    struct gate *gate = make_gate();
    libpool *small = open_with(1, 1, 2), *full = open_with(1, 1, 3);
    const libpool_task three = task_of(call_three, NULL, 0), none = task_of(nothing, NULL, 0);
    CU_ASSERT_EQUAL(run(small, &three, LIBPOOL_ERROR), -E2BIG);
    close_drained(small);
    const libpool_task held = task_of(hold_and_call_three, &gate, sizeof gate);
    libpool_future *caller = submit(full, &held);
    await_event(full, LIBPOOL_EVENT_TASK_LAUNCHED, 1);
    libpool_future *pending = submit(full, &none);
    sem_post(&gate->open);
    CU_ASSERT_EQUAL(await(caller)->code, -EAGAIN);
    CU_ASSERT_EQUAL(await(pending)->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(run(full, &three, LIBPOOL_COMPLETED), 0);
    CU_ASSERT_EQUAL(stats_of(full).tasks_rejected, 3);
    CU_ASSERT_EQUAL(stats_of(full).tasks_received, 6);
    libpool_future_free(caller);
    libpool_future_free(pending);
    close_drained(full);
    drop_gate(gate);
}

/* Fails for the 91st name of this size. */
static _Atomic int names_taken;

static void *take_but_one(void *context, size_t size)
{
    (void)context;
    return size == sizeof "libm.so.6" + sizeof "cbrt" && ++names_taken == 91 ? NULL : malloc(size);
}

static void give(void *context, void *pointer, size_t size)
{
    (void)context, (void)size;
    free(pointer);
}

static int call_hundred_named(libpool_worker *worker, const void *input, size_t size)
{
    libpool_task tasks[100];
    (void)input, (void)size;
    for (int i = 0; i < 100; i++) {
        tasks[i] = task_of(NULL, NULL, 0);
        tasks[i].object = "libm.so.6";
        tasks[i].symbol = "cbrt";
    }
    return libpool_worker_call(worker, tasks, 100, -1, NULL);
}

TEST(subs, none_is_taken_when_there_is_no_memory_for_one)
{
    const libpool_allocator allocator = {NULL, take_but_one, give};
    const libpool_options options = {.size = sizeof options,
                                     .max_workers = 2,
                                     .waiting_workers = 1,
                                     .flags = LIBPOOL_NO_CGROUP,
                                     .allocator = &allocator};
    libpool *pool;
    names_taken = 0;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    const libpool_task task = task_of(call_hundred_named, NULL, 0);
    CU_ASSERT_EQUAL(run(pool, &task, LIBPOOL_ERROR), -ENOMEM);
    CU_ASSERT_EQUAL(names_taken, 91);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_received, 1);
    const libpool_task once = task_of(call_once, NULL, 0);
    CU_ASSERT_EQUAL(run(pool, &once, LIBPOOL_COMPLETED), 0);
    close_drained(pool);
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

static int call_bad_ones(libpool_worker *worker, const void *input, size_t size)
{
    libpool_task tasks[] = {task_of(crash, NULL, 0), task_of(hang, NULL, 0), task_of(fail, NULL, 0),
                            task_of(echo, "x", 1)};
    const libpool_result *results[4];
    int causes[4];
    (void)input, (void)size;
    tasks[1].run_timeout_ms = 50;
    int error = libpool_worker_call(worker, tasks, 4, -1, results);
    for (int i = 0; i < 4 && !error; i++)
        causes[i] = (int)results[i]->cause;
    if (!error && (results[0]->signal != SIGABRT || results[2]->code != 7 || !results[0]->text[0] ||
                   results[3]->certainty != LIBPOOL_HAS_RUN))
        error = -EBADMSG;
    return error ? error : libpool_reply(worker, causes, sizeof causes);
}

TEST(subs, the_caller_is_told_how_each_ended)
{
    static const int causes[] = {LIBPOOL_CRASH, LIBPOOL_TIMEOUT, LIBPOOL_ERROR, LIBPOOL_COMPLETED};
    libpool *pool = open_pool(1, 1);
    const libpool_task task = task_of(call_bad_ones, NULL, 0);
    libpool_future *future = submit(pool, &task);
    const libpool_result *result = await(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL_FATAL(result->data_size, sizeof causes);
    CU_ASSERT_EQUAL(memcmp(result->data, causes, sizeof causes), 0);
    libpool_future_free(future);
    close_drained(pool);
}

static int eat_and_hang(libpool_worker *worker, const void *input, size_t size)
{
    volatile unsigned char *bytes = malloc(256 * MIB);
    if (!bytes)
        return -ENOMEM;
    for (size_t i = 0; i < 256 * MIB; i += 4096)
        bytes[i] = 1;
    return hang(worker, input, size);
}

static int eat_in_another(libpool_worker *worker, const void *input, size_t size)
{
    libpool_task task = task_of(eat_and_hang, NULL, 0);
    const libpool_result *result;
    (void)input, (void)size;
    task.memory_limit_bytes = 64 * MIB;
    task.run_timeout_ms = DEADLINE_MS / 2;
    int error = libpool_worker_call(worker, &task, 1, -1, &result);
    return error ? error : (int)result->cause;
}

TEST(subs, a_memory_limit_of_their_own_is_kept)
{
    libpool *pool = open_pool(1, 1);
    const libpool_task task = task_of(eat_in_another, NULL, 0);
    CU_ASSERT_EQUAL(run(pool, &task, LIBPOOL_ERROR), LIBPOOL_MEMORY);
    close_drained(pool);
}

/* The caller and what it waits for run, and one more of those is pending. */
static libpool_future *begin_to_hang(libpool *pool)
{
    const libpool_task task = task_of(hang_in_others, NULL, 0);
    libpool_future *future = submit(pool, &task);
    await_event(pool, LIBPOOL_EVENT_TASK_LAUNCHED, 2);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.workers_waiting, 1);
    CU_ASSERT_EQUAL(stats.worker_processes_busy, 2);
    CU_ASSERT_EQUAL(stats.tasks_pending, 1);
    return future;
}

TEST(subs, they_end_with_a_caller_that_is_cancelled)
{
    libpool *pool = open_pool(1, 1);
    libpool_future *future = begin_to_hang(pool);
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_KILLED);
    CU_ASSERT_EQUAL(libpool_drain(pool, DEADLINE_MS), 0);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_ended[LIBPOOL_CANCELLED], 3);
    libpool_future_free(future);
    close_drained(pool);
}

TEST(subs, they_end_with_a_caller_that_overruns)
{
    libpool *pool = open_pool(1, 1);
    libpool_task task = task_of(hang_in_others, NULL, 0);
    task.run_timeout_ms = 100;
    (void)run(pool, &task, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(libpool_drain(pool, DEADLINE_MS), 0);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_ended[LIBPOOL_CANCELLED], 2);
    close_drained(pool);
}

TEST(subs, they_end_with_a_caller_that_is_killed_from_outside)
{
    libpool *pool = open_pool(1, 1);
    const libpool_task task = task_of(hang_in_others, NULL, 0);
    libpool_future *future = submit(pool, &task);
    libpool_event event = {.size = sizeof event};
    do {
        CU_ASSERT_EQUAL_FATAL(libpool_event_next(pool, &event, DEADLINE_MS), 0);
    } while (event.kind != LIBPOOL_EVENT_TASK_LAUNCHED);
    int caller = event.pid;
    await_event(pool, LIBPOOL_EVENT_TASK_LAUNCHED, 1);
    CU_ASSERT_EQUAL(kill(caller, SIGKILL), 0);
    CU_ASSERT_EQUAL(await(future)->cause, LIBPOOL_KILLED);
    CU_ASSERT_EQUAL(libpool_drain(pool, DEADLINE_MS), 0);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_ended[LIBPOOL_CANCELLED], 2);
    libpool_future_free(future);
    close_drained(pool);
}

/* It is cancelled with all that it has called, and that with what it has. */
static int hang_deep(libpool_worker *worker, const void *input, size_t size)
{
    int deep = *(const int *)input - 1;
    const libpool_task task = deep ? task_of(hang_deep, &deep, sizeof deep)
                                   : task_of(hang, NULL, 0);
    (void)size;
    return libpool_worker_call(worker, &task, 1, -1, NULL);
}

TEST(subs, a_whole_chain_ends_with_its_head)
{
    libpool *pool = open_pool(1, 4);
    int deep = 4;
    const libpool_task task = task_of(hang_deep, &deep, sizeof deep);
    libpool_future *future = submit(pool, &task);
    await_event(pool, LIBPOOL_EVENT_TASK_LAUNCHED, 5);
    CU_ASSERT_EQUAL(stats_of(pool).workers_waiting, 4);
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_KILLED);
    CU_ASSERT_EQUAL(libpool_drain(pool, DEADLINE_MS), 0);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_ended[LIBPOOL_CANCELLED], 5);
    libpool_future_free(future);
    close_drained(pool);
}

/* Is told what there is when its time is up: one has ended, one is cancelled. */
static int wait_briefly(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task tasks[] = {task_of(echo, "x", 1), task_of(hang, NULL, 0)};
    const libpool_result *results[2];
    (void)input, (void)size;
    int error = libpool_worker_call(worker, tasks, 2, 300, results);
    if (error != -ETIMEDOUT)
        return error ? error : -EBADMSG;
    bool right = results[0] && results[0]->cause == LIBPOOL_COMPLETED && results[1] &&
                 results[1]->cause == LIBPOOL_CANCELLED;
    return right ? call_once(worker, NULL, 0) : -EBADMSG;
}

TEST(subs, what_is_left_when_time_is_up_is_cancelled)
{
    libpool *pool = open_pool(2, 1);
    const libpool_task task = task_of(wait_briefly, NULL, 0);
    CU_ASSERT_EQUAL(run(pool, &task, LIBPOOL_COMPLETED), 0);
    close_drained(pool);
}

/* None of these is time enough: each has a result all the same. */
static int wait_not_at_all(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task tasks[] = {task_of(hang, NULL, 0), task_of(hang, NULL, 0)};
    (void)input, (void)size;
    for (int i = 0; i < 20; i++) {
        const libpool_result *results[2];
        int error = libpool_worker_call(worker, tasks, 2, 0, results);
        if (error != -ETIMEDOUT || !results[0] || results[0]->cause != LIBPOOL_CANCELLED ||
            !results[1] || results[1]->cause != LIBPOOL_CANCELLED)
            return error ? error : -EBADMSG;
    }
    return 0;
}

TEST(subs, without_any_time_all_are_cancelled_and_have_results)
{
    libpool *pool = open_pool(2, 1);
    const libpool_task task = task_of(wait_not_at_all, NULL, 0);
    CU_ASSERT_EQUAL(run(pool, &task, LIBPOOL_COMPLETED), 0);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_ended[LIBPOOL_CANCELLED], 40);
    close_drained(pool);
}

static int reply_code_of_call(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task tasks[] = {task_of(hang, NULL, 0), task_of(hang, NULL, 0)};
    const libpool_result *results[2];
    (void)input, (void)size;
    int code = libpool_worker_call(worker, tasks, 2, -1, results);
    for (int i = 0; i < 2; i++)
        if (!results[i] || results[i]->cause != LIBPOOL_CANCELLED)
            code = -EBADMSG;
    return libpool_reply(worker, &code, sizeof code);
}

TEST(subs, a_caller_that_is_asked_to_end_is_told)
{
    libpool *pool = open_pool(1, 1);
    libpool_task task = task_of(reply_code_of_call, NULL, 0);
    task.grace_ms = DEADLINE_MS;
    libpool_future *future = submit(pool, &task);
    await_event(pool, LIBPOOL_EVENT_TASK_LAUNCHED, 2);
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_ASKED);
    const libpool_result *result = await(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_CANCELLED);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_HAS_RUN);
    CU_ASSERT_EQUAL_FATAL(result->data_size, sizeof(int));
    CU_ASSERT_EQUAL(*(const int *)result->data, -ECANCELED);
    libpool_future_free(future);
    close_drained(pool);
}

static int nap_in_another(libpool_worker *worker, const void *input, size_t size)
{
    libpool_task task = task_of(hang, NULL, 0);
    const libpool_result *result;
    (void)input, (void)size;
    task.run_timeout_ms = 400;
    int error = libpool_worker_call(worker, &task, 1, -1, &result);
    return error ? error : result->cause == LIBPOOL_TIMEOUT ? 0 : -EBADMSG;
}

TEST(subs, who_waits_is_not_silent)
{
    libpool *pool = open_pool(1, 1);
    libpool_task task = task_of(nap_in_another, NULL, 0);
    task.heartbeat_timeout_ms = 150;
    CU_ASSERT_EQUAL(run(pool, &task, LIBPOOL_COMPLETED), 0);
    close_drained(pool);
}

/* ---- who speaks for itself ------------------------------------------------------------------ */

static void say(libpool_worker *worker, struct lp_message message)
{
    static unsigned char bytes[8192]; /* a name that ends at its second byte, and goes on */
    memset(bytes + sizeof(libpool_task) + 2, 'x', sizeof bytes - sizeof(libpool_task) - 2);
    message.task_id = message.task_id ? message.task_id : libpool_worker_task_id(worker);
    lp_worker_send(worker, &message);
    if (message.size)
        lp_worker_send_bytes(worker, bytes, message.size, true);
    lp_worker_ring(worker);
}

static void say_task(libpool_worker *worker, const libpool_task *task)
{
    const struct lp_message message = {.kind = LP_MESSAGE_SUBTASK,
                                       .task_id = libpool_worker_task_id(worker),
                                       .call = 1,
                                       .size = sizeof *task + task->input_size};
    lp_worker_send(worker, &message);
    lp_worker_send_bytes(worker, task, sizeof *task, !task->input_size);
    lp_worker_send_bytes(worker, task->input, task->input_size, true);
    lp_worker_ring(worker);
}

/* The next result of a call that was said; the code that it ends with: 1. */
static int hear_result(libpool_worker *worker, libpool_result *result)
{
    struct lp_message message;
    char data;
    (void)lp_worker_receive(worker, &message, -1);
    if (message.kind == LP_MESSAGE_CALLED)
        return message.code ? message.code : 1;
    uint64_t rest = message.size - sizeof *result;
    if (message.kind != LP_MESSAGE_SUBRESULT || rest > 1)
        return -EBADMSG;
    lp_worker_receive_bytes(worker, result, sizeof *result, !rest);
    lp_worker_receive_bytes(worker, &data, rest, true);
    return 0;
}

/* When it is let go it says that it calls, and that it has said so; its sub-task waits at the gate, too. */
static int say_call_aloud(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task task = task_of(hold, input, size);
    struct lp_message message = {
        .kind = LP_MESSAGE_CALL, .call = 1, .count = 1, .bytes = sizeof(struct gate *)};
    libpool_result result, none;
    (void)hold(worker, input, size);
    say(worker, message);
    sem_post(&(*(struct gate *const *)input)->said);
    do /* what was sent ahead lies in front */
        (void)lp_worker_receive(worker, &message, -1);
    while (message.kind == LP_MESSAGE_TASK);
    if (message.kind != LP_MESSAGE_GO || message.code)
        return message.code;
    say_task(worker, &task);
    int error = hear_result(worker, &result);
    return error ? error : hear_result(worker, &none);
}

/* How many wait in the channel of the one worker that has any. */
static uint32_t count_sent_ahead(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    uint32_t n = pool->core.tasks.prefetched;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

static void expect_tiny_ones(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->core.run_ns = 1000;
    pthread_mutex_unlock(&pool->lock);
}

/* As nobody drives the pool but we, what was sent ahead to the caller is there until it has said its word. */
TEST(subs, what_was_sent_ahead_does_not_wait_for_who_waits)
{
    const libpool_options options = {.size = sizeof options,
                                     .max_workers = 1,
                                     .waiting_workers = 1,
                                     .flags = LIBPOOL_NO_CGROUP | LIBPOOL_NO_THREAD};
    libpool *pool = NULL;
    struct gate *gate = make_gate();
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    const libpool_task tasks[] = {task_of(hold, &gate, sizeof gate),
                                  task_of(say_call_aloud, &gate, sizeof gate),
                                  task_of(nothing, NULL, 0)};
    libpool_future *futures[12];
    for (int i = 0; i < 12; i++)
        futures[i] = submit(pool, &tasks[i < 2 ? i : 2]);
    sem_post(&gate->open);
    expect_tiny_ones(pool);
    CU_ASSERT_EQUAL(await(futures[0])->cause, LIBPOOL_COMPLETED);
    CU_ASSERT(count_sent_ahead(pool) >= 2);
    sem_post(&gate->open);
    pass(&gate->said);
    for (int i = 2; i < 12; i++)
        CU_ASSERT_EQUAL(await(futures[i])->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_PTR_NULL(libpool_future_result(futures[1]));
    sem_post(&gate->open);
    CU_ASSERT_EQUAL(await(futures[1])->code, 1); /* that is: it was told all */
    for (int i = 0; i < 12; i++)
        libpool_future_free(futures[i]);
    close_drained(pool);
    drop_gate(gate);
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Calls when it is let go. */
static int hold_and_call(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task task = task_of(echo, "x", 1);
    const libpool_result *result;
    int error = hold(worker, input, size);
    if (!error)
        error = libpool_worker_call(worker, &task, 1, -1, &result);
    return error ? error : (int)result->cause;
}

static void check_shutdown(uint32_t flags, int code)
{
    struct gate *gate = make_gate();
    libpool *pool = open_pool(1, 1);
    const libpool_task task = task_of(hold_and_call, &gate, sizeof gate);
    libpool_future *future = submit(pool, &task);
    await_event(pool, LIBPOOL_EVENT_TASK_LAUNCHED, 1);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, flags & ~(uint32_t)LIBPOOL_WAIT, -1), 0);
    sem_post(&gate->open);
    CU_ASSERT_EQUAL(await(future)->code, code);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, flags, DEADLINE_MS), 0);
    libpool_future_free(future);
    libpool_close(pool);
    drop_gate(gate);
}

TEST(subs, a_shutdown_that_drains_lets_them_call)
{
    check_shutdown(LIBPOOL_WAIT, LIBPOOL_COMPLETED);
}

TEST(subs, a_shutdown_that_cancels_ends_all)
{
    libpool *pool = open_pool(1, 1);
    libpool_future *future = begin_to_hang(pool);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_CANCEL, 0), 0);
    CU_ASSERT_EQUAL(await(future)->cause, LIBPOOL_SHUTDOWN);
    libpool_future_free(future);
    close_drained(pool);
}

TEST(subs, close_ends_callers_too)
{
    libpool *pool = open_pool(1, 1);
    libpool_future *future = begin_to_hang(pool);
    libpool_close(pool);
    CU_ASSERT_EQUAL(await(future)->cause, LIBPOOL_SHUTDOWN);
    libpool_future_free(future);
}

/* ---- words that are nonsense ---------------------------------------------------------------- */

enum nonsense {
    TASK_WITHOUT_CALL,
    CALL_OF_NONE,
    CALL_OF_TOO_MANY,
    CALL_OF_ANOTHER,
    CALL_TWICE,
    TOO_LARGE,
    TOO_SMALL,
    NAME_UNENDED,
    NAME_TOO_LONG,
    NAME_ENDS_ONCE,
    ONE_MORE,
    ANOTHER_NUMBER,
    RESULT_MEANWHILE,
    ANSWERS_ITSELF,
    NONSENSES
};

static void say_call(libpool_worker *worker, uint32_t count)
{
    struct lp_message go;
    say(worker,
        (struct lp_message){.kind = LP_MESSAGE_CALL, .call = 1, .count = count, .bytes = count});
    (void)lp_worker_receive(worker, &go, -1);
}

/* It hangs up before they have come. */
static int hang_up_early(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task task = task_of(hang, NULL, 0);
    libpool_result results[2], none;
    (void)input, (void)size;
    say_call(worker, 2);
    say_task(worker, &task);
    say(worker, (struct lp_message){.kind = LP_MESSAGE_HANG_UP, .call = 1});
    say_task(worker, &task);
    for (int i = 0; i < 2; i++) {
        int error = hear_result(worker, &results[i]);
        if (error || results[i].cause != LIBPOOL_CANCELLED)
            return error ? error : -EBADMSG;
    }
    return hear_result(worker, &none);
}

TEST(subs, who_hangs_up_before_they_have_come_has_their_results)
{
    libpool *pool = open_pool(2, 1);
    const libpool_task task = task_of(hang_up_early, NULL, 0);
    CU_ASSERT_EQUAL(run(pool, &task, LIBPOOL_ERROR), -ETIMEDOUT);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_ended[LIBPOOL_CANCELLED], 2);
    close_drained(pool);
}

/* What is written of a result, as it comes. */
static int look_for_addresses(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task task = task_of(echo, "x", 1);
    libpool_result result, none;
    (void)input, (void)size;
    say_call(worker, 1);
    say_task(worker, &task);
    int error = hear_result(worker, &result);
    if (error || result.cause != LIBPOOL_COMPLETED || result.data_size != 1)
        return error ? error : -EBADMSG;
    if (result.data || result.tail || result.trace)
        return -EFAULT;
    return hear_result(worker, &none);
}

TEST(subs, no_address_of_the_application_is_told)
{
    libpool *pool = open_pool(1, 1);
    const libpool_task task = task_of(look_for_addresses, NULL, 0);
    CU_ASSERT_EQUAL(run(pool, &task, LIBPOOL_ERROR), 1);
    close_drained(pool);
}

/* Its call is admitted; then it says what it may not. */
static int talk_nonsense(libpool_worker *worker, const void *input, size_t size)
{
    enum nonsense which = *(const enum nonsense *)input;
    uint64_t fixed = sizeof(libpool_task);
    struct lp_message call = {.kind = LP_MESSAGE_CALL, .call = 1, .count = 1, .bytes = 100};
    call.bytes += which == NAME_ENDS_ONCE ? 2000 : 0;
    struct lp_message sub = {.kind = LP_MESSAGE_SUBTASK, .call = 1, .size = fixed};
    (void)size;
    if (which == CALL_OF_NONE)
        call.count = 0;
    if (which == CALL_OF_TOO_MANY)
        call.count = LIBPOOL_CALL_TASKS + 1;
    if (which == CALL_OF_ANOTHER)
        call.task_id = 1000;
    if (which != TASK_WITHOUT_CALL) {
        say(worker, call);
        (void)lp_worker_receive(worker, &call, -1);
    }
    switch (which) {
    case CALL_TWICE: say(worker, (struct lp_message){.kind = LP_MESSAGE_CALL, .count = 1}); break;
    case TOO_LARGE: sub.size = fixed + 101; break;
    case TOO_SMALL: sub.size = fixed - 1; break;
    case NAME_UNENDED: sub.name_size = 1, sub.size = fixed + 1; break;
    case NAME_TOO_LONG: sub.name_size = 5000; break;
    case NAME_ENDS_ONCE: sub.name_size = 2000, sub.size = fixed + 2000; break;
    case ANOTHER_NUMBER: sub.call = 2; break;
    case RESULT_MEANWHILE: sub.kind = LP_MESSAGE_RESULT, sub.size = 0; break;
    case ANSWERS_ITSELF: sub.kind = LP_MESSAGE_GO, sub.size = 0; break;
    case ONE_MORE:
        say(worker, sub); /* its function is NULL: refused, and all is told */
        say(worker, sub);
        break;
    case TASK_WITHOUT_CALL:
    case CALL_OF_NONE:
    case CALL_OF_TOO_MANY:
    case CALL_OF_ANOTHER:
    case NONSENSES: break;
    }
    say(worker, sub);
    return hang(worker, NULL, 0);
}

TEST_WITHIN(subs, nonsense_costs_its_worker_alone, 60000)
{
    libpool *pool = open_pool(2, 2);
    const libpool_task good = task_of(call_once, NULL, 0);
    for (int which = 0; which < NONSENSES; which++) {
        const enum nonsense nonsense = (enum nonsense)which;
        const libpool_task task = task_of(talk_nonsense, &nonsense, sizeof nonsense);
        (void)run(pool, &task, LIBPOOL_CORRUPT);
        CU_ASSERT_EQUAL(run(pool, &good, LIBPOOL_COMPLETED), 0);
    }
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.workers_waiting, 0);
    CU_ASSERT_EQUAL(stats.tasks_ended[LIBPOOL_CORRUPT], NONSENSES);
    close_drained(pool);
}

/* Its own task has ended, it says, and the next one calls: which it has got, and has not begun. */
static int call_for_the_next(libpool_worker *worker, const void *input, size_t size)
{
    struct lp_message next = {.kind = LP_MESSAGE_RESULT};
    int error = hold(worker, input, size);
    if (error)
        return error;
    say(worker, next);
    (void)lp_worker_receive(worker, &next, -1);
    say(worker, (struct lp_message){
                    .kind = LP_MESSAGE_CALL, .task_id = next.task_id, .call = 1, .count = 1});
    return hang(worker, NULL, 0);
}

TEST(subs, who_calls_for_a_task_that_it_has_not_begun_talks_nonsense)
{
    struct gate *gate = make_gate();
    libpool *pool = open_pool(1, 1);
    const libpool_task task = task_of(call_for_the_next, &gate, sizeof gate);
    const libpool_task none = task_of(nothing, NULL, 0);
    libpool_future *caller = submit(pool, &task);
    await_event(pool, LIBPOOL_EVENT_TASK_LAUNCHED, 1);
    libpool_future *next = submit(pool, &none);
    sem_post(&gate->open);
    CU_ASSERT_EQUAL(await(caller)->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(await(next)->cause, LIBPOOL_COMPLETED); /* by another */
    CU_ASSERT_EQUAL(stats_of(pool).workers_ended[LIBPOOL_CORRUPT], 1);
    libpool_future_free(caller);
    libpool_future_free(next);
    close_drained(pool);
    drop_gate(gate);
}

/* ---- what nobody could take ------------------------------------------------------------------ */

static int emit_two_mib(libpool_worker *worker, const void *input, size_t size)
{
    static const char kib[1024];
    int error = 0;
    (void)input, (void)size;
    for (int i = 0; i < 2048 && !error; i++)
        error = libpool_emit(worker, kib, sizeof kib);
    return error;
}

static int call_one_that_emits(libpool_worker *worker, const void *input, size_t size)
{
    const libpool_task task = task_of(emit_two_mib, NULL, 0);
    const libpool_result *result = NULL;
    (void)input, (void)size;
    int error = libpool_worker_call(worker, &task, 1, -1, &result);
    return error ? error : result->cause != LIBPOOL_COMPLETED;
}

TEST(subs, their_parts_hold_nobody_up)
{
    libpool *pool = open_pool(1, 1);
    const libpool_task task = task_of(call_one_that_emits, NULL, 0);
    CU_ASSERT_EQUAL(run(pool, &task, LIBPOOL_COMPLETED), 0);
    close_drained(pool);
}

/* ---- other kinds of workers ------------------------------------------------------------------ */

TEST(subs, threads_call_too)
{
    const libpool_options options = {
        .size = sizeof options, .max_workers = 1, .waiting_workers = 3, .start = LIBPOOL_THREADS};
    libpool *pool;
    int n = 7;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    const libpool_task task = task_of(fibonacci, &n, sizeof n);
    libpool_future *future = submit(pool, &task);
    const libpool_result *result = await(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL_FATAL(result->data_size, sizeof(int));
    CU_ASSERT_EQUAL(*(const int *)result->data, 13);
    libpool_future_free(future);
    close_drained(pool);
}

TEST(subs, workers_of_a_program_call_by_name)
{
    const libpool_options options = {.size = sizeof options,
                                     .max_workers = 1,
                                     .waiting_workers = 3,
                                     .start = LIBPOOL_SPAWN,
                                     .zygote_path = lp_rig_beside_us("libpool-zygote")};
    libpool *pool;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    char input[512] = "\3";
    strncpy(input + 1, lp_rig_beside_us("test_object.so"), sizeof input - 2);
    libpool_task task = task_of(NULL, input, sizeof input);
    task.object = input + 1;
    task.symbol = "test_call";
    libpool_future *future = submit(pool, &task);
    const libpool_result *result = await(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(result->code, 0);
    CU_ASSERT_EQUAL_FATAL(result->data_size, 4);
    CU_ASSERT_EQUAL(memcmp(result->data, "3210", 4), 0);
    libpool_future_free(future);
    close_drained(pool);
}
