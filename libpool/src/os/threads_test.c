/* SPDX-License-Identifier: MIT */
/*
 * Pools whose workers are threads, through the public functions. A worker shares the memory of the test,
 * so tasks and tests talk through counters and semaphores there; nothing waits for a time to pass.
 */
#include <libpool.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"

#define WAIT_MS 20000

/* ---- the pool and its tasks ------------------------------------------------------------------ */

static libpool *open_threads(libpool_options options)
{
    libpool *pool = NULL;
    options.size = sizeof options;
    options.start = LIBPOOL_THREADS;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}
#define OPEN(...) open_threads((libpool_options){__VA_ARGS__})

static libpool_future *submit_task(libpool *pool, libpool_task task)
{
    libpool_future *future = NULL;
    task.size = sizeof task;
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, WAIT_MS, &future), 0);
    return future;
}
#define SUBMIT(pool, ...) submit_task((pool), (libpool_task){__VA_ARGS__})

static const libpool_result *result_of(libpool_future *future)
{
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, WAIT_MS), 0);
    return libpool_future_result(future);
}

static libpool_cause end_of(libpool_future *future)
{
    libpool_cause cause = result_of(future)->cause;
    libpool_future_free(future);
    return cause;
}

static libpool_stats stats_of(libpool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    return stats;
}

static _Atomic int shared;

static int add(libpool_worker *worker, const void *input, size_t size)
{
    pid_t who[2] = {getpid(), gettid()};
    (void)size;
    atomic_fetch_add(&shared, *(const int *)input);
    return libpool_reply(worker, who, sizeof who);
}

TEST(threads, share_the_applications_memory)
{
    libpool *pool = OPEN(.max_workers = 2);
    int five = 5;
    atomic_store(&shared, 0);
    libpool_future *future = SUBMIT(pool, .function = add, .input = &five,
                                    .input_size = sizeof five);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_HAS_RUN);
    CU_ASSERT_EQUAL(atomic_load(&shared), 5);
    CU_ASSERT_EQUAL_FATAL(result->data_size, 2 * sizeof(pid_t));
    const pid_t *who = result->data;
    CU_ASSERT_EQUAL(who[0], getpid());
    CU_ASSERT_NOT_EQUAL(who[1], gettid());
    CU_ASSERT_EQUAL(who[1], result->pid);
    libpool_future_free(future);
    libpool_close(pool);
}

/* ---- tasks that are released by the test ------------------------------------------------------ */

static sem_t entered, gate;
static _Atomic int initialised, finalised;

static void begin_gate(void)
{
    CU_ASSERT_EQUAL(sem_init(&entered, 0, 0), 0);
    CU_ASSERT_EQUAL(sem_init(&gate, 0, 0), 0);
    atomic_store(&initialised, 0);
    atomic_store(&finalised, 0);
}

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore))
        continue;
}

/* Does not listen. */
static int wait_at_gate(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    sem_post(&entered);
    await(&gate);
    return libpool_worker_stopping(worker) ? libpool_reply(worker, "asked", 5) : 0;
}

/* Does. */
static int run_until_asked(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    sem_post(&entered);
    while (!libpool_worker_stopping(worker))
        sched_yield();
    return libpool_reply(worker, "asked", 5);
}

