/* SPDX-License-Identifier: MIT */
/* asides: a table of what is called and what has to come of it. */
#include "harness/asides.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpool.h>

static const char said[] = "said by a task of its own";

/* ---- In the worker ---------------------------------------------------------------------------- */

static int answer(libpool_worker *worker, const void *input, size_t input_size)
{
    return libpool_reply(worker, input, input_size);
}

static int crash(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)worker;
    (void)input;
    (void)input_size;
    abort();
}

static int leave(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)worker;
    (void)input;
    (void)input_size;
    _exit(5);
}

static _Noreturn int stay(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)worker;
    (void)input;
    (void)input_size;
    for (;;)
        pause();
}

static int refuse(libpool_worker *worker, void *arg)
{
    (void)worker;
    (void)arg;
    return -EPERM;
}

/* ---- In the target ---------------------------------------------------------------------------- */

static const struct {
    libpool_task_function *function;
    uint32_t run_timeout_ms;
    libpool_cause cause;
    int code, signal;
} calls[] = {
    {answer, 0, LIBPOOL_COMPLETED, 0, 0},
    {crash, 0, LIBPOOL_CRASH, 0, SIGABRT},
    {leave, 0, LIBPOOL_EXIT, 5, 0},
    {stay, 20, LIBPOOL_TIMEOUT, 0, 0},
};

static void call(const struct hn_asides *asides, size_t i)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = calls[i].function,
                         .input = said,
                         .input_size = sizeof said,
                         .run_timeout_ms = calls[i].run_timeout_ms};
    int rc = libpool_call(&task, NULL, &future);
    const libpool_result *result = libpool_future_result(future);
    bool lies = asides->sabotage == HN_SABOTAGE_WRONG_ASIDE;
    bool right = rc == 0 && result && result->cause == calls[i].cause &&
                 result->code == calls[i].code && result->signal == calls[i].signal && !lies;
    if (right && calls[i].function == answer)
        right = result->data_size == sizeof said && memcmp(result->data, said, sizeof said) == 0;
    if (!right)
        hn_findings_add(asides->findings, HN_I1_RESOLUTION, "libpool_call",
                        libpool_cause_name(calls[i].cause), "%d; %s", rc,
                        result ? result->text : "no result");
    libpool_future_free(future);
}

static void check(const struct hn_asides *asides, libpool_initializer *initializer)
{
    libpool_options options = {.size = sizeof options, .initializer = initializer};
    libpool_check_report report = {.size = sizeof report};
    int rc = libpool_check(&options, &report);
    bool right = initializer
                     ? rc == LIBPOOL_CHECK_FAILED && report.failed_step == LIBPOOL_CHECK_START &&
                           report.cause == LIBPOOL_INIT_FAILED && report.code == -EPERM
                     : rc == 0 && report.failed_step == LIBPOOL_CHECK_NONE;
    if (!right)
        hn_findings_add(asides->findings, HN_I1_RESOLUTION, "libpool_check",
                        initializer ? "its initializer fails" : "it works",
                        "%d; step %u, error %d, cause %d, code %d", rc, report.failed_step,
                        report.error, (int)report.cause, report.code);
}

void *hn_asides_run(void *argument)
{
    const struct hn_asides *asides = argument;
    do {
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
            call(asides, i);
        check(asides, NULL);
        check(asides, refuse);
    } while (!atomic_load(asides->stopping));
    return NULL;
}
