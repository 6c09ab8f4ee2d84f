/* SPDX-License-Identifier: MIT */
/* The whole pool through its public door, with real processes. */
#include <libpool.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"

/* ---- tasks ---------------------------------------------------------------------------------- */

static int noop(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

static int echo(libpool_worker *worker, const void *input, size_t size)
{
    return libpool_reply(worker, input, size);
}

static int fail_with(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    return *(const int *)input;
}

static int raise_signal(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    return raise(*(const int *)input);
}

static int leave_with(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    exit(*(const int *)input);
    return 0;
}

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
    return 0;
}

static int tell_slot(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    uint32_t slot = libpool_worker_slot(worker);
    return libpool_reply(worker, &slot, sizeof slot);
}

static int fork_and_return_twice(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    return fork() < 0 ? errno : libpool_reply(worker, "one", 3);
}

static int use_the_pool(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    libpool *pool = *(libpool *const *)input;
    libpool_task task = {.size = sizeof task, .function = noop};
    return -libpool_submit(pool, &task, 0, NULL);
}

/* ---- helpers -------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static libpool *open_pool(uint32_t workers)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .min_workers = workers, .max_workers = workers};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_future *submit(libpool *pool, libpool_task_function *function, const void *input,
                              size_t size, uint32_t run_timeout_ms)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = function,
                         .input = input,
                         .input_size = size,
                         .run_timeout_ms = run_timeout_ms};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

/* Waits for the end; the result dies with the future, so only the cause is returned. */
static libpool_cause cause_of(libpool_future *future)
{
    CU_ASSERT_EQUAL(libpool_future_wait(future, 20000), 0);
    const libpool_result *result = libpool_future_result(future);
    libpool_cause cause = result ? result->cause : LIBPOOL_PENDING;
    libpool_future_free(future);
    return cause;
}

static libpool_stats stats_of(libpool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    return stats;
}

/* Until the pool has so many busy and so many live workers; false after 20 s. */
static bool await_stats(libpool *pool, uint64_t busy, uint64_t alive)
{
    for (int i = 0; i < 4000; i++) {
        libpool_stats stats = stats_of(pool);
        if (stats.worker_processes_busy == busy && stats.worker_processes_still_alive == alive)
            return true;
        (void)poll(NULL, 0, 5);
    }
    return false;
}

/* ---- tests ---------------------------------------------------------------------------------- */

TEST(libpool, a_task_completes_and_its_bytes_come_back)
{
    libpool *pool = open_pool(1);
    libpool_future *future = submit(pool, echo, "hello", 5, 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 10000), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_HAS_RUN);
    CU_ASSERT_EQUAL(result->data_size, 5);
    CU_ASSERT_EQUAL(memcmp(result->data, "hello", 5), 0);
    libpool_close(pool);
    CU_ASSERT_EQUAL(libpool_future_result(future)->task_id, 1); /* it outlives the pool */
    libpool_future_free(future);
}

TEST(libpool, payloads_larger_than_the_ring_are_byte_exact)
{
    libpool *pool = open_pool(2);
    const size_t size = 5 * 1000 * 1000 + 7;
    unsigned char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 253);
    libpool_future *futures[4];
    for (int i = 0; i < 4; i++)
        futures[i] = submit(pool, echo, bytes, size - (size_t)i, 0);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(libpool_future_wait(futures[i], 20000), 0);
        const libpool_result *result = libpool_future_result(futures[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(result);
        CU_ASSERT_EQUAL(result->data_size, size - (size_t)i);
        CU_ASSERT_EQUAL(memcmp(result->data, bytes, result->data_size), 0);
        libpool_future_free(futures[i]);
    }
    free(bytes);
    libpool_close(pool);
}

TEST(libpool, each_way_to_end_has_its_own_cause)
{
    libpool *pool = open_pool(2);
    int seven = 7, zero = 0, segv = SIGSEGV, kill_signal = SIGKILL, term = SIGTERM,
        aborts = SIGABRT;
    CU_ASSERT_EQUAL(cause_of(submit(pool, fail_with, &seven, sizeof seven, 0)), LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(cause_of(submit(pool, raise_signal, &segv, sizeof segv, 0)), LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(cause_of(submit(pool, raise_signal, &aborts, sizeof aborts, 0)), LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(cause_of(submit(pool, raise_signal, &kill_signal, sizeof kill_signal, 0)),
                    LIBPOOL_KILLED);
    CU_ASSERT_EQUAL(cause_of(submit(pool, raise_signal, &term, sizeof term, 0)), LIBPOOL_KILLED);
    CU_ASSERT_EQUAL(cause_of(submit(pool, leave_with, &zero, sizeof zero, 0)), LIBPOOL_EXIT);
    CU_ASSERT_EQUAL(cause_of(submit(pool, leave_with, &seven, sizeof seven, 0)), LIBPOOL_EXIT);
    CU_ASSERT_EQUAL(cause_of(submit(pool, hang, NULL, 0, 50)), LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.tasks_received, 9);
    CU_ASSERT_EQUAL(stats.tasks_failed, 8);
    CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_CRASH], 2);
    libpool_close(pool);
}

TEST(libpool, a_result_says_who_died_of_what)
{
    libpool *pool = open_pool(1);
    int segv = SIGSEGV;
    libpool_future *future = submit(pool, raise_signal, &segv, sizeof segv, 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 10000), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    CU_ASSERT_EQUAL(result->signal, SIGSEGV);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_MAY_HAVE_RUN);
    CU_ASSERT(result->pid > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(result->text, "SIGSEGV"));
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(libpool, cancel_says_what_it_did)
{
    libpool *pool = open_pool(1);
    libpool_future *running = submit(pool, hang, NULL, 0, 0);
    CU_ASSERT_TRUE(await_stats(pool, 1, 1));
    libpool_future *pending = submit(pool, noop, NULL, 0, 0);
    CU_ASSERT_EQUAL(libpool_future_cancel(pending), LIBPOOL_CANCEL_DEQUEUED);
    CU_ASSERT_EQUAL(libpool_future_cancel(pending), LIBPOOL_CANCEL_DONE);
    CU_ASSERT_EQUAL(libpool_future_cancel(running), LIBPOOL_CANCEL_KILLED);
    CU_ASSERT_EQUAL(cause_of(running), LIBPOOL_CANCELLED);
    CU_ASSERT_EQUAL(cause_of(pending), LIBPOOL_CANCELLED);
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_failed, 0);
    libpool_close(pool);
}

