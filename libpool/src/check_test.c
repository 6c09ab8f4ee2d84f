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
    CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_NONE);
    CU_ASSERT_EQUAL(report.failed_step, UINT32_MAX); /* whatever library fills it */
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

TEST(check_options, what_libpool_open_refuses_does_not_work)
{
    libpool_governor *governor = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_governor_open(&governor, 4), 0);
    const libpool_options wrong[] = {
        {.min_workers = 5, .max_workers = 2}, {.max_workers = 5, .workers_limit = 4},
        {.spare_workers = UINT32_MAX},        {.event_buffer = INT32_MAX},
        {.backlog_tasks = UINT32_MAX},        {.spare_workers = 1, .governor = governor},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        libpool_options options = wrong[i];
        libpool *pool = NULL;
        options.size = sizeof options;
        CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
        libpool_check_report report = check_failure(options);
        CU_ASSERT_EQUAL(report.failed_step, LIBPOOL_CHECK_OPEN);
        CU_ASSERT_EQUAL(report.error, -EINVAL);
    }
    CU_ASSERT_EQUAL(libpool_governor_close(governor), 0);
}

static int hang_at_work(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    return hang(worker, NULL);
}

TEST_WITHIN(check_options, it_waits_for_no_place_of_a_governor, 5000)
{
    libpool_governor *governor = NULL;
    libpool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_governor_open(&governor, 2), 0);
    libpool_options options = {
        .size = sizeof options, .max_workers = 2, .event_buffer = 100, .governor = governor};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_task task = {.size = sizeof task, .function = hang_at_work};
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), 0);
    libpool_event event = {.size = sizeof event};
    for (int launched = 0; launched < 2; launched += event.kind == LIBPOOL_EVENT_TASK_LAUNCHED)
        CU_ASSERT_EQUAL_FATAL(libpool_event_next(pool, &event, -1), 0);
    (void)check(options, 0);
    libpool_close(pool);
    CU_ASSERT_EQUAL(libpool_governor_close(governor), 0);
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
