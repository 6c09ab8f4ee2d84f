/* SPDX-License-Identifier: MIT */
/*
 * check: a configuration is tried before it is relied on.
 *
 * It is a pool of one worker that lives as long as the call, as in call.c, and what is asked of it is what
 * an application would ask: so whatever keeps this configuration from working keeps it from working here.
 * What happened is read from the pool's own events. Each wait ends by the timeouts of the options.
 */
#include <libpool.h>

#include <errno.h>
#include <stdbool.h>

#include "door.h"
#include "sys/sys.h"

#define EVENTS 64 /* of one worker and one task; more than there can be */

struct trial {
    libpool_check_report report;
    libpool *pool;
    uint64_t begun_ns; /* the step that is under way */
};

int libpool_noop(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)worker, (void)input, (void)input_size;
    return 0;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)lp_sys.clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Its worker is one more than a governor counts: for a place it might wait for ever. */
static int read_options(libpool_options *options, const libpool_options *given)
{
    int error = lp_door_options_of_one(options, given);
    options->governor = NULL;
    options->event_buffer = EVENTS;
    return error;
}

/* The step is over: the next one begins. */
static void count_time(struct trial *trial, libpool_check_step step)
{
    uint64_t then_ns = trial->begun_ns;
    trial->begun_ns = now_ns();
    trial->report.step_ns[step] = trial->begun_ns - then_ns;
}

/* The first failure is the one that is told. */
static void fail(struct trial *trial, libpool_check_step step, libpool_cause cause, int code,
                 int signal)
{
    libpool_check_report *report = &trial->report;
    if (report->failed_step != LIBPOOL_CHECK_NONE)
        return;
    report->failed_step = step;
    report->cause = cause;
    report->code = code;
    report->signal = signal;
}

static void fail_with(struct trial *trial, libpool_check_step step, int error)
{
    fail(trial, step, LIBPOOL_PENDING, 0, 0);
    trial->report.error = error;
}

/* What its initializer returned is told before the death, which tells the signal. */
static void await_death(struct trial *trial, libpool_check_step step, int init_code)
{
    libpool_event event = {.size = sizeof event};
    while (libpool_event_next(trial->pool, &event, -1) == 0) {
        if (event.kind != LIBPOOL_EVENT_WORKER_EXITED)
            continue;
        if (event.cause != LIBPOOL_COMPLETED)
            fail(trial, step, event.cause, init_code ? init_code : event.code, event.signal);
        return;
    }
}

/* Until it takes tasks, or never will. */
static bool await_worker(struct trial *trial)
{
    libpool_event event = {.size = sizeof event};
    while (libpool_event_next(trial->pool, &event, -1) == 0) {
        if (event.kind == LIBPOOL_EVENT_WORKER_READY)
            return true;
        if (event.kind == LIBPOOL_EVENT_SPAWN_FAILED) {
            fail_with(trial, LIBPOOL_CHECK_START, event.code);
            return false;
        }
        if (event.kind == LIBPOOL_EVENT_INIT_FAILED) {
            await_death(trial, LIBPOOL_CHECK_START, event.code);
            return false;
        }
        if (event.kind == LIBPOOL_EVENT_WORKER_EXITED) {
            fail(trial, LIBPOOL_CHECK_START, event.cause, event.code, event.signal);
            return false;
        }
    }
    return false;
}

static void run_task(struct trial *trial, uint32_t start, uint32_t timeout_ms)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .run_timeout_ms = timeout_ms};
    if (start == LIBPOOL_SPAWN) {
        task.object = "";
        task.symbol = "libpool_noop";
    } else {
        task.function = libpool_noop;
    }
    int error = libpool_submit(trial->pool, &task, 0, &future);
    if (!error)
        error = libpool_future_wait(future, -1);
    const libpool_result *result = libpool_future_result(future);
    if (error)
        fail_with(trial, LIBPOOL_CHECK_TASK, error);
    else if (result->cause != LIBPOOL_COMPLETED)
        fail(trial, LIBPOOL_CHECK_TASK, result->cause, result->code, result->signal);
    libpool_future_free(future);
}

static void read_numbers(struct trial *trial)
{
    libpool_stats stats = {.size = sizeof stats};
    if (libpool_stats_read(trial->pool, &stats) != 0)
        return;
    trial->report.containment = stats.containment;
    trial->report.oom_evidence = stats.oom_evidence;
    trial->report.memory_enforcement = stats.memory_enforcement;
}

static void use_pool(struct trial *trial, const libpool_options *options)
{
    bool ready = await_worker(trial);
    count_time(trial, LIBPOOL_CHECK_START);
    read_numbers(trial);
    if (!ready)
        return;
    run_task(trial, options->start, options->start_timeout_ms ? options->start_timeout_ms : 10000);
    count_time(trial, LIBPOOL_CHECK_TASK);
    (void)libpool_shutdown(trial->pool, 0, -1);
    await_death(trial, LIBPOOL_CHECK_LEAVE, 0);
    count_time(trial, LIBPOOL_CHECK_LEAVE);
}

int libpool_check(const libpool_options *given, libpool_check_report *out)
{
    libpool_options options;
    struct trial trial = {.report.failed_step = LIBPOOL_CHECK_NONE, .begun_ns = now_ns()};
    int error = out ? lp_door_check_size(out->size) : -EINVAL;
    if (error)
        return error;
    trial.report.size = out->size;
    error = read_options(&options, given);
    if (!error)
        error = libpool_open(&trial.pool, &options);
    count_time(&trial, LIBPOOL_CHECK_OPEN);
    if (error)
        fail_with(&trial, LIBPOOL_CHECK_OPEN, error);
    else
        use_pool(&trial, &options);
    libpool_close(trial.pool);
    count_time(&trial, LIBPOOL_CHECK_CLOSE);
    lp_door_give(out, out->size, &trial.report, sizeof trial.report);
    return trial.report.failed_step == LIBPOOL_CHECK_NONE ? 0 : LIBPOOL_CHECK_FAILED;
}