TEST(libpool, a_full_backlog_refuses_and_room_lets_in)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .backlog_tasks = 2};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    libpool_task task = {.size = sizeof task, .function = hang};
    libpool_future *futures[3];
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &futures[0]), 0);
    CU_ASSERT_TRUE(await_stats(pool, 1, 1));
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &futures[1]), 0);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &futures[2]), 0);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EAGAIN);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 30, NULL), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_future_cancel(futures[2]), LIBPOOL_CANCEL_DEQUEUED);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), 0);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_rejected, 2);
    libpool_close(pool);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_PTR_NOT_NULL(libpool_future_result(futures[i]));
        libpool_future_free(futures[i]);
    }
}

TEST(libpool, a_wait_that_times_out_leaves_the_task_alone)
{
    libpool *pool = open_pool(1);
    libpool_future *future = submit(pool, hang, NULL, 0, 300);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 20), -ETIMEDOUT);
    CU_ASSERT_PTR_NULL(libpool_future_result(future));
    CU_ASSERT_EQUAL(libpool_future_wait(future, 0), -ETIMEDOUT);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_TIMEOUT);
    libpool_close(pool);
}

TEST(libpool, shutdown_drains_or_cancels_as_told)
{
    libpool *pool = open_pool(2);
    libpool_future *futures[20];
    for (int i = 0; i < 20; i++)
        futures[i] = submit(pool, noop, NULL, 0, 0);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, 10000), 0);
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(cause_of(futures[i]), LIBPOOL_COMPLETED);
    libpool_task task = {.size = sizeof task, .function = noop};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), -ESHUTDOWN);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, 10000), 0); /* again: joins the first */
    CU_ASSERT_EQUAL(stats_of(pool).worker_processes_still_alive, 0);
    libpool_close(pool);
}

TEST(libpool, a_shutdown_deadline_kills_what_is_left)
{
    libpool *pool = open_pool(1);
    libpool_future *running = submit(pool, hang, NULL, 0, 0);
    libpool_future *pending = submit(pool, noop, NULL, 0, 0);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, 50), -ETIME);
    CU_ASSERT_EQUAL(cause_of(running), LIBPOOL_SHUTDOWN);
    CU_ASSERT_EQUAL(cause_of(pending), LIBPOOL_SHUTDOWN);
    libpool_close(pool);
}

TEST(libpool, a_worker_is_replaced_after_its_tasks)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .min_workers = 1, .max_workers = 1, .tasks_per_worker = 3};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    for (int i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(cause_of(submit(pool, noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, 10000), 0);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.worker_processes_created, 4);
    CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_COMPLETED], 4);
    libpool_close(pool);
}

static bool await_event(libpool *pool, libpool_event *event, libpool_event_kind kind)
{
    int error = 0;
    for (event->kind = LIBPOOL_EVENT_KINDS; !error && event->kind != kind;)
        error = libpool_event_next(pool, event, 10000);
    return error == 0;
}

TEST(libpool, an_idle_worker_is_replaced_at_its_age)
{
    enum {
        AGE_MS = 200,
        JITTER_PERCENT = 50
    };
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .min_workers = 1,
                               .max_workers = 1,
                               .event_buffer = 64,
                               .max_age_ms = AGE_MS,
                               .recycle_jitter_percent = JITTER_PERCENT};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_event ready = {.size = sizeof ready}, retired = ready, next = ready;
    CU_ASSERT_TRUE(await_event(pool, &ready, LIBPOOL_EVENT_WORKER_READY));
    CU_ASSERT_TRUE(await_event(pool, &retired, LIBPOOL_EVENT_WORKER_RETIRED));
    CU_ASSERT_TRUE(await_event(pool, &next, LIBPOOL_EVENT_WORKER_READY));
    CU_ASSERT_EQUAL(retired.pid, ready.pid);
    CU_ASSERT_NOT_EQUAL(next.pid, ready.pid);
    CU_ASSERT_TRUE(retired.time_ns - ready.time_ns >= UINT64_C(1000000) * 1000);
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    libpool_close(pool);
    options.recycle_jitter_percent = 101;
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
}

TEST(libpool, the_pool_refuses_itself_inside_a_task_and_in_a_fork)
{
    libpool *pool = open_pool(1);
    libpool_future *future = submit(pool, use_the_pool, &pool, sizeof pool, 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 10000), 0);
    CU_ASSERT_EQUAL(libpool_future_result(future)->code, EDEADLK);
    libpool_future_free(future);
    pid_t child = fork();
    if (child == 0) {
        libpool_stats stats = {.size = sizeof stats};
        bool refused = libpool_stats_read(pool, &stats) == -ECHILD &&
                       libpool_shutdown(pool, LIBPOOL_WAIT, -1) == -ECHILD;
        libpool_close(pool);
        _exit(refused ? 0 : 1);
    }
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    libpool_close(pool);
}

TEST(libpool, a_task_that_forks_and_returns_twice_answers_once)
{
    libpool *pool = open_pool(1);
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(cause_of(submit(pool, fork_and_return_twice, NULL, 0, 0)),
                        LIBPOOL_COMPLETED);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.worker_processes_created, 1);
    libpool_close(pool);
}

