/* SPDX-License-Identifier: MIT */
/* The kill ladder with real processes: asked, heard, or killed; and what a running task tells. */
#include <libpool.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"

#define DEADLINE_MS 20000

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- tasks ---------------------------------------------------------------------------------- */

static volatile sig_atomic_t heard;
static volatile sig_atomic_t innocent; /* a task runs that nobody asks */
static libpool_worker *current;

/* Shared with the workers. */
static struct tally {
    _Atomic unsigned in_asked, in_innocent, between, flags_in_innocent;
} * tally;

static void hear(int number)
{
    heard = number;
    if (!tally)
        return;
    if (libpool_worker_task_id(current) == 0)
        atomic_fetch_add(&tally->between, 1);
    else
        atomic_fetch_add(innocent ? &tally->in_innocent : &tally->in_asked, 1);
}

static int handle_soft_signals(libpool_worker *worker, void *arg)
{
    (void)arg;
    const struct sigaction action = {.sa_handler = hear};
    current = worker;
    return sigaction(SIGUSR1, &action, NULL);
}

/* Makes a file, works until it is asked to stop, clears up. */
static int tidy(libpool_worker *worker, const void *input, size_t size)
{
    FILE *file = size ? fopen(input, "we") : NULL;
    if (!file || fclose(file))
        return errno;
    while (!libpool_worker_stopping(worker))
        (void)poll(NULL, 0, 1);
    (void)unlink(input);
    pid_t pid = getpid();
    return libpool_reply(worker, &pid, sizeof pid);
}

static void mask(int how)
{
    sigset_t soft;
    (void)sigemptyset(&soft);
    (void)sigaddset(&soft, SIGUSR1);
    (void)sigprocmask(how, &soft, NULL);
}

/* Replies which signal it was sent. */
static int await_signal(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    while (!heard)
        (void)poll(NULL, 0, 1);
    int number = heard;
    heard = 0;
    return libpool_reply(worker, &number, sizeof number);
}

static int be_deaf(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
    return 0;
}

static int tell_pid(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    pid_t pid = getpid();
    return libpool_reply(worker, &pid, sizeof pid);
}

/* Beats for so many ms, then falls silent. */
static int beat_for(libpool_worker *worker, const void *input, size_t size)
{
    (void)size;
    uint64_t until_ns = now_ns() + *(const unsigned *)input * UINT64_C(1000000);
    while (now_ns() < until_ns) {
        libpool_worker_beat(worker);
        (void)poll(NULL, 0, 5);
    }
    return be_deaf(worker, NULL, 0);
}

static int beat_and_return(libpool_worker *worker, const void *input, size_t size)
{
    (void)size;
    uint64_t until_ns = now_ns() + *(const unsigned *)input * UINT64_C(1000000);
    for (uint64_t done = 0; now_ns() < until_ns; done++) {
        if (libpool_worker_progress(worker, done, 0, NULL))
            return 1;
        (void)poll(NULL, 0, 5);
    }
    return 0;
}

static int report(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    char text[300];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    if (libpool_worker_progress(worker, 1, 3, "one of three") ||
        libpool_worker_progress(worker, 2, 3, text))
        return 1;
    return be_deaf(worker, NULL, 0);
}

/* ---- helpers -------------------------------------------------------------------------------- */

static libpool *open_pool(uint32_t workers, uint32_t events)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .min_workers = workers,
                               .max_workers = workers,
                               .event_buffer = events,
                               .initializer = handle_soft_signals};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_future *submit(libpool *pool, const libpool_task *given)
{
    libpool_future *future = NULL;
    libpool_task task = *given;
    task.size = sizeof task;
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}
#define SUBMIT(pool, ...) submit((pool), &(libpool_task){__VA_ARGS__})

