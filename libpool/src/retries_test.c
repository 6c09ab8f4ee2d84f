/* SPDX-License-Identifier: MIT */
/* Tasks that are run again, through the public door, with real processes. */
#include <libpool.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/test.h"

#define CAUSE(name) (1u << LIBPOOL_##name)
#define PAUSED_GROUP 5
#define LARGE (3u << 20) /* more than a ring holds */

/* Shared with all workers: runs of the one task. */
static struct shared {
    _Atomic uint32_t runs;
    _Atomic int pids[8];
} * shared;

struct order {
    uint32_t bad_runs; /* so many fail... */
    int signal;        /* ...of this, or hang (0), or return an error (-1) */
};

static int fail_first(libpool_worker *worker, const void *input, size_t size)
{
    struct order order;
    memcpy(&order, input, sizeof order);
    uint32_t run = shared->runs++;
    shared->pids[run % 8] = getpid();
    int error = libpool_reply(worker, run < order.bad_runs ? "bad" : "good", 4);
    if (error || run >= order.bad_runs)
        return error ? error : libpool_reply(worker, input, size);
    if (order.signal < 0)
        return 7;
    if (order.signal > 0)
        raise(order.signal);
    for (;;)
        (void)pause();
}

static libpool *open_with(libpool_options options)
{
    libpool *pool = NULL;
    options.size = sizeof options;
    options.event_buffer = 1000;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(shared != MAP_FAILED);
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool *open_pool(uint32_t workers, uint32_t retry_percent)
{
    return open_with((libpool_options){
        .min_workers = workers, .max_workers = workers, .retry_percent = retry_percent});
}

static void close_pool(libpool *pool)
{
    libpool_close(pool);
    munmap(shared, sizeof *shared);
}

/* One that is allowed three more runs for one cause, with the least pause. */
static libpool_task make_task(const struct order *order, uint32_t causes)
{
    return (libpool_task){.size = sizeof(libpool_task),
                          .function = fail_first,
                          .input = order,
                          .input_size = sizeof *order,
                          .retries = 3,
                          .retry_causes = causes,
                          .retry_min_ms = 1};
}

static libpool_future *submit(libpool *pool, const libpool_task *task)
{
    libpool_future *future = NULL;
    CU_ASSERT_EQUAL(libpool_submit(pool, task, -1, &future), 0);
    return future;
}

static const libpool_result *result_of(libpool_future *future)
{
    CU_ASSERT_EQUAL(libpool_future_wait(future, 20000), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_FATAL(result != NULL);
    return result;
}

/* The next event of this kind; a failure when there is none for long. */
static libpool_event await(libpool *pool, libpool_event_kind kind)
{
    libpool_event event = {.size = sizeof event};
    do {
        CU_ASSERT_EQUAL_FATAL(libpool_event_next(pool, &event, 20000), 0);
    } while (event.kind != kind);
    return event;
}

static libpool_stats stats_of(libpool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    return stats;
}

TEST(retries, a_task_that_crashes_twice_works_at_its_third_run)
{
    libpool *pool = open_pool(2, 0);
    libpool_task task = make_task(&(struct order){2, SIGSEGV}, CAUSE(CRASH));
    libpool_future *future = submit(pool, &task);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_HAS_RUN);
    CU_ASSERT_EQUAL(result->attempts, 3);
    CU_ASSERT_EQUAL(result->retried_cause, LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(result->pid, shared->pids[2]);
    CU_ASSERT_EQUAL(shared->runs, 3);
    CU_ASSERT(memcmp(result->data, "good", 4) == 0); /* and nothing of a failed run */
    libpool_event event = await(pool, LIBPOOL_EVENT_TASK_RETRIED);
    CU_ASSERT_EQUAL(event.cause, LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(event.signal, SIGSEGV);
    CU_ASSERT_EQUAL(event.pid, shared->pids[0]);
    CU_ASSERT_EQUAL(event.task_id, result->task_id);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.tasks_retried, 2);
    CU_ASSERT_EQUAL(stats.tasks_launched, 1);
    CU_ASSERT_EQUAL(stats.tasks_failed, 0);
    CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_CRASH], 2);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(retries, a_task_that_always_crashes_is_run_as_often_as_allowed)
{
    libpool *pool = open_pool(2, 0);
    libpool_task task = make_task(&(struct order){100, SIGABRT}, CAUSE(CRASH));
    libpool_future *future = submit(pool, &task);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_MAY_HAVE_RUN);
    CU_ASSERT_EQUAL(result->attempts, 4);
    CU_ASSERT_PTR_NOT_NULL(strstr(result->text, ", run 4"));
    CU_ASSERT_EQUAL(shared->runs, 4);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_failed, 1);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(retries, nothing_is_run_again_that_does_not_ask_for_it)
{
    libpool *pool = open_pool(1, 0);
    libpool_task task = make_task(&(struct order){100, SIGSEGV}, CAUSE(TIMEOUT) | CAUSE(OOM));
    libpool_future *future = submit(pool, &task);
    CU_ASSERT_EQUAL(result_of(future)->cause, LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(result_of(future)->attempts, 1);
    libpool_future_free(future);
    task.retries = task.retry_causes = 0;
    future = submit(pool, &task);
    CU_ASSERT_EQUAL(result_of(future)->attempts, 1);
    CU_ASSERT_EQUAL(shared->runs, 2);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(retries, a_task_that_overran_its_time_is_run_again)
{
    libpool *pool = open_pool(1, 0);
    libpool_task task = make_task(&(struct order){1, 0}, CAUSE(TIMEOUT));
    task.run_timeout_ms = 50;
    libpool_future *future = submit(pool, &task);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(result->attempts, 2);
    CU_ASSERT_EQUAL(result->retried_cause, LIBPOOL_TIMEOUT);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(retries, after_an_error_another_worker_runs_it)
{
    libpool *pool = open_pool(1, 0);
    libpool_task task = make_task(&(struct order){1, -1}, CAUSE(ERROR));
    libpool_future *future = submit(pool, &task);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT(memcmp(result->data, "good", 4) == 0);
    CU_ASSERT_NOT_EQUAL(shared->pids[0], shared->pids[1]);
    CU_ASSERT_EQUAL(await(pool, LIBPOOL_EVENT_TASK_RETRIED).code, 7);
    CU_ASSERT_EQUAL(await(pool, LIBPOOL_EVENT_WORKER_EXITED).cause, LIBPOOL_COMPLETED);
    libpool_future_free(future);
    close_pool(pool);
}

/* Inputs of any kind are there for each run. */
static void run_with_input(uint32_t flags)
{
    unsigned char *input = malloc(LARGE);
    CU_ASSERT_FATAL(input != NULL);
    for (uint32_t i = 0; i < LARGE; i++)
        input[i] = (unsigned char)(i * 7 >> 3);
    struct order order = {2, SIGSEGV};
    memcpy(input, &order, sizeof order);
    libpool *pool = open_pool(1, 0);
    libpool_task task = make_task(&order, CAUSE(CRASH));
    task.flags = flags;
    task.input = input;
    task.input_size = LARGE;
    libpool_future *future = submit(pool, &task);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->attempts, 3);
    CU_ASSERT_EQUAL_FATAL(result->data_size, LARGE + 4);
    CU_ASSERT(memcmp((const char *)result->data + 4, input, LARGE) == 0);
    CU_ASSERT_EQUAL(stats_of(pool).backlog_bytes, 0);
    libpool_future_free(future);
    close_pool(pool);
    free(input);
}

TEST(retries, a_large_input_is_there_for_each_run)
{
    run_with_input(0);
    run_with_input(LIBPOOL_BORROW);
}

/* A task in its pause, which is long. */
static libpool_future *pause_one(libpool *pool)
{
    libpool_task task = make_task(&(struct order){1, SIGSEGV}, CAUSE(CRASH));
    task.retry_min_ms = 3600000;
    task.group = PAUSED_GROUP;
    libpool_future *future = submit(pool, &task);
    (void)await(pool, LIBPOOL_EVENT_TASK_RETRIED);
    return future;
}

TEST(retries, a_cancel_in_the_pause_dequeues)
{
    libpool *pool = open_pool(1, 0);
    libpool_future *future = pause_one(pool);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.tasks_pending, 1);
    CU_ASSERT_EQUAL(stats.backlog_bytes, sizeof(struct order));
    CU_ASSERT_EQUAL(libpool_future_wait(future, 0), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_DEQUEUED);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_CANCELLED);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_MAY_HAVE_RUN);
    CU_ASSERT_EQUAL(result->attempts, 1);
    CU_ASSERT_EQUAL(result->retried_cause, LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(result->pid, shared->pids[0]);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(retries, a_cancel_of_the_group_in_the_pause_dequeues)
{
    libpool *pool = open_pool(1, 0);
    uint64_t killed = 9;
    libpool_future *future = pause_one(pool);
    CU_ASSERT_EQUAL(libpool_cancel_group(pool, PAUSED_GROUP, &killed), 1);
    CU_ASSERT_EQUAL(killed, 0);
    CU_ASSERT_EQUAL(result_of(future)->cause, LIBPOOL_CANCELLED);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(retries, a_pool_with_a_task_in_its_pause_is_not_drained)
{
    libpool *pool = open_pool(1, 0);
    libpool_future *future = pause_one(pool);
    CU_ASSERT_EQUAL(libpool_drain(pool, 0), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_DEQUEUED);
    CU_ASSERT_EQUAL(libpool_drain(pool, 20000), 0);
    (void)await(pool, LIBPOOL_EVENT_DRAINED);
    libpool_future_free(future);
    close_pool(pool);
}

/* Reports, and then returns when it is asked to; the second run says whether it was asked, too. */
static int return_when_asked(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    char asked = (char)('0' + libpool_worker_stopping(worker));
    if (shared->runs++)
        return libpool_reply(worker, &asked, 1);
    int error = libpool_worker_progress(worker, 1, 2, "first");
    while (!libpool_worker_stopping(worker))
        (void)poll(NULL, 0, 1);
    return error ? error : libpool_reply(worker, "first", 5);
}

TEST(retries, what_returned_in_its_grace_is_run_again_and_nothing_is_left_of_that_run)
{
    libpool *pool = open_pool(1, 0);
    libpool_progress progress = {.size = sizeof progress};
    libpool_task task = make_task(&(struct order){0}, CAUSE(TIMEOUT));
    task.function = return_when_asked;
    task.run_timeout_ms = 300;
    task.grace_ms = 20000;
    task.retry_min_ms = 200;
    libpool_future *future = submit(pool, &task);
    (void)await(pool, LIBPOOL_EVENT_TASK_ASKED);
    CU_ASSERT_EQUAL(await(pool, LIBPOOL_EVENT_TASK_RETRIED).cause, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(libpool_future_progress(future, &progress), -ENOENT);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(result->attempts, 2);
    CU_ASSERT_EQUAL(result->retried_cause, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL_FATAL(result->data_size, 1);
    CU_ASSERT_EQUAL(*(const char *)result->data, '0');
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_TIMEOUT], 0);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(retries, a_close_in_the_pause_ends_it)
{
    libpool *pool = open_pool(1, 0);
    libpool_future *future = pause_one(pool);
    libpool_close(pool);
    CU_ASSERT_EQUAL(libpool_future_result(future)->cause, LIBPOOL_SHUTDOWN);
    CU_ASSERT_EQUAL(libpool_future_result(future)->certainty, LIBPOOL_MAY_HAVE_RUN);
    CU_ASSERT_EQUAL(shared->runs, 1);
    libpool_future_free(future);
    munmap(shared, sizeof *shared);
}

TEST(retries, a_shutdown_that_waits_makes_the_runs_that_are_left)
{
    libpool *pool = open_pool(1, 0);
    libpool_task task = make_task(&(struct order){2, SIGSEGV}, CAUSE(CRASH));
    libpool_future *future = submit(pool, &task);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, 20000), 0);
    CU_ASSERT_EQUAL(result_of(future)->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(shared->runs, 3);
    libpool_future_free(future);
    close_pool(pool);
}

TEST(retries, a_budget_ends_what_always_fails)
{
    libpool *pool = open_pool(1, 1);
    libpool_task task = make_task(&(struct order){1000, -1}, CAUSE(ERROR));
    task.retries = 1000;
    task.retry_max_ms = 1;
    libpool_future *future = submit(pool, &task);
    CU_ASSERT_EQUAL(result_of(future)->cause, LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(shared->runs, 11);
    libpool_future_free(future);
    close_pool(pool);
}

static int refusal(libpool *pool, uint32_t retries, uint32_t causes, uint32_t min_ms,
                   uint32_t max_ms)
{
    libpool_task task = make_task(&(struct order){0, 0}, causes);
    task.retries = retries;
    task.retry_min_ms = min_ms;
    task.retry_max_ms = max_ms;
    return libpool_submit(pool, &task, -1, NULL);
}

TEST(retries, what_can_not_be_meant_is_refused)
{
    libpool *pool = open_pool(1, 0);
    CU_ASSERT_EQUAL(refusal(pool, 1, CAUSE(CRASH) | CAUSE(LOST), 0, 0), 0);
    CU_ASSERT_EQUAL(refusal(pool, UINT32_MAX, CAUSE(ERROR), 2000, 0), 0);
    CU_ASSERT_EQUAL(refusal(pool, 1, CAUSE(ERROR), 0, 5), 0);
    CU_ASSERT_EQUAL(refusal(pool, 1, 0, 0, 0), -EINVAL);
    CU_ASSERT_EQUAL(refusal(pool, 0, CAUSE(CRASH), 0, 0), -EINVAL);
    CU_ASSERT_EQUAL(refusal(pool, 1, CAUSE(ERROR), 20, 10), -EINVAL);
    CU_ASSERT_EQUAL(refusal(pool, 1, CAUSE(ERROR), 0, 3600001), -EINVAL);
    static const libpool_cause never[] = {
        LIBPOOL_PENDING,     LIBPOOL_COMPLETED,    LIBPOOL_QUEUE_TIMEOUT, LIBPOOL_CANCELLED,
        LIBPOOL_INIT_FAILED, LIBPOOL_FINAL_FAILED, LIBPOOL_SHUTDOWN,      LIBPOOL_CAUSES};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        CU_ASSERT_EQUAL(refusal(pool, 1, CAUSE(CRASH) | 1u << never[i], 0, 0), -EINVAL);
    close_pool(pool);
    libpool_options options = {.size = sizeof options, .retry_percent = 101};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
}

/* ---- quarantine ------------------------------------------------------------------------------- */

static libpool_cause run_kind(libpool *pool, uint64_t kind, int number)
{
    libpool_task task = make_task(&(struct order){number ? 1000 : 0, number}, 0);
    task.retries = 0;
    task.kind = kind;
    libpool_future *future = submit(pool, &task);
    libpool_cause cause = result_of(future)->cause;
    libpool_future_free(future);
    return cause;
}

static int offer_kind(libpool *pool, uint64_t kind)
{
    libpool_task task = make_task(&(struct order){0, 0}, 0);
    task.retries = 0;
    task.kind = kind;
    return libpool_submit(pool, &task, -1, NULL);
}

TEST(retries, a_kind_that_kills_is_refused_until_it_is_pardoned)
{
    libpool *pool = open_with(
        (libpool_options){.min_workers = 1, .max_workers = 1, .quarantine_deaths = 2});
    CU_ASSERT_EQUAL(libpool_pardon(pool, 7), -ENOENT);
    CU_ASSERT_EQUAL(run_kind(pool, 7, SIGSEGV), LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(run_kind(pool, 7, -1), LIBPOOL_ERROR); /* lives: not in a row */
    CU_ASSERT_EQUAL(run_kind(pool, 7, SIGSEGV), LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(offer_kind(pool, 7), 0);
    CU_ASSERT_EQUAL(run_kind(pool, 7, SIGSEGV), LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(run_kind(pool, 7, SIGKILL), LIBPOOL_KILLED);
    CU_ASSERT_EQUAL(offer_kind(pool, 7), -EKEYREJECTED);
    CU_ASSERT_EQUAL(offer_kind(pool, 8), 0);
    CU_ASSERT_EQUAL(offer_kind(pool, 0), 0);
    CU_ASSERT_EQUAL(await(pool, LIBPOOL_EVENT_KIND_QUARANTINED).cause, LIBPOOL_KILLED);
    CU_ASSERT_EQUAL(stats_of(pool).kinds_held, 1);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_rejected, 1);
    CU_ASSERT_EQUAL(libpool_pardon(pool, 7), 0);
    CU_ASSERT_EQUAL(run_kind(pool, 7, 0), LIBPOOL_COMPLETED);
    close_pool(pool);
}

TEST(retries, what_is_pending_of_a_kind_that_kills_ends)
{
    libpool *pool = open_with(
        (libpool_options){.min_workers = 1, .max_workers = 1, .quarantine_deaths = 1});
    libpool_task task = make_task(&(struct order){1, 0}, CAUSE(TIMEOUT));
    task.run_timeout_ms = 100;
    task.kind = 7;
    libpool_future *killer = submit(pool, &task), *pending = submit(pool, &task);
    task.kind = 0;
    libpool_future *other = submit(pool, &task);
    CU_ASSERT_EQUAL(result_of(killer)->cause, LIBPOOL_TIMEOUT); /* it asked for another run */
    CU_ASSERT_EQUAL(result_of(pending)->cause, LIBPOOL_QUARANTINED);
    CU_ASSERT_EQUAL(result_of(pending)->certainty, LIBPOOL_NOT_STARTED);
    CU_ASSERT_EQUAL(result_of(other)->cause, LIBPOOL_COMPLETED);
    libpool_future_free(killer);
    libpool_future_free(pending);
    libpool_future_free(other);
    close_pool(pool);
}

TEST(retries, of_many_the_first_that_is_held_is_refused)
{
    libpool *pool = open_with(
        (libpool_options){.min_workers = 1, .max_workers = 1, .quarantine_deaths = 1});
    CU_ASSERT_EQUAL(run_kind(pool, 7, SIGSEGV), LIBPOOL_CRASH);
    libpool_task tasks[4];
    const struct order order = {0, 0};
    for (uint64_t i = 0; i < 4; i++) {
        tasks[i] = make_task(&order, 0);
        tasks[i].retries = 0;
        tasks[i].kind = i == 2 ? 7 : i;
    }
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 4, -1, NULL), 2);
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks + 2, 2, -1, NULL), -EKEYREJECTED);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_rejected, 2);
    close_pool(pool);
}