/* What the child does, when it comes back to the library, too, is done before its parent goes on. */
static void fork_and_come_back(void)
{
    pid_t child = fork();
    if (child > 0)
        (void)waitpid(child, NULL, 0);
}

static int fork_and_begin(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    fork_and_come_back();
    return 0;
}

static void fork_and_crash(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    pid_t parent = getpid();
    fork_and_come_back();
    if (getpid() == parent)
        abort();
}

static int reply_pid(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    pid_t self = getpid();
    return libpool_reply(worker, &self, sizeof self);
}

TEST(libpool, an_initializer_and_a_finalizer_that_fork_make_no_second_worker)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .max_workers = 1,
                               .initializer = fork_and_begin,
                               .finalizer = fork_and_crash};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_future *future = submit(pool, reply_pid, NULL, 0, 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, -1), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_FATAL(result->data_size == sizeof(pid_t));
    CU_ASSERT_EQUAL(*(const pid_t *)result->data, result->pid);
    libpool_future_free(future);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, -1), 0);
    CU_ASSERT_EQUAL(stats_of(pool).finalizers_ok, 0);
    libpool_close(pool);
}

TEST(libpool, without_a_thread_the_application_drives)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .flags = LIBPOOL_NO_THREAD, .min_workers = 1, .max_workers = 2};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    libpool_future *future = submit(pool, tell_slot, NULL, 0, 0);
    struct pollfd ready = {.fd = libpool_fd(pool), .events = POLLIN};
    while (!libpool_future_result(future) && poll(&ready, 1, 10000) == 1)
        CU_ASSERT_EQUAL(libpool_dispatch(pool), 0);
    CU_ASSERT_PTR_NOT_NULL(libpool_future_result(future));
    libpool_future_free(future);
    CU_ASSERT_EQUAL(cause_of(submit(pool, hang, NULL, 0, 40)), LIBPOOL_TIMEOUT);
    libpool_close(pool);
}

static void stay(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    for (;;)
        (void)pause();
}

/* The first is still in its finalizer when the second has its number. */
TEST(libpool, a_replacement_has_the_slot_of_whom_it_replaces)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .min_workers = 1,
                               .max_workers = 1,
                               .tasks_per_worker = 1,
                               .event_buffer = 64,
                               .finalizer = stay,
                               .finalizer_timeout_ms = 20000};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    int pids[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        libpool_future *future = submit(pool, tell_slot, NULL, 0, 0);
        CU_ASSERT_EQUAL(libpool_future_wait(future, 10000), 0);
        const libpool_result *result = libpool_future_result(future);
        CU_ASSERT_PTR_NOT_NULL_FATAL(result);
        CU_ASSERT_EQUAL(result->slot, 0);
        CU_ASSERT_EQUAL(*(const uint32_t *)result->data, 0);
        pids[i] = result->pid;
        libpool_future_free(future);
    }
    CU_ASSERT_NOT_EQUAL(pids[0], pids[1]);
    CU_ASSERT_EQUAL(kill(pids[0], 0), 0); /* it lives */
    libpool_event event = {.size = sizeof event};
    for (int spawned = 0; spawned < 2;) {
        CU_ASSERT_EQUAL_FATAL(libpool_event_next(pool, &event, 10000), 0);
        spawned += event.kind == LIBPOOL_EVENT_WORKER_SPAWNED;
        CU_ASSERT_TRUE(event.slot == 0 || event.slot == UINT32_MAX);
    }
    CU_ASSERT_EQUAL(event.pid, pids[1]);
    libpool_close(pool);
}

TEST(libpool, without_a_thread_a_look_at_a_future_is_a_turn)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .max_workers = 1, .flags = LIBPOOL_NO_THREAD};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    libpool_future *future = submit(pool, echo, "x", 1, 0);
    for (uint64_t until_ms = now_ms() + 10000; now_ms() < until_ms;)
        if (libpool_future_wait(future, 0) == 0)
            break;
    CU_ASSERT_EQUAL(libpool_future_wait(future, 0), 0);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(libpool, a_function_that_is_not_mapped_is_an_error)
{
    libpool *pool = open_pool(1);
    libpool_future *future = submit(pool, (libpool_task_function *)(uintptr_t)0x1000, NULL, 0, 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 10000), 0);
    CU_ASSERT_EQUAL(libpool_future_result(future)->cause, LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(libpool_future_result(future)->code, -EFAULT);
    CU_ASSERT_EQUAL(libpool_future_result(future)->certainty, LIBPOOL_NOT_STARTED);
    static const char says[] = "the task's function is not mapped in the worker, code -14: task 1";
    CU_ASSERT(strncmp(libpool_future_result(future)->text, says, sizeof says - 1) == 0);
    libpool_future_free(future);
    CU_ASSERT_EQUAL(stats_of(pool).worker_processes_created, 1);
    libpool_close(pool);
}

TEST(libpool, a_group_is_cancelled_pending_running_and_detached)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 2};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    libpool_task task = {.size = sizeof task, .function = hang, .group = 9};
    libpool_future *mine = NULL, *other = NULL;
    uint64_t killed = 77;
    CU_ASSERT_EQUAL(libpool_cancel_group(pool, 0, NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_cancel_group(pool, 9, &killed), 0);
    CU_ASSERT_EQUAL(killed, 0);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, &mine), 0);
    for (int i = 0; i < 200; i++)
        CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), 0);
    task.function = noop;
    task.group = 8;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, &other), 0);
    CU_ASSERT_TRUE(await_stats(pool, 2, 2));
    CU_ASSERT_EQUAL(libpool_cancel_group(pool, 9, &killed), 201);
    CU_ASSERT_EQUAL(killed, 2);
    CU_ASSERT_EQUAL(libpool_future_result(mine)->cause, LIBPOOL_CANCELLED);
    libpool_future_free(mine);
    CU_ASSERT_EQUAL(cause_of(other), LIBPOOL_COMPLETED);
    libpool_close(pool);
}