static int nop(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

static int echo(libpool_worker *worker, const void *input, size_t size)
{
    return libpool_reply(worker, input, size);
}

static int fail(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 7;
}

static int initialise(libpool_worker *worker, void *arg)
{
    libpool_worker_set_data(worker, arg);
    atomic_fetch_add(&initialised, 1);
    return 0;
}

static void finalise(libpool_worker *worker, void *arg)
{
    CU_ASSERT_PTR_EQUAL(libpool_worker_data(worker), arg);
    atomic_fetch_add(&finalised, 1);
}

static bool was_asked(const libpool_result *result)
{
    return result->certainty == LIBPOOL_HAS_RUN && result->data_size == 5 &&
           memcmp(result->data, "asked", 5) == 0;
}

/* ---- what a process can do, a thread can ------------------------------------------------------- */

#define MANY 20000
#define LARGE (3u << 20)

TEST(threads, run_many_tiny_tasks_and_a_large_one)
{
    libpool *pool = OPEN(.max_workers = 3, .backlog_tasks = MANY);
    static libpool_future *futures[MANY];
    unsigned char *large = malloc(LARGE);
    CU_ASSERT_PTR_NOT_NULL_FATAL(large);
    memset(large, 'x', LARGE);
    libpool_future *future = SUBMIT(pool, .function = echo, .input = large, .input_size = LARGE);
    for (int i = 0; i < MANY; i++)
        futures[i] = SUBMIT(pool, .function = echo, .input = &i, .input_size = sizeof i);
    int wrong = 0;
    for (int i = 0; i < MANY; i++) {
        const libpool_result *result = result_of(futures[i]);
        wrong += result->data_size != sizeof i || memcmp(result->data, &i, sizeof i) != 0;
        libpool_future_free(futures[i]);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL_FATAL(result->data_size, LARGE);
    CU_ASSERT_EQUAL(memcmp(result->data, large, LARGE), 0);
    libpool_future_free(future);
    free(large);
    libpool_close(pool);
}

TEST(threads, have_initializers_and_finalizers_and_are_recycled)
{
    begin_gate();
    libpool *pool = OPEN(.max_workers = 1, .tasks_per_worker = 2, .initializer = initialise,
                         .initializer_arg = &shared, .finalizer = finalise,
                         .finalizer_arg = &shared);
    for (int i = 0; i < 6; i++)
        CU_ASSERT_EQUAL(end_of(SUBMIT(pool, .function = nop)), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, -1), 0);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.worker_processes_created, 3);
    CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_COMPLETED], 3);
    CU_ASSERT_EQUAL(stats.finalizers_ok, 3);
    CU_ASSERT_EQUAL(stats.zygotes_lost, 0);
    CU_ASSERT_EQUAL(atomic_load(&initialised), 3);
    CU_ASSERT_EQUAL(atomic_load(&finalised), 3);
    libpool_close(pool);
}

static int refuse(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    return 9;
}

TEST(threads, whose_initializers_fail_are_told_of)
{
    libpool *pool = OPEN(.max_workers = 1, .initializer = refuse, .initializer_failures = 2,
                         .backoff_min_ms = 1, .backoff_max_ms = 1);
    libpool_future *future = SUBMIT(pool, .function = nop);
    CU_ASSERT_EQUAL(result_of(future)->cause, LIBPOOL_INIT_FAILED);
    CU_ASSERT_EQUAL(libpool_future_result(future)->code, 9);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(threads, fail_and_are_run_again)
{
    libpool *pool = OPEN(.max_workers = 1);
    libpool_future *future = SUBMIT(pool, .function = fail, .retries = 2,
                                    .retry_causes = 1u << LIBPOOL_ERROR, .retry_min_ms = 1);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(result->code, 7);
    CU_ASSERT_EQUAL(result->attempts, 3);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(threads, are_driven_by_the_application_if_it_wants)
{
    libpool *pool = OPEN(.max_workers = 2, .flags = LIBPOOL_NO_THREAD);
    for (int i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(end_of(SUBMIT(pool, .function = nop)), LIBPOOL_COMPLETED);
    libpool_close(pool);
}

/* ---- asked, never killed ------------------------------------------------------------------------ */

TEST(threads, that_overrun_are_asked_and_live_on)
{
    begin_gate();
    libpool *pool = OPEN(.max_workers = 1);
    libpool_future *future = SUBMIT(pool, .function = run_until_asked, .run_timeout_ms = 20);
    const libpool_result *result = result_of(future);
    int pid = result->pid;
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_TIMEOUT);
    CU_ASSERT(was_asked(result));
    CU_ASSERT_PTR_NOT_NULL(strstr(result->text, "returned when asked to"));
    libpool_future_free(future);
    future = SUBMIT(pool, .function = nop);
    CU_ASSERT_EQUAL(result_of(future)->pid, pid);
    CU_ASSERT_EQUAL(libpool_future_result(future)->cause, LIBPOOL_COMPLETED);
    libpool_future_free(future);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_asked, 1);
    libpool_close(pool);
}

TEST(threads, that_are_silent_are_asked)
{
    begin_gate();
    libpool *pool = OPEN(.max_workers = 1);
    libpool_future *future = SUBMIT(pool, .function = run_until_asked, .heartbeat_timeout_ms = 20);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_TIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(result->text, "no heartbeat for 20 ms"));
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(threads, that_do_not_listen_end_when_they_return)
{
    begin_gate();
    libpool *pool = OPEN(.max_workers = 1);
    libpool_future *future = SUBMIT(pool, .function = wait_at_gate, .grace_ms = 1);
    libpool_future *next = SUBMIT(pool, .function = nop);
    await(&entered);
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_ASKED);
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_ASKED);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 50),
                    -ETIMEDOUT); /* however long its grace is over */
    CU_ASSERT_EQUAL(stats_of(pool).worker_processes_busy, 1);
    sem_post(&gate);
    CU_ASSERT_EQUAL(result_of(future)->cause, LIBPOOL_CANCELLED);
    CU_ASSERT(was_asked(libpool_future_result(future)));
    libpool_future_free(future);
    CU_ASSERT_EQUAL(end_of(next), LIBPOOL_COMPLETED);
    libpool_close(pool);
}

