/* SPDX-License-Identifier: MIT */
/* A configuration that works, and one that fails at each of the steps. */
#include <libpool.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"
#include "start_rig.h"

static int return_seven(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    return 7;
}

static int crash(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    return raise(SIGSEGV);
}

static int hang(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    for (;;)
        (void)pause();
    return 0;
}

/* Kills the worker at its next task: the lifeline's descriptor and the doorbell are the pool's. */
static int close_the_doorbell(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    return close(3);
}

static void crash_at_the_end(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    (void)raise(SIGSEGV);
}

static void hang_at_the_end(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    for (;;)
        (void)pause();
}

static libpool_check_report check(libpool_options options, int expected)
{
    libpool_check_report report = {.size = sizeof report};
    options.size = sizeof options;
    CU_ASSERT_EQUAL(libpool_check(&options, &report), expected);
    return report;
}

static libpool_check_report check_failure(libpool_options options)
{
    return check(options, LIBPOOL_CHECK_FAILED);
}

static int count_entries(const char *path)
{
    int n = 0;
    DIR *directory = opendir(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
    while (readdir(directory))
        n++;
    (void)closedir(directory);
    return n;
}

TEST(check_options, what_works_is_told_with_the_time_of_each_step)
{
    libpool_check_report report = {.size = sizeof report};
    CU_ASSERT_EQUAL(libpool_check(NULL, &report), 0);
    CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_STEPS);
    CU_ASSERT_EQUAL(report.cause, LIBPOOL_PENDING);
    CU_ASSERT_EQUAL(report.error, 0);
    for (int step = 0; step < LIBPOOL_CHECK_STEPS; step++)
        CU_ASSERT_TRUE(report.step_ns[step] > 0);
    CU_ASSERT_EQUAL(report.memory_enforcement, LIBPOOL_MEMORY_NONE);
}

TEST(check_options, a_report_can_be_filled_again)
{
    libpool_check_report report = {.size = sizeof report};
    CU_ASSERT_EQUAL(libpool_check(NULL, &report), 0);
    CU_ASSERT_EQUAL(report.size, sizeof report);
    CU_ASSERT_EQUAL(libpool_check(&(libpool_options){.size = sizeof(libpool_options),
                                                     .initializer = return_seven},
                                  &report),
                    LIBPOOL_CHECK_FAILED);
    CU_ASSERT_EQUAL(report.code, 7);
    CU_ASSERT_EQUAL(report.size, sizeof report);
}

TEST(check_options, it_works_with_a_zygote_of_its_own)
{
    (void)check((libpool_options){.start = LIBPOOL_SPAWN,
                                  .zygote_path = lp_rig_beside_us("libpool-zygote")},
                0);
}

TEST(check_options, the_enforcement_of_a_memory_limit_is_told)
{
    libpool_check_report report = check(
        (libpool_options){.flags = LIBPOOL_NO_CGROUP, .memory_limit_bytes = 1u << 30}, 0);
    CU_ASSERT_EQUAL(report.memory_enforcement, LIBPOOL_MEMORY_SAMPLED);
    CU_ASSERT_EQUAL(report.containment, 0);
}

TEST(check_options, callbacks_and_tails_are_no_obstacle)
{
    const libpool_outfit outfit = {.size = sizeof outfit, .stdio = {[1] = LIBPOOL_STDIO_TAIL}};
    (void)check((libpool_options){.flags = LIBPOOL_CALLBACKS, .outfit = &outfit}, 0);
    libpool_check_report report = check_failure(
        (libpool_options){.flags = LIBPOOL_CALLBACKS | LIBPOOL_NO_THREAD});
    CU_ASSERT_EQUAL(report.error, -EINVAL);
}

TEST(check_options, what_can_t_be_opened_is_told)
{
    libpool_check_report report = check_failure(
        (libpool_options){.backoff_min_ms = 2, .backoff_max_ms = 1});
    CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_OPEN);
    CU_ASSERT_EQUAL(report.error, -EINVAL);
    report = check_failure((libpool_options){.start = LIBPOOL_SPAWN, .zygote_path = "/nowhere"});
    CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_OPEN);
    CU_ASSERT_EQUAL(report.error, -ENOENT);
    CU_ASSERT_EQUAL(report.step_ns[LIBPOOL_CHECK_START], 0);
}

TEST(check_options, what_an_initializer_returns_or_dies_of_is_told)
{
    libpool_check_report report = check_failure((libpool_options){.initializer = return_seven});
    CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_START);
    CU_ASSERT_EQUAL(report.cause, LIBPOOL_INIT_FAILED);
    CU_ASSERT_EQUAL(report.code, 7);
    report = check_failure((libpool_options){.initializer = crash});
    CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_START);
    CU_ASSERT_EQUAL(report.cause, LIBPOOL_INIT_FAILED);
    CU_ASSERT_EQUAL(report.signal, SIGSEGV);
    report = check_failure((libpool_options){.initializer = hang, .initializer_timeout_ms = 50});
    CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_START);
    CU_ASSERT_EQUAL(report.signal, SIGKILL);
    CU_ASSERT_TRUE(report.step_ns[LIBPOOL_CHECK_START] >= 50000000);
}

TEST(check_options, the_step_of_an_outfit_is_told)
{
    libpool_outfit outfit = {.size = sizeof outfit, .directory = "/nowhere"};
    libpool_check_report report = check_failure((libpool_options){.outfit = &outfit});
    CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_START);
    CU_ASSERT_EQUAL(report.code, -LIBPOOL_STEP_DIRECTORY - ENOENT);
}

TEST(check_options, a_worker_that_does_not_bear_a_task_is_told)
{
    libpool_check_report report = check_failure(
        (libpool_options){.initializer = close_the_doorbell});
    CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_TASK);
    CU_ASSERT_NOT_EQUAL(report.cause, LIBPOOL_COMPLETED);
    CU_ASSERT_TRUE(report.step_ns[LIBPOOL_CHECK_TASK] > 0);
}

TEST(check_options, how_a_finalizer_fails_is_told)
{
    libpool_check_report report = check_failure((libpool_options){.finalizer = crash_at_the_end});
    CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_LEAVE);
    CU_ASSERT_EQUAL(report.cause, LIBPOOL_FINAL_FAILED);
    CU_ASSERT_EQUAL(report.signal, SIGSEGV);
    report = check_failure(
        (libpool_options){.finalizer = hang_at_the_end, .finalizer_timeout_ms = 50});
    CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_LEAVE);
    CU_ASSERT_EQUAL(report.signal, SIGKILL);
}

TEST(check_options, nothing_of_it_stays_and_no_report_is_an_error)
{
    int fds = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
    (void)check((libpool_options){.max_workers = 9, .spare_workers = 4}, 0);
    (void)check_failure((libpool_options){.initializer = return_seven});
    CU_ASSERT_EQUAL(count_entries("/proc/self/fd"), fds);
    CU_ASSERT_EQUAL(count_entries("/proc/self/task"), threads);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
    CU_ASSERT_EQUAL(libpool_check(NULL, NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_check(NULL, &(libpool_check_report){.size = 0}), -EINVAL);
}