/* Tiny ones lie in the worker's channel when they are cancelled. */
TEST(libpool, a_group_of_tiny_tasks_is_cancelled_in_the_channels)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .backlog_tasks = 5000};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    libpool_task tasks[2] = {{.size = sizeof tasks[0], .function = noop, .group = 1},
                             {.size = sizeof tasks[0], .function = noop, .group = 2}};
    for (int i = 0; i < 2000; i++)
        CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 2, -1, NULL), 2);
    int64_t ended = libpool_cancel_group(pool, 1, NULL);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, 20000), 0);
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL((int64_t)stats.tasks_ended[LIBPOOL_CANCELLED], ended);
    CU_ASSERT_EQUAL((int64_t)stats.tasks_ended[LIBPOOL_COMPLETED], 4000 - ended);
    libpool_close(pool);
}

static int note_order(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    uint64_t rank = (uint64_t)(uintptr_t)libpool_worker_data(worker) + 1;
    libpool_worker_set_data(worker, (void *)(uintptr_t)rank);
    return libpool_reply(worker, &rank, sizeof rank);
}

/* 63 levels are worth 63 ms: what is submitted later than that comes after it. */
TEST(libpool, with_ageing_the_lowest_priority_goes_before_what_comes_much_later)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .ageing_ms = 1};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    libpool_future *blocker = submit(pool, hang, NULL, 0, 0), *low = NULL, *high = NULL;
    libpool_task task = {.size = sizeof task, .function = note_order, .priority = 63};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, &low), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(blocker, 70), -ETIMEDOUT);
    task.priority = 0;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, &high), 0);
    CU_ASSERT_EQUAL(libpool_future_cancel(blocker), LIBPOOL_CANCEL_KILLED);
    libpool_future_free(blocker);
    CU_ASSERT_EQUAL(libpool_future_wait(low, 20000), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(high, 20000), 0);
    CU_ASSERT_EQUAL(*(const uint64_t *)libpool_future_result(low)->data, 1);
    CU_ASSERT_EQUAL(*(const uint64_t *)libpool_future_result(high)->data, 2);
    libpool_future_free(low);
    libpool_future_free(high);
    libpool_close(pool);
}

TEST(libpool, a_live_pool_is_resized)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .min_workers = 1, .max_workers = 1, .workers_limit = 4};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    libpool_future *futures[4];
    for (int i = 0; i < 4; i++)
        futures[i] = submit(pool, hang, NULL, 0, 0);
    CU_ASSERT_EQUAL(libpool_resize(pool, 1, 5), -EINVAL);
    CU_ASSERT_EQUAL(libpool_resize(pool, 5, 4), -EINVAL);
    CU_ASSERT_EQUAL(libpool_resize(pool, 0, 0), -EINVAL);
    CU_ASSERT_EQUAL(libpool_resize(pool, 4, 4), 0);
    CU_ASSERT_TRUE(await_stats(pool, 4, 4));
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(libpool_future_cancel(futures[i]), LIBPOOL_CANCEL_KILLED);
        libpool_future_free(futures[i]);
    }
    CU_ASSERT_EQUAL(libpool_resize(pool, 0, 2), 0);
    CU_ASSERT_EQUAL(libpool_resize(pool, 2, 2), 0);
    CU_ASSERT_TRUE(await_stats(pool, 0, 2));
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    libpool_close(pool);
}

TEST(libpool, options_and_tasks_are_checked)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .min_workers = 3, .max_workers = 2};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
    struct {
        libpool_options known;
        char newer[8];
    } larger = {.known = {.size = sizeof larger, .max_workers = 1}, .newer = {1}};
    CU_ASSERT_EQUAL(libpool_open(&pool, &larger.known), -E2BIG);
    larger.newer[0] = 0;
    CU_ASSERT_EQUAL(libpool_open(&pool, &larger.known), 0);
    libpool_task task = {.size = sizeof task, .function = noop, .priority = LIBPOOL_PRIORITIES};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EINVAL);
    task = (libpool_task){.size = sizeof task};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EINVAL);
    libpool_close(pool);
    libpool_close(NULL);
    libpool_future_free(NULL);
}

TEST(libpool, a_cgroup_that_was_named_is_used_or_refused)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .cgroup = "nowhere"};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL); /* relative to what, later on? */
    options.cgroup = "/proc/self/nowhere";
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -ENOENT);
    CU_ASSERT_PTR_NULL(pool);
    options.flags = LIBPOOL_NO_THREAD;
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -ENOENT);
    options.cgroup = "/proc/self/task"; /* where nobody may make a directory */
    CU_ASSERT(libpool_open(&pool, &options) < 0);
    CU_ASSERT_PTR_NULL(pool);
    options.flags = LIBPOOL_NO_CGROUP;
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
}

/* ---- many threads --------------------------------------------------------------------------- */

static void *submit_many(void *arg)
{
    libpool *pool = arg;
    intptr_t good = 0;
    for (int i = 0; i < 300; i++) {
        int value = i;
        libpool_future *future = submit(pool, echo, &value, sizeof value, 0);
        if (libpool_future_wait(future, 20000) == 0) {
            const libpool_result *result = libpool_future_result(future);
            good += result->data_size == sizeof value &&
                    memcmp(result->data, &value, sizeof value) == 0;
        }
        libpool_future_free(future);
    }
    return (void *)good; /* NOLINT: a count in a pointer */
}