#define PARTS 64
#define PART_BYTES (64u << 10)

static int send_parts(libpool_worker *worker, const void *input, size_t size)
{
    static const char part[PART_BYTES];
    int code = 0;
    (void)input, (void)size;
    for (int i = 0; i < PARTS && !code; i++)
        code = libpool_emit(worker, part, sizeof part);
    return code ? code : libpool_reply(worker, "asked", 5);
}

/* Nobody takes them, and nobody frees the future: a process would be killed. */
TEST(threads, that_wait_for_their_parts_to_be_taken_are_let_go)
{
    libpool *pool = OPEN(.max_workers = 1);
    const void *data;
    size_t size;
    libpool_future *future = SUBMIT(pool, .function = send_parts);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 100), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_ASKED);
    CU_ASSERT_EQUAL(result_of(future)->cause, LIBPOOL_CANCELLED);
    CU_ASSERT(was_asked(libpool_future_result(future)));
    CU_ASSERT_EQUAL(libpool_future_part(future, &data, &size, 0), 1);
    CU_ASSERT_EQUAL(size, PART_BYTES);
    libpool_future_free(future);
    CU_ASSERT_EQUAL(end_of(SUBMIT(pool, .function = nop)), LIBPOOL_COMPLETED);
    libpool_close(pool);
}

TEST(threads, of_a_group_are_asked_and_those_that_wait_dequeued)
{
    begin_gate();
    libpool *pool = OPEN(.max_workers = 1);
    uint64_t killed = 99;
    libpool_future *running = SUBMIT(pool, .function = run_until_asked, .group = 3);
    libpool_future *waiting = SUBMIT(pool, .function = nop, .group = 3);
    await(&entered);
    CU_ASSERT_EQUAL(libpool_cancel_group(pool, 3, &killed), 1);
    CU_ASSERT_EQUAL(killed, 0);
    CU_ASSERT_EQUAL(end_of(waiting), LIBPOOL_CANCELLED);
    CU_ASSERT_EQUAL(end_of(running), LIBPOOL_CANCELLED);
    libpool_close(pool);
}

static int initialise_at_gate(libpool_worker *worker, void *arg)
{
    sem_post(&entered);
    await(&gate);
    return initialise(worker, arg);
}