static const libpool_result *end_of(libpool_future *future)
{
    CU_ASSERT_EQUAL(libpool_future_wait(future, DEADLINE_MS), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    return result;
}

static int number_in(const libpool_result *result)
{
    int number = 0;
    CU_ASSERT_EQUAL(result->data_size, sizeof number);
    if (result->data_size == sizeof number)
        memcpy(&number, result->data, sizeof number);
    return number;
}

static libpool_stats stats_of(libpool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    return stats;
}

static int pid_of_the_worker(libpool *pool)
{
    libpool_future *future = SUBMIT(pool, .function = tell_pid);
    int pid = number_in(end_of(future));
    libpool_future_free(future);
    return pid;
}

/* Until this task was asked; its pid. */
static int await_asked(libpool *pool, libpool_cause cause)
{
    libpool_event event = {.size = sizeof event};
    while (libpool_event_next(pool, &event, DEADLINE_MS) == 0)
        if (event.kind == LIBPOOL_EVENT_TASK_ASKED) {
            CU_ASSERT_EQUAL(event.cause, cause);
            return event.pid;
        }
    CU_FAIL("nobody was asked");
    return 0;
}

/* Its end is told after its replacement has begun. */
static void await_exit(libpool *pool, int pid)
{
    libpool_event event = {.size = sizeof event};
    while (libpool_event_next(pool, &event, DEADLINE_MS) == 0)
        if (event.kind == LIBPOOL_EVENT_WORKER_EXITED && event.pid == pid)
            return;
    CU_FAIL("its end was never told");
}

/* ---- asked ---------------------------------------------------------------------------------- */

TEST(ladder, a_task_that_is_asked_clears_up_and_its_worker_lives)
{
    char path[] = "/tmp/libpool-ladder-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    (void)close(fd);
    libpool *pool = open_pool(1, 0);
    int pid = pid_of_the_worker(pool);
    libpool_future *future = SUBMIT(pool, .function = tidy, .input = path,
                                    .input_size = sizeof path, .run_timeout_ms = 50,
                                    .grace_ms = 10000);
    const libpool_result *result = end_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_HAS_RUN);
    CU_ASSERT_EQUAL(number_in(result), pid);
    CU_ASSERT(result->running_ns >= 50000000u);
    CU_ASSERT_PTR_NOT_NULL(strstr(result->text, "returned when asked"));
    CU_ASSERT_EQUAL(access(path, F_OK), -1);
    CU_ASSERT_EQUAL(pid_of_the_worker(pool), pid);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_ended[LIBPOOL_TIMEOUT], 1);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_asked, 1);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(ladder, the_soft_signal_reaches_the_task_that_asked_for_it)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("ThreadSanitizer keeps a handled signal back in a forked process");
    libpool *pool = open_pool(1, 0);
    libpool_future *future = SUBMIT(pool, .function = await_signal, .run_timeout_ms = 50,
                                    .grace_ms = 10000, .soft_signal = SIGUSR1);
    const libpool_result *result = end_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(number_in(result), SIGUSR1);
    CU_ASSERT_EQUAL(stats_of(pool).worker_processes_created, 1);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(ladder, one_that_does_not_listen_is_killed_after_its_grace_and_can_be_looked_at_before)
{
    libpool *pool = open_pool(1, 100);
    libpool_future *future = SUBMIT(pool, .function = be_deaf, .run_timeout_ms = 50,
                                    .grace_ms = 300, .soft_signal = SIGUSR1);
    int pid = await_asked(pool, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(kill(pid, 0), 0);
    CU_ASSERT_PTR_NULL(libpool_future_result(future));
    const libpool_result *result = end_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_MAY_HAVE_RUN);
    CU_ASSERT_EQUAL(result->pid, pid);
    CU_ASSERT(result->running_ns >= 350000000u);
    CU_ASSERT(result->running_ns < 2000000000u);
    CU_ASSERT(pid_of_the_worker(pool) != pid);
    await_exit(pool, pid);
    CU_ASSERT_EQUAL(stats_of(pool).workers_ended[LIBPOOL_TIMEOUT], 1);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(ladder, without_a_handler_the_signal_is_the_end)
{
    libpool *pool = open_pool(1, 0);
    libpool_future *future = SUBMIT(pool, .function = be_deaf, .run_timeout_ms = 50,
                                    .grace_ms = 10000, .soft_signal = SIGTERM);
    const libpool_result *result = end_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_MAY_HAVE_RUN);
    CU_ASSERT_EQUAL(result->signal, SIGTERM);
    (void)pid_of_the_worker(pool);
    CU_ASSERT_EQUAL(stats_of(pool).workers_ended[LIBPOOL_TIMEOUT], 1);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(ladder, a_kill_from_outside_in_the_grace_changes_nothing_but_the_worker)
{
    libpool *pool = open_pool(1, 100);
    libpool_future *future = SUBMIT(pool, .function = be_deaf, .run_timeout_ms = 50,
                                    .grace_ms = 10000);
    CU_ASSERT_EQUAL(kill(await_asked(pool, LIBPOOL_TIMEOUT), SIGKILL), 0);
    const libpool_result *result = end_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(result->signal, SIGKILL);
    (void)pid_of_the_worker(pool);
    CU_ASSERT_EQUAL(stats_of(pool).workers_ended[LIBPOOL_KILLED], 1);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(ladder, a_cancel_asks_and_says_so)
{
    char path[] = "/tmp/libpool-ladder-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    (void)close(fd);
    libpool *pool = open_pool(1, 0);
    int pid = pid_of_the_worker(pool);
    libpool_future *future = SUBMIT(pool, .function = tidy, .input = path,
                                    .input_size = sizeof path, .grace_ms = 10000);
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_ASKED);
    const libpool_result *result = end_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_CANCELLED);
    CU_ASSERT(result->certainty != LIBPOOL_MAY_HAVE_RUN); /* it may not have begun by then */
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_DONE);
    CU_ASSERT_EQUAL(pid_of_the_worker(pool), pid);
    CU_ASSERT_EQUAL(stats_of(pool).tasks_failed, 0);
    (void)unlink(path);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(ladder, a_shutdown_does_not_ask)
{
    libpool *pool = open_pool(1, 100);
    libpool_future *future = SUBMIT(pool, .function = be_deaf, .run_timeout_ms = 50,
                                    .grace_ms = 20000);
    (void)await_asked(pool, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT | LIBPOOL_CANCEL, 50), -ETIME);
    CU_ASSERT_EQUAL(end_of(future)->cause, LIBPOOL_TIMEOUT);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(ladder, a_signal_that_can_t_be_handled_or_has_no_grace_is_refused)
{
    static const int wrong[] = {SIGKILL, SIGSTOP, -1, 32, 33, 65};
    libpool *pool = open_pool(1, 0);
    libpool_task task = {.size = sizeof task, .function = tell_pid, .grace_ms = 1};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        task.soft_signal = wrong[i];
        CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), -EINVAL);
    }
    task.soft_signal = SIGRTMAX;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), 0);
    task.grace_ms = 0;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), -EINVAL);
    libpool_close(pool);
}