TEST(libpool, many_threads_submit_and_wait)
{
    libpool *pool = open_pool(3);
    pthread_t threads[4];
    intptr_t good = 0;
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, submit_many, pool), 0);
    for (int i = 0; i < 4; i++) {
        void *count = NULL;
        pthread_join(threads[i], &count);
        good += (intptr_t)count;
    }
    CU_ASSERT_EQUAL(good, 1200);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.tasks_ended[LIBPOOL_COMPLETED], 1200);
    libpool_close(pool);
}

static void *wait_and_free(void *arg)
{
    libpool_future *future = arg;
    intptr_t cause = 0;
    if (libpool_future_wait(future, 20000) == 0)
        cause = libpool_future_result(future)->cause;
    libpool_future_free(future);
    return (void *)cause; /* NOLINT: a code in a pointer */
}

/* Those who wait are in the midst of the pool when it is closed under them. */
TEST(libpool, a_pool_is_closed_while_threads_wait)
{
    for (int round = 0; round < 30; round++) {
        libpool *pool = open_pool(1);
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) {
            libpool_future *future = submit(pool, i ? hang : noop, NULL, 0, 0);
            CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, wait_and_free, future), 0);
        }
        libpool_close(pool);
        for (int i = 0; i < 4; i++) {
            void *cause = NULL;
            pthread_join(threads[i], &cause);
            CU_ASSERT((intptr_t)cause == LIBPOOL_SHUTDOWN || (intptr_t)cause == LIBPOOL_COMPLETED);
        }
    }
}

/* ---- regressions ---------------------------------------------------------------------------- */

/* The doorbell's open file is shared: its flags are the worker's to change, its count to steal. */
static int steal_bells(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    uint64_t count;
    (void)fcntl(3, F_SETFL, 0);
    for (;;) {
        (void)write(3, &(uint64_t){1}, sizeof(uint64_t));
        (void)read(3, &count, sizeof count);
    }
    return 0;
}