/* Its initializer is late, and not in vain: what that has made its finalizer takes away. */
TEST(threads, whose_initializer_overran_leave_in_order)
{
    begin_gate();
    libpool *pool = OPEN(.max_workers = 1, .min_workers = 1, .initializer = initialise_at_gate,
                         .finalizer = finalise, .initializer_timeout_ms = 20, .event_buffer = 64,
                         .flags = LIBPOOL_EXCLUSIVE); /* one at a time at the gate */
    libpool_event event = {.size = sizeof event};
    await(&entered);
    while (event.kind != LIBPOOL_EVENT_WORKER_KILLED)
        CU_ASSERT_EQUAL_FATAL(libpool_event_next(pool, &event, WAIT_MS), 0);
    CU_ASSERT_EQUAL(event.cause, LIBPOOL_INIT_FAILED);
    sem_post(&gate);
    while (event.kind != LIBPOOL_EVENT_WORKER_EXITED)
        CU_ASSERT_EQUAL_FATAL(libpool_event_next(pool, &event, WAIT_MS), 0);
    CU_ASSERT_EQUAL(event.cause, LIBPOOL_INIT_FAILED);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.finalizers_started, stats.finalizers_ok);
    CU_ASSERT(atomic_load(&finalised) > 0);
    for (int i = 0; i < 20; i++) /* of those that follow */
        sem_post(&gate);
    libpool_close(pool);
    CU_ASSERT_EQUAL(atomic_load(&finalised), atomic_load(&initialised));
}

/* ---- the end ------------------------------------------------------------------------------------ */

TEST(threads, are_asked_by_a_shutdown_that_cancels)
{
    begin_gate();
    libpool *pool = OPEN(.max_workers = 2, .initializer = initialise, .finalizer = finalise);
    libpool_future *running = SUBMIT(pool, .function = run_until_asked);
    await(&entered);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_CANCEL, -1), 0);
    CU_ASSERT_EQUAL(result_of(running)->cause, LIBPOOL_SHUTDOWN);
    CU_ASSERT(was_asked(libpool_future_result(running)));
    libpool_future_free(running);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, -1), 0);
    CU_ASSERT_EQUAL(atomic_load(&finalised), atomic_load(&initialised));
    libpool_close(pool);
}

TEST(threads, outlive_a_shutdowns_deadline_and_no_more_than_that_is_waited_for)
{
    begin_gate();
    libpool *pool = OPEN(.max_workers = 1);
    libpool_future *running = SUBMIT(pool, .function = wait_at_gate);
    libpool_future *waiting = SUBMIT(pool, .function = nop);
    await(&entered);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, 10), -ETIME);
    CU_ASSERT_EQUAL(end_of(waiting), LIBPOOL_SHUTDOWN);
    CU_ASSERT_EQUAL(libpool_future_wait(running, 0), -ETIMEDOUT);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_running, 1);
    sem_post(&gate);
    CU_ASSERT_EQUAL(result_of(running)->cause, LIBPOOL_SHUTDOWN);
    CU_ASSERT(was_asked(libpool_future_result(running)));
    libpool_future_free(running);
    libpool_close(pool);
}

static void *close_it(void *pool)
{
    libpool_close(pool);
    atomic_store(&shared, 2);
    return NULL;
}

/* A task that is asked, and still runs when that is noticed, is not left alone. */
TEST(threads, are_waited_for_when_the_pool_is_closed)
{
    begin_gate();
    pthread_t closer;
    libpool *pool = OPEN(.max_workers = 1);
    libpool_future *running = SUBMIT(pool, .function = wait_at_gate);
    await(&entered);
    atomic_store(&shared, 1);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&closer, NULL, close_it, pool), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(running, 2500), -ETIMEDOUT); /* all that a process gets */
    CU_ASSERT_EQUAL(atomic_load(&shared), 1);
    sem_post(&gate);
    CU_ASSERT_EQUAL(end_of(running), LIBPOOL_SHUTDOWN);
    CU_ASSERT_EQUAL(pthread_join(closer, NULL), 0);
    CU_ASSERT_EQUAL(atomic_load(&shared), 2);
}

static int leave_the_thread(libpool_worker *worker, const void *input, size_t size)
{
    char data[100] = {0};
    (void)input, (void)size;
    (void)libpool_reply(worker, data, sizeof data);
    pthread_exit(NULL);
}