/* ---- heartbeats and progress ------------------------------------------------------------------ */

TEST(ladder, silence_ends_a_task_and_beats_do_not)
{
    libpool *pool = open_pool(2, 0);
    unsigned beats_ms = 400, life_ms = 700;
    libpool_future *silent = SUBMIT(pool, .function = beat_for, .input = &beats_ms,
                                    .input_size = sizeof beats_ms, .heartbeat_timeout_ms = 250);
    libpool_future *lively = SUBMIT(pool, .function = beat_and_return, .input = &life_ms,
                                    .input_size = sizeof life_ms, .heartbeat_timeout_ms = 250);
    const libpool_result *result = end_of(silent);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_TIMEOUT);
    CU_ASSERT(result->running_ns >= 600000000u);
    CU_ASSERT_PTR_NOT_NULL(strstr(result->text, "no heartbeat for 250 ms and was killed"));
    CU_ASSERT_EQUAL(end_of(lively)->cause, LIBPOOL_COMPLETED);
    libpool_future_free(silent);
    libpool_future_free(lively);
    libpool_close(pool);
}

TEST(ladder, progress_is_read_while_the_task_runs)
{
    libpool *pool = open_pool(1, 0);
    libpool_future *running = SUBMIT(pool, .function = report);
    libpool_future *pending = SUBMIT(pool, .function = tell_pid);
    libpool_progress progress = {.size = sizeof progress};
    uint64_t give_up_ns = now_ns() + DEADLINE_MS * UINT64_C(1000000);
    while (progress.done < 2 && now_ns() < give_up_ns) {
        int got = libpool_future_progress(running, &progress);
        CU_ASSERT(got == 0 || got == -ENOENT);
    }
    CU_ASSERT_EQUAL(progress.done, 2);
    CU_ASSERT_EQUAL(progress.total, 3);
    CU_ASSERT_EQUAL(strlen(progress.text), sizeof progress.text - 1);
    CU_ASSERT(progress.beat_ns && progress.beat_ns <= now_ns());
    CU_ASSERT_EQUAL(libpool_future_progress(pending, &progress), -ENOENT);
    CU_ASSERT_EQUAL(libpool_future_cancel(running), LIBPOOL_CANCEL_KILLED);
    CU_ASSERT_EQUAL(libpool_future_progress(running, &progress), -ENOENT);
    CU_ASSERT_EQUAL(libpool_future_progress(running, NULL), -EINVAL);
    (void)end_of(pending);
    libpool_future_free(running);
    libpool_future_free(pending);
    libpool_close(pool);
}