TEST(libpool, a_worker_can_not_make_the_host_sleep_on_its_doorbell)
{
    libpool *pool = open_pool(2);
    libpool_future *thief = submit(pool, steal_bells, NULL, 0, 300);
    for (int i = 0; i < 200; i++)
        CU_ASSERT_EQUAL(cause_of(submit(pool, noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(cause_of(thief), LIBPOOL_TIMEOUT);
    for (int i = 0; i < 50; i++) /* whoever has the slot next rings as before */
        CU_ASSERT_EQUAL(cause_of(submit(pool, noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    libpool_close(pool);
}

static int close_the_pool(libpool_worker *worker, const void *input, size_t size)
{
    (void)size;
    libpool_close(*(libpool *const *)input);
    return libpool_reply(worker, "alive", 5);
}

TEST(libpool, close_inside_a_worker_does_nothing)
{
    libpool *pool = open_pool(1);
    CU_ASSERT_EQUAL(cause_of(submit(pool, close_the_pool, &pool, sizeof pool, 0)),
                    LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(stats_of(pool).worker_processes_created, 1);
    libpool_close(pool);
}

static int reply_too_early(libpool_worker *worker, void *arg)
{
    (void)arg;
    return libpool_reply(worker, "INIT", 4) == -EINVAL ? 0 : 1;
}

TEST(libpool, an_initializer_has_nobody_to_reply_to)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .max_workers = 1, .initializer = reply_too_early};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    libpool_future *future = submit(pool, echo, "x", 1, 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 10000), 0);
    CU_ASSERT_EQUAL(libpool_future_result(future)->data_size, 1);
    libpool_future_free(future);
    libpool_close(pool);
}

static void *cancel_soon(void *arg)
{
    (void)poll(NULL, 0,
               20); /* so that the other has most likely begun to drive: both ways must work */
    (void)libpool_future_cancel(arg);
    return NULL;
}

/* One thread drives the pool, asleep in its descriptor; what another does must wake it. */
TEST(libpool, who_drives_is_told_what_others_do)
{
    libpool *pool = NULL;
    pthread_t thread;
    libpool_options options = {
        .size = sizeof options, .flags = LIBPOOL_NO_THREAD, .max_workers = 1};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    libpool_future *running = submit(pool, hang, NULL, 0, 0);
    libpool_future *pending = submit(pool, hang, NULL, 0, 0);
    CU_ASSERT_EQUAL(pthread_create(&thread, NULL, cancel_soon, pending), 0);
    struct timespec begun, now;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    CU_ASSERT_EQUAL(libpool_future_wait(pending, 8000), 0);
    clock_gettime(CLOCK_MONOTONIC, &now);
    /* The pool's own timers would wake it after a second or more: that is not being told. */
    CU_ASSERT((now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 < 800);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(cause_of(pending), LIBPOOL_CANCELLED);
    libpool_future_free(running);
    libpool_close(pool);
}

/* ---- tiny tasks are sent ahead -------------------------------------------------------------- */

static int nap_ms(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    return poll(NULL, 0, *(const int *)input);
}

/* So many tiny tasks that the pool expects tiny ones; they have ended. */
static void warm_up(libpool *pool)
{
    libpool_future *futures[200];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 200; i++)
            futures[i] = submit(pool, noop, NULL, 0, 0);
        for (int i = 0; i < 200; i++)
            CU_ASSERT_EQUAL(cause_of(futures[i]), LIBPOOL_COMPLETED);
    }
}

TEST(libpool, tiny_tasks_sent_ahead_don_t_wait_for_a_long_one)
{
    libpool *pool = open_pool(2);
    libpool_future *futures[100];
    warm_up(pool);
    uint64_t begun_ms = now_ms();
    libpool_future *nap = submit(pool, nap_ms, &(int){2000}, sizeof(int), 0);
    for (int i = 0; i < 100; i++)
        futures[i] = submit(pool, noop, NULL, 0, 0);
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(cause_of(futures[i]), LIBPOOL_COMPLETED);
    CU_ASSERT(now_ms() - begun_ms < 1000);
    CU_ASSERT_EQUAL(libpool_future_cancel(nap), LIBPOOL_CANCEL_KILLED);
    libpool_future_free(nap);
    libpool_close(pool);
}

TEST(libpool, a_task_sent_ahead_can_be_cancelled_and_the_others_run)
{
    libpool *pool = open_pool(1);
    libpool_future *futures[50];
    warm_up(pool);
    libpool_future *nap = submit(pool, nap_ms, &(int){100}, sizeof(int), 0);
    for (int i = 0; i < 50; i++)
        futures[i] = submit(pool, noop, NULL, 0, 0);
    CU_ASSERT_EQUAL(libpool_future_cancel(futures[20]), LIBPOOL_CANCEL_DEQUEUED);
    for (int i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(cause_of(futures[i]), i == 20 ? LIBPOOL_CANCELLED : LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(cause_of(nap), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(stats_of(pool).workers_ended[LIBPOOL_CANCELLED], 0);
    libpool_close(pool);
}

TEST(libpool, a_crash_costs_none_of_those_that_were_sent_ahead)
{
    libpool *pool = open_pool(1);
    libpool_future *futures[100];
    warm_up(pool);
    for (int i = 0; i < 100; i++)
        futures[i] = i == 30 ? submit(pool, raise_signal, &(int){SIGKILL}, sizeof(int), 0)
                             : submit(pool, noop, NULL, 0, 0);
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(cause_of(futures[i]), i == 30 ? LIBPOOL_KILLED : LIBPOOL_COMPLETED);
    libpool_close(pool);
}

TEST(libpool, a_timeout_behind_tiny_ones_is_in_time_and_costs_none_of_them)
{
    libpool *pool = open_pool(1);
    libpool_future *futures[100];
    warm_up(pool);
    uint64_t begun_ms = now_ms();
    for (int i = 0; i < 100; i++)
        futures[i] = i == 30 ? submit(pool, hang, NULL, 0, 50) : submit(pool, noop, NULL, 0, 0);
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(cause_of(futures[i]), i == 30 ? LIBPOOL_TIMEOUT : LIBPOOL_COMPLETED);
    CU_ASSERT(now_ms() - begun_ms < 1000);
    libpool_close(pool);
}

/* ---- many at once --------------------------------------------------------------------------- */

TEST(libpool, many_are_submitted_at_once_in_their_order)
{
    libpool *pool = open_pool(2);
    libpool_task tasks[300];
    libpool_future *futures[300];
    int numbers[300];
    for (int i = 0; i < 300; i++) {
        numbers[i] = i;
        tasks[i] = (libpool_task){.size = sizeof tasks[i],
                                  .function = echo,
                                  .input = &numbers[i],
                                  .input_size = sizeof numbers[i]};
    }
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 300, -1, futures), 300);
    for (int i = 0; i < 300; i++) {
        CU_ASSERT_EQUAL(libpool_future_wait(futures[i], 20000), 0);
        CU_ASSERT_EQUAL(libpool_future_result(futures[i])->task_id, (uint64_t)i + 1);
        CU_ASSERT_EQUAL_FATAL(libpool_future_result(futures[i])->data_size, sizeof(int));
        CU_ASSERT_EQUAL(*(const int *)libpool_future_result(futures[i])->data, i);
        libpool_future_free(futures[i]);
    }
    CU_ASSERT_EQUAL(libpool_submit_many(pool, NULL, 0, 0, NULL), 0);
    CU_ASSERT_EQUAL(libpool_submit_many(pool, NULL, 1, 0, NULL), -EINVAL);
    libpool_close(pool);
}

TEST(libpool, many_stop_at_the_first_that_can_t_be_taken)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .min_workers = 1, .max_workers = 1, .backlog_tasks = 4};
    libpool_task tasks[10];
    libpool_future *futures[10];
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    CU_ASSERT(await_stats(pool, 0, 1));
    for (int i = 0; i < 10; i++)
        tasks[i] = (libpool_task){.size = sizeof tasks[i], .function = hang};
    tasks[7].function = NULL;
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks + 7, 3, 0, futures), -EINVAL);
    int64_t taken = libpool_submit_many(pool, tasks, 10, 0, futures);
    CU_ASSERT(taken == 4 || taken == 5); /* the first may be with the worker by then */
    for (int64_t i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(futures[i] != NULL, i < taken);
    int64_t more = libpool_submit_many(pool, tasks, 10, 20, NULL);
    CU_ASSERT(more == -ETIMEDOUT || more == 5 - taken);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_CANCEL, -1), 0);
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 1, 0, NULL), -ESHUTDOWN);
    for (int64_t i = 0; i < taken; i++)
        CU_ASSERT_EQUAL(cause_of(futures[i]), LIBPOOL_SHUTDOWN);
    libpool_close(pool);
}

/* ---- large payloads ------------------------------------------------------------------------- */

static long resident_kib(int pid)
{
    char path[64];
    long pages = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%ld %ld", &pages, &resident) != 2)
        resident = -1;
    if (file)
        fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static long resident_of_worker(libpool *pool)
{
    libpool_future *future = submit(pool, noop, NULL, 0, 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 20000), 0);
    long kib = resident_kib(libpool_future_result(future)->pid);
    libpool_future_free(future);
    return kib;
}

static int reply_zygote(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    pid_t zygote = getppid();
    return libpool_reply(worker, &zygote, sizeof zygote);
}