TEST(threads, that_end_their_thread_have_exited)
{
    libpool *pool = OPEN(.max_workers = 1);
    libpool_future *future = SUBMIT(pool, .function = leave_the_thread);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_EXIT);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_MAY_HAVE_RUN);
    libpool_future_free(future);
    CU_ASSERT_EQUAL(end_of(SUBMIT(pool, .function = nop)), LIBPOOL_COMPLETED);
    libpool_close(pool);
}

/* ---- inside a task ------------------------------------------------------------------------------- */

static libpool *own_pool;
static libpool_future *own_task;

static int use_own_pool(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    libpool_task task = {.size = sizeof task, .function = nop};
    libpool_event event = {.size = sizeof event};
    int said[] = {
        libpool_submit(own_pool, &task, -1, &own_task), libpool_future_wait(own_task, -1),
        libpool_wait_all(&own_task, 1, WAIT_MS),        libpool_drain(own_pool, -1),
        libpool_shutdown(own_pool, LIBPOOL_WAIT, -1),   libpool_event_next(own_pool, &event, -1),
        libpool_submit(own_pool, &task, -1, NULL),
    };
    libpool_close(own_pool); /* nothing happens */
    return libpool_reply(worker, said, sizeof said);
}

/* With one worker, each of these would wait for itself. */
TEST(threads, may_submit_to_their_own_pool_and_must_not_wait_for_it)
{
    static const int due[] = {0, -EDEADLK, -EDEADLK, -EDEADLK, -EDEADLK, -EDEADLK, -EAGAIN};
    own_pool = OPEN(.max_workers = 1, .event_buffer = 16, .backlog_tasks = 1);
    libpool_future *future = SUBMIT(own_pool, .function = use_own_pool);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL_FATAL(result->data_size, sizeof due);
    CU_ASSERT_EQUAL(memcmp(result->data, due, sizeof due), 0);
    libpool_future_free(future);
    CU_ASSERT_EQUAL(end_of(own_task), LIBPOOL_COMPLETED);
    libpool_close(own_pool);
}

static int tell_about_thread(libpool_worker *worker, const void *input, size_t size)
{
    sigset_t blocked;
    char name[16] = {0};
    (void)input, (void)size;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    pthread_getname_np(pthread_self(), name, sizeof name);
    name[14] = (char)sigismember(&blocked, SIGTERM);
    name[15] = (char)sigismember(&blocked, SIGSEGV);
    return libpool_reply(worker, name, sizeof name);
}

TEST(threads, have_a_name_and_leave_signals_to_the_application)
{
    libpool *pool = OPEN(.max_workers = 1, .name = "sums");
    libpool_future *future = SUBMIT(pool, .function = tell_about_thread);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL_FATAL(result->data_size, 16);
    const char *told = result->data;
    CU_ASSERT_STRING_EQUAL(told, "sums:0");
    CU_ASSERT_EQUAL(told[14], 1);
    CU_ASSERT_EQUAL(told[15], 0);
    libpool_future_free(future);
    libpool_close(pool);
}

static int fork_and_come_back(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    pid_t pid = fork();
    return pid == 0 ? 5 : pid;
}

/* The child is no second worker: it ends where the task would have returned to the pool. */
TEST(threads, that_fork_have_one_child)
{
    int status = 0;
    libpool *pool = OPEN(.max_workers = 1);
    libpool_future *future = SUBMIT(pool, .function = fork_and_come_back);
    pid_t pid = result_of(future)->code;
    CU_ASSERT_EQUAL(libpool_future_result(future)->cause, LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, TEST_EXIT(5));
    libpool_future_free(future);
    libpool_close(pool);
}

static int use_the_copy(void *pool)
{
    int refused = libpool_drain(pool, -1);
    libpool_close(pool);
    return refused == -ECHILD ? 0 : 1;
}

TEST(threads, stay_with_the_application_when_it_forks)
{
    begin_gate();
    libpool *pool = OPEN(.max_workers = 1);
    libpool_future *running = SUBMIT(pool, .function = wait_at_gate);
    await(&entered);
    CU_ASSERT_EQUAL(hn_test_child(use_the_copy, pool, WAIT_MS), TEST_EXIT(0));
    sem_post(&gate);
    CU_ASSERT_EQUAL(end_of(running), LIBPOOL_COMPLETED);
    libpool_close(pool);
}