/* ---- the race ------------------------------------------------------------------------------- */

/*
 * Tasks that return within 50 us of the moment they are asked, some of them deaf to the signal, and
 * behind each a task that nobody asks. Neither that one nor the worker between the two may be hit.
 */
#define ROUNDS 100000
#define LISTEN_EVERY 500 /* on a crowded machine no other may be hit while it runs */

struct order {
    unsigned work_ns;
    int deaf;    /* it would stay pending for the next task */
    int listens; /* says that it has begun, and returns when it has heard the signal */
};

static int return_soon(libpool_worker *worker, const void *input, size_t size)
{
    (void)size;
    const struct order *order = input;
    uint64_t until_ns = now_ns() + order->work_ns;
    mask(order->deaf ? SIG_BLOCK : SIG_UNBLOCK);
    heard = 0;
    if (order->listens && libpool_worker_progress(worker, 1, 1, NULL))
        return 1;
    while (order->listens ? !heard : now_ns() < until_ns)
        continue;
    return 0;
}

static int be_innocent(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    innocent = 1;
    mask(SIG_UNBLOCK);
    for (int i = 0; i < 200; i++)
        if (libpool_worker_stopping(worker))
            atomic_fetch_add(&tally->flags_in_innocent, 1);
    innocent = 0;
    return 0;
}

static bool has_reported(libpool_future *future)
{
    libpool_progress progress = {.size = sizeof progress};
    return libpool_future_progress(future, &progress) == 0;
}

static int hammer_once(libpool *pool, unsigned round)
{
    struct order order = {.work_ns = 1000 + round * 7919 % 100000,
                          .deaf = round % 2,
                          .listens = round % LISTEN_EVERY == 0};
    uint64_t begun_ns = now_ns();
    libpool_future *asked = SUBMIT(pool, .function = return_soon, .input = &order,
                                   .input_size = sizeof order, .grace_ms = 10000,
                                   .soft_signal = SIGUSR1);
    libpool_future *behind = SUBMIT(pool, .function = be_innocent);
    while (order.listens ? !has_reported(asked) : now_ns() < begun_ns + order.work_ns)
        continue;
    int done = libpool_future_cancel(asked);
    bool good = libpool_future_wait(asked, DEADLINE_MS) == 0 &&
                libpool_future_wait(behind, DEADLINE_MS) == 0 &&
                libpool_future_result(behind)->cause == LIBPOOL_COMPLETED;
    libpool_future_free(asked);
    libpool_future_free(behind);
    return good ? done : -1;
}

TEST_WITHIN(ladder, who_was_not_asked_never_hears_of_it, 120000)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("ThreadSanitizer keeps a handled signal back in a forked process");
    unsigned asked = 0;
    tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(tally != MAP_FAILED);
    libpool *pool = open_pool(1, 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        int done = hammer_once(pool, round);
        CU_ASSERT_FATAL(done > 0);
        asked += done == LIBPOOL_CANCEL_ASKED;
    }
    CU_ASSERT_EQUAL(stats_of(pool).worker_processes_created, 1);
    CU_ASSERT(asked > ROUNDS / 10);
    CU_ASSERT(tally->in_asked >= ROUNDS / LISTEN_EVERY);
    CU_ASSERT_EQUAL(tally->in_innocent, 0);
    CU_ASSERT_EQUAL(tally->between, 0);
    CU_ASSERT_EQUAL(tally->flags_in_innocent, 0);
    libpool_close(pool);
    (void)munmap(tally, sizeof *tally);
    tally = NULL;
}