/* The copy of a large application takes its time to go, after its files are closed. */
TEST(libpool, what_is_closed_has_no_process_left)
{
    const size_t size = (size_t)384 << 20;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CU_ASSERT_FATAL(memory != MAP_FAILED);
    for (int i = 0; i < 5; i++) {
        libpool *pool = open_pool(1);
        libpool_future *future = submit(pool, reply_zygote, NULL, 0, 0);
        CU_ASSERT_EQUAL(libpool_future_wait(future, 20000), 0);
        pid_t zygote = *(const pid_t *)libpool_future_result(future)->data;
        libpool_future_free(future);
        int fd = (int)syscall(SYS_pidfd_open, zygote, 0);
        struct pollfd death = {.fd = fd, .events = POLLIN};
        CU_ASSERT_FATAL(fd >= 0);
        libpool_close(pool);
        CU_ASSERT_EQUAL(poll(&death, 1, 0), 1);
        (void)close(fd);
    }
    (void)munmap(memory, size);
}

TEST(libpool, a_borrowed_input_is_read_where_it_is_and_the_worker_gives_its_memory_back)
{
    const size_t size = (size_t)16 << 20;
    void *volatile larger = malloc(size + size / 2);
    free(larger); /* now malloc keeps blocks as large, in the workers, too */
    libpool *pool = open_pool(1);
    long most = resident_of_worker(pool) + (8 << 10);
    unsigned char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 4096);
    libpool_task task = {.size = sizeof task,
                         .function = echo,
                         .input = bytes,
                         .input_size = size,
                         .flags = LIBPOOL_BORROW};
    libpool_future *future = NULL;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 20000), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_EQUAL(result->data_size, size);
    CU_ASSERT(result->data_size == size && memcmp(result->data, bytes, size) == 0);
    /* A sanitizer keeps what is freed. */
    bool keeps = TEST_ADDRESS_SANITIZER || TEST_THREAD_SANITIZER;
    long resident = resident_kib(result->pid);
    for (int i = 0; i < 4000 && resident > most && !keeps; i++) {
        (void)poll(NULL, 0, 5);
        resident = resident_kib(result->pid);
    }
    CU_ASSERT(resident > 0 && (resident <= most || keeps));
    libpool_future_free(future);
    task.flags = ~0u;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), -EINVAL);
    free(bytes);
    libpool_close(pool);
}

/* ---- memory --------------------------------------------------------------------------------- */

#define MIB (UINT64_C(1) << 20)

/* Anonymous memory that is there: malloc would give it back, or keep it, as it likes. */
static void *hold(size_t bytes)
{
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return NULL;
    memset(block, 1, bytes);
    return block;
}

enum eater {
    EAT_AND_HANG = 0,
    CHILD_EATS,          /* and the task returns when it is dead */
    CHILD_EATS_AND_HANG, /* the task does not even notice */
    CHILDREN_EAT         /* a quarter each */
};

struct meal {
    enum eater eater;
    size_t bytes;
};

static pid_t eat_in_child(size_t bytes)
{
    pid_t child = fork();
    if (child == 0) {
        (void)hold(bytes);
        for (;;)
            (void)pause();
    }
    return child;
}

static int eat(libpool_worker *worker, const void *input, size_t size)
{
    const struct meal *meal = input;
    (void)worker, (void)size;
    switch (meal->eater) {
    case EAT_AND_HANG: (void)hold(meal->bytes); break;
    case CHILD_EATS: return waitpid(eat_in_child(meal->bytes), NULL, 0) > 0 ? 3 : 4;
    case CHILD_EATS_AND_HANG: (void)eat_in_child(meal->bytes); break;
    case CHILDREN_EAT:
        for (int i = 0; i < 4; i++)
            (void)eat_in_child(meal->bytes / 4);
        break;
    }
    for (;;)
        (void)pause();
    return 0;
}

static libpool *open_limited(uint32_t flags)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .flags = flags,
                               .min_workers = 2,
                               .max_workers = 2,
                               .memory_limit_bytes = 64 * MIB};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

/* One that eats beside one that does not. */
static void feed(libpool *pool, enum eater eater, libpool_cause due)
{
    struct meal meal = {eater, 160 * MIB};
    libpool_future *neighbour = submit(pool, hang, NULL, 0, 0);
    libpool_future *future = submit(pool, eat, &meal, sizeof meal, 0);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, 20000), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_EQUAL(result->cause, due);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_MAY_HAVE_RUN);
    if (due == LIBPOOL_MEMORY) {
        CU_ASSERT(result->memory_bytes > 64 * MIB && result->memory_bytes < 200 * MIB);
        CU_ASSERT_PTR_NOT_NULL(strstr(result->text, "65536 KiB are allowed"));
    } else {
        CU_ASSERT_EQUAL(result->memory_bytes, 0);
    }
    libpool_future_free(future);
    CU_ASSERT_EQUAL(libpool_future_wait(neighbour, 0), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_future_cancel(neighbour), LIBPOOL_CANCEL_KILLED);
    libpool_future_free(neighbour);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.tasks_ended[due], 1);
    CU_ASSERT_EQUAL(stats.tasks_failed, 1);
}

static void feed_all(uint32_t flags, uint32_t enforcement, libpool_cause due)
{
    static const enum eater eaters[] = {EAT_AND_HANG, CHILD_EATS, CHILD_EATS_AND_HANG,
                                        CHILDREN_EAT};
    for (size_t i = 0; i < sizeof eaters / sizeof eaters[0]; i++) {
        libpool *pool = open_limited(flags);
        CU_ASSERT(await_stats(pool, 0, 2));
        CU_ASSERT_EQUAL(stats_of(pool).memory_enforcement, enforcement);
        feed(pool, eaters[i], due);
        for (int j = 0; j < 4000 && stats_of(pool).workers_ended[due] == 0; j++)
            (void)poll(NULL, 0, 5);
        CU_ASSERT_EQUAL(stats_of(pool).workers_ended[due], 1);
        libpool_close(pool);
    }
}