TEST_IN_CHILD(threads, end_with_the_application, 5000, TEST_EXIT(0))
{
    sem_init(&entered, 0, 0);
    sem_init(&gate, 0, 0);
    libpool_options options = {.size = sizeof options, .start = LIBPOOL_THREADS};
    libpool_task task = {.size = sizeof task, .function = wait_at_gate};
    libpool *pool;
    if (libpool_open(&pool, &options) || libpool_submit(pool, &task, 0, NULL))
        return 1;
    await(&entered);
    exit(0); /* with a pool that is open, and a task that runs */
}

/* ---- what has no meaning ---------------------------------------------------------------------------- */

TEST(threads, refuse_what_is_a_process_s_own)
{
    static const libpool_outfit outfit = {.size = sizeof outfit};
    static const libpool_options refused[] = {
        {.memory_limit_bytes = 1 << 30},
        {.recycle_bytes = 1},
        {.trim_bytes = 1},
        {.cgroup = "/sys/fs/cgroup"},
        {.outfit = &outfit},
        {.zygote_path = "/bin/true"},
        {.tail_bytes = 1},
        {.flags = LIBPOOL_PRELOAD, .object = "libc.so.6"},
        {.flags = LIBPOOL_TRACE},
    };
    libpool *pool = NULL;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        libpool_options options = refused[i];
        options.size = sizeof options;
        options.start = LIBPOOL_THREADS;
        CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
    }
    pool = OPEN(.max_workers = 1);
    libpool_task task = {
        .size = sizeof task, .function = nop, .grace_ms = 1, .soft_signal = SIGTERM};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EINVAL);
    task = (libpool_task){
        .size = sizeof task, .function = nop, .flags = LIBPOOL_FILE, .input_size = 1};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &outfit), -ENOTSUP);
    libpool_close(pool);
    libpool_future *future = NULL;
    libpool_options options = {.size = sizeof options, .start = LIBPOOL_THREADS};
    task = (libpool_task){.size = sizeof task, .function = nop};
    CU_ASSERT_EQUAL(libpool_call(&task, &options, &future), -EINVAL);
}

/* ---- nothing is left ---------------------------------------------------------------------------------- */

static int entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    while (directory && readdir(directory))
        count++;
    if (directory)
        closedir(directory);
    return count;
}

static long resident_kib(void)
{
    long pages = 0, unused = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &unused, &pages) != 2)
        pages = -1;
    if (file)
        (void)fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void recycle(libpool *pool, int times)
{
    char bytes[4096] = {0};
    for (int i = 0; i < times; i++)
        CU_ASSERT_EQUAL_FATAL(
            end_of(SUBMIT(pool, .function = echo, .input = bytes, .input_size = sizeof bytes)),
            LIBPOOL_COMPLETED);
}

TEST_WITHIN(threads, leave_nothing_over_a_thousand_recycles, 120000)
{
    int threads = entries("/proc/self/task"), fds = entries("/proc/self/fd");
    libpool *pool = OPEN(.max_workers = 1, .tasks_per_worker = 1, .initializer = initialise);
    int open_fds = entries("/proc/self/fd");
    CU_ASSERT_EQUAL(open_fds - fds, 6 + 2); /* as libpool_open says, of two slots */
    recycle(pool, 100);
    long before_kib = resident_kib();
    recycle(pool, 1000);
    CU_ASSERT_EQUAL(entries("/proc/self/fd"), open_fds);
    CU_ASSERT(entries("/proc/self/task") <=
              threads + 2 + 2); /* a supervisor, a zygote; two slots */
    if (!TEST_ADDRESS_SANITIZER && !TEST_THREAD_SANITIZER)
        CU_ASSERT(resident_kib() - before_kib < 1024);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT(stats.worker_processes_created >= 1100);
    libpool_close(pool);
    CU_ASSERT_EQUAL(entries("/proc/self/task"), threads);
    CU_ASSERT_EQUAL(entries("/proc/self/fd"), fds);
}