TEST(libpool, a_tree_above_its_memory_limit_is_seen_and_killed)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    feed_all(LIBPOOL_NO_CGROUP, LIBPOOL_MEMORY_SAMPLED, LIBPOOL_MEMORY);
}

TEST(libpool, a_tree_above_its_memory_limit_is_killed_by_the_kernel_as_a_whole)
{
    libpool *pool = open_limited(0);
    CU_ASSERT(await_stats(pool, 0, 2));
    libpool_stats stats = stats_of(pool);
    libpool_close(pool);
    if (stats.oom_evidence == 0)
        TEST_SKIP("no memory cgroup here");
    CU_ASSERT_EQUAL(stats.memory_enforcement, stats.oom_evidence + 1);
    feed_all(0, stats.oom_evidence + 1, LIBPOOL_OOM);
}

TEST(libpool, a_limit_below_a_mebibyte_is_refused)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .memory_limit_bytes = MIB - 1};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
}

static libpool_future *submit_meal(libpool *pool, struct meal meal, uint64_t limit_bytes)
{
    libpool_future *future = NULL;
    const libpool_task task = {.size = sizeof task,
                               .function = eat,
                               .input = &meal,
                               .input_size = sizeof meal,
                               .memory_limit_bytes = limit_bytes};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

/* Beside one that eats as much, without a limit or with that of the pool. */
static void feed_one_with_a_limit(uint32_t flags, uint64_t pools_bytes, enum eater eater)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .flags = flags,
                               .min_workers = 2,
                               .max_workers = 2,
                               .memory_limit_bytes = pools_bytes};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    const struct meal meal = {eater, 96 * MIB};
    libpool_future *neighbour = submit_meal(pool, (struct meal){EAT_AND_HANG, 96 * MIB},
                                            pools_bytes);
    libpool_future *future = submit_meal(pool, meal, 32 * MIB);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, 20000), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_MEMORY);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_MAY_HAVE_RUN);
    CU_ASSERT(result->memory_bytes > 32 * MIB && result->memory_bytes < 120 * MIB);
    CU_ASSERT_PTR_NOT_NULL(strstr(result->text, "32768 KiB are allowed"));
    libpool_future_free(future);
    CU_ASSERT_EQUAL(libpool_future_wait(neighbour, 250), -ETIMEDOUT); /* two looks at the least */
    libpool_future_free(neighbour);
    libpool_close(pool);
}

TEST(libpool, a_task_has_a_memory_limit_of_its_own)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    for (uint32_t flags = 0; flags <= LIBPOOL_NO_CGROUP; flags += LIBPOOL_NO_CGROUP) {
        feed_one_with_a_limit(flags, 0, EAT_AND_HANG);
        feed_one_with_a_limit(flags, 160 * MIB, CHILDREN_EAT);
    }
}

TEST(libpool, the_memory_limit_of_a_task_is_not_that_of_the_next)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .min_workers = 1, .max_workers = 1};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    int ms = 250; /* it is looked at */
    libpool_task task = {.size = sizeof task,
                         .function = nap_ms,
                         .input = &ms,
                         .input_size = sizeof ms,
                         .memory_limit_bytes = 32 * MIB};
    libpool_future *future = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_COMPLETED);
    future = submit_meal(pool, (struct meal){EAT_AND_HANG, 96 * MIB}, 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 250), -ETIMEDOUT);
    libpool_future_free(future);
    libpool_close(pool);
}

/* Pools that the calling thread drives. */
TEST(libpool, a_call_and_a_batch_have_the_memory_limit_of_their_tasks)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    libpool *pool = NULL;
    libpool_future *future = NULL;
    const struct meal meals[] = {{EAT_AND_HANG, 96 * MIB}, {CHILDREN_EAT, 96 * MIB}};
    libpool_task task = {.size = sizeof task, .memory_limit_bytes = 32 * MIB};
    libpool_batch batch = {.size = sizeof batch,
                           .function = eat,
                           .inputs = meals,
                           .input_size = sizeof meals[0],
                           .elements = 2,
                           .each = &task};
    libpool_batch_report report = {.size = sizeof report};
    libpool_options options = {
        .size = sizeof options, .flags = LIBPOOL_NO_THREAD, .max_workers = 2};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), 0);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_MEMORY], 2);
    libpool_close(pool);
    task.function = eat;
    task.input = &meals[1];
    task.input_size = sizeof meals[1];
    CU_ASSERT_EQUAL_FATAL(libpool_call(&task, NULL, &future), 0);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_MEMORY);
}

TEST(libpool, a_memory_limit_that_can_t_be_kept_is_refused)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1};
    libpool_task task = {.size = sizeof task, .function = noop, .memory_limit_bytes = MIB - 1};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), -EINVAL);
    libpool_close(pool);
    options.start = LIBPOOL_THREADS;
    task.memory_limit_bytes = MIB;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), -EINVAL);
    libpool_close(pool);
}

/* Whoever drives it sees when it wants to be driven. */
TEST(libpool, an_idle_pool_looks_at_no_memory)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .flags = LIBPOOL_NO_THREAD | LIBPOOL_NO_CGROUP,
                               .min_workers = 1,
                               .max_workers = 1,
                               .memory_limit_bytes = 64 * MIB};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    struct pollfd wish = {.fd = libpool_fd(pool), .events = POLLIN};
    uint32_t turns = 0;
    for (uint64_t until_ms = now_ms() + 300; now_ms() < until_ms;)
        if (poll(&wish, 1, 20) > 0) {
            (void)libpool_dispatch(pool);
            turns++;
        }
    CU_ASSERT(turns < 20);
    CU_ASSERT_EQUAL(poll(&wish, 1, 500), 0);
    libpool_close(pool);
}
