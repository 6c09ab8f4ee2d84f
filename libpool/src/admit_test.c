/* SPDX-License-Identifier: MIT */
/* Admission through the public door: with more asked for than there is, and in a memory cgroup of its own. */
#include "admit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/test.h"
#include "os/headroom.h"
#include "sys/sys.h"

#define MIB (UINT64_C(1) << 20)
#define WAIT_MS 10000
#define LIMIT_MIB 128
#define MEAL_MIB 80
#define FREE_MIB 64

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
    return 0;
}

static libpool_future *submit(libpool *pool, libpool_task_function *function, const void *input,
                              size_t size, uint32_t queue_timeout_ms)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = function,
                         .input = input,
                         .input_size = size,
                         .queue_timeout_ms = queue_timeout_ms};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, &future), 0);
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

static bool await_event(libpool *pool, libpool_event_kind kind)
{
    libpool_event event = {.size = sizeof event};
    while (libpool_event_next(pool, &event, WAIT_MS) == 0)
        if (event.kind == kind)
            return true;
    return false;
}

static libpool_stats stats_of(libpool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    return stats;
}

static libpool *open_pool(libpool_options options)
{
    libpool *pool = NULL;
    options.size = sizeof options;
    options.event_buffer = 256;
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    return pool;
}

TEST(admit, without_memory_one_task_runs_and_the_others_wait)
{
    libpool *pool = open_pool(
        (libpool_options){.min_workers = 3, .max_workers = 3, .admit_free_bytes = UINT64_MAX / 2});
    libpool_future *first = submit(pool, hang, NULL, 0, 0);
    libpool_future *second = submit(pool, libpool_noop, NULL, 0, 0);
    libpool_future *third = submit(pool, libpool_noop, NULL, 0, 50);
    CU_ASSERT_TRUE(await_event(pool, LIBPOOL_EVENT_ADMISSION_PAUSED));
    CU_ASSERT_EQUAL(cause_of(third), LIBPOOL_QUEUE_TIMEOUT);
    libpool_stats stats = stats_of(pool);
    CU_ASSERT_EQUAL(stats.tasks_running, 1);
    CU_ASSERT_EQUAL(stats.tasks_pending, 1);
    CU_ASSERT_EQUAL(stats.admission_paused, 1);
    CU_ASSERT_EQUAL(stats.admission_pauses, 1);
    CU_ASSERT_EQUAL(stats.degraded_error, -ENOMEM);
    CU_ASSERT_EQUAL(libpool_future_cancel(first), LIBPOOL_CANCEL_KILLED);
    CU_ASSERT_EQUAL(cause_of(second), LIBPOOL_COMPLETED);
    libpool_future_free(first);
    CU_ASSERT_EQUAL(stats_of(pool).max_workers_busy_concurrently, 1);
    CU_ASSERT_EQUAL(stats_of(pool).degraded, 0);
    libpool_close(pool);
}

TEST(admit, with_memory_tasks_run_side_by_side)
{
    libpool *pool = open_pool(
        (libpool_options){.min_workers = 2, .max_workers = 2, .admit_free_bytes = MIB});
    libpool_future *first = submit(pool, hang, NULL, 0, 0);
    CU_ASSERT_EQUAL(cause_of(submit(pool, libpool_noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(stats_of(pool).max_workers_busy_concurrently, 2);
    CU_ASSERT_EQUAL(stats_of(pool).admission_pauses, 0);
    libpool_future_free(first);
    libpool_close(pool);
}

TEST(admit, without_a_thread_the_application_drives_it)
{
    libpool *pool = open_pool((libpool_options){
        .flags = LIBPOOL_NO_THREAD, .min_workers = 2, .max_workers = 2, .admit_free_bytes = MIB});
    libpool_future *first = submit(pool, hang, NULL, 0, 0);
    CU_ASSERT_EQUAL(cause_of(submit(pool, libpool_noop, NULL, 0, 0)), LIBPOOL_COMPLETED);
    libpool_future_free(first);
    libpool_close(pool);
}

static int without_pressure(int directory_fd, const char *path, int flags)
{
    bool tells = strstr(path, "pressure") == NULL && strstr(path, "meminfo") == NULL;
    return tells ? lp_sys_kernel.openat(directory_fd, path, flags) : -ENOENT;
}

static int open_with(libpool_options options)
{
    libpool *pool = NULL;
    options.size = sizeof options;
    int error = libpool_open(&pool, &options);
    libpool_close(pool);
    return error;
}

TEST(admit, what_the_kernel_does_not_tell_is_refused)
{
    CU_ASSERT_EQUAL(open_with((libpool_options){.admit_pressure = 10001}), -EINVAL);
    lp_sys.openat = without_pressure;
    CU_ASSERT_EQUAL(open_with((libpool_options){.admit_pressure = 10000}), -ENOTSUP);
    CU_ASSERT_EQUAL(open_with((libpool_options){.admit_free_bytes = 1}), -ENOTSUP);
    CU_ASSERT_EQUAL(open_with((libpool_options){.max_workers = 1}), 0);
    lp_sys = lp_sys_kernel;
}

/* ---- pressure, as a file of ours tells it ------------------------------------------------- */

static char pressure_path[64];

static int with_our_pressure(int directory_fd, const char *path, int flags)
{
    bool ours = strcmp(path, "/proc/pressure/memory") == 0;
    bool is_cgroups = strcmp(path, "memory.pressure") == 0;
    return is_cgroups ? -ENOENT
                      : lp_sys_kernel.openat(directory_fd, ours ? pressure_path : path, flags);
}

static void press(const char *percent)
{
    int fd = open(pressure_path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    CU_ASSERT_TRUE(dprintf(fd, "some avg10=%s avg60=0.00 avg300=0.00 total=0\n", percent) > 0);
    (void)close(fd);
}

TEST(admit, pressure_pauses_and_its_end_resumes)
{
    (void)snprintf(pressure_path, sizeof pressure_path, "/tmp/libpool-pressure-XXXXXX");
    int fd = mkstemp(pressure_path);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    (void)close(fd);
    press("20.00");
    lp_sys.openat = with_our_pressure;
    libpool *pool = open_pool(
        (libpool_options){.min_workers = 2, .max_workers = 2, .admit_pressure = 2000});
    libpool_future *first = submit(pool, hang, NULL, 0, 0);
    libpool_future *second = submit(pool, libpool_noop, NULL, 0, 0);
    CU_ASSERT_TRUE(await_event(pool, LIBPOOL_EVENT_ADMISSION_PAUSED));
    CU_ASSERT_PTR_NULL(libpool_future_result(second));
    press("19.99");
    CU_ASSERT_TRUE(await_event(pool, LIBPOOL_EVENT_ADMISSION_RESUMED));
    CU_ASSERT_EQUAL(cause_of(second), LIBPOOL_COMPLETED);
    libpool_future_free(first);
    libpool_close(pool);
    lp_sys = lp_sys_kernel;
    (void)unlink(pressure_path);
}

/* ---- a cgroup of its own -------------------------------------------------------------------- */

/* Says so with a sign of life when it has eaten; then it stays. */
static int eat(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    size_t bytes = MEAL_MIB * MIB;
    char *meal = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (meal == MAP_FAILED)
        return 1;
    memset(meal, 1, bytes);
    (void)libpool_worker_progress(worker, 1, 1, NULL);
    return hang(worker, NULL, 0);
}

static bool await_progress(libpool_future *future)
{
    libpool_progress progress = {.size = sizeof progress};
    for (int i = 0; i < WAIT_MS / 2; i++) {
        if (libpool_future_progress(future, &progress) == 0 && progress.done == 1)
            return true;
        (void)poll(NULL, 0, 2);
    }
    return false;
}

static bool put(const char *directory, const char *name, const char *text)
{
    char path[LP_CGROUP_PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        (void)close(fd);
    return done;
}

/* Until the next look, tasks still start. */
static libpool_future *submit_one_that_waits(libpool *pool)
{
    for (int i = 0; i < WAIT_MS / 2; i++) {
        libpool_future *future = submit(pool, libpool_noop, NULL, 0, 0);
        while (!libpool_future_result(future) && !stats_of(pool).admission_paused)
            (void)poll(NULL, 0, 2);
        if (!libpool_future_result(future))
            return future;
        libpool_future_free(future);
    }
    return NULL;
}

/* In the child: 0 when all was as it should be. Something small runs throughout. */
static int wait_for_the_eater(libpool *pool)
{
    libpool_future *small = submit(pool, hang, NULL, 0, 0), *eater = submit(pool, eat, NULL, 0, 0);
    if (!await_progress(eater))
        return 10;
    libpool_future *waits = submit_one_that_waits(pool);
    if (!waits || !await_event(pool, LIBPOOL_EVENT_ADMISSION_PAUSED))
        return 11;
    if (libpool_future_cancel(eater) != LIBPOOL_CANCEL_KILLED)
        return 12;
    if (!await_event(pool, LIBPOOL_EVENT_ADMISSION_RESUMED))
        return 13;
    if (cause_of(waits) != LIBPOOL_COMPLETED)
        return 14;
    if (libpool_future_result(small))
        return 15;
    libpool_future_free(small);
    libpool_future_free(eater);
    return 0;
}

static int eat_in_a_pool(void)
{
    libpool *pool = open_pool((libpool_options){.flags = LIBPOOL_NO_CGROUP,
                                                .min_workers = 3,
                                                .max_workers = 3,
                                                .admit_free_bytes = FREE_MIB * MIB});
    int code = wait_for_the_eater(pool);
    libpool_close(pool);
    return code;
}

#define NO_CGROUP 77

static int in_its_own_cgroup(void *unused)
{
    char own[LP_CGROUP_PATH_BYTES + 32], limit[32];
    struct lp_headroom here;
    (void)unused;
    lp_headroom_find(&here, NULL);
    (void)snprintf(own, sizeof own, "%s/libpool-admit-%d", here.v1, (int)getpid());
    (void)snprintf(limit, sizeof limit, "%llu", (unsigned long long)(LIMIT_MIB * MIB));
    if (here.v1[0] == '\0' || mkdir(own, 0700) != 0)
        return NO_CGROUP;
    bool moved = put(own, "memory.limit_in_bytes", limit) && put(own, "cgroup.procs", "0");
    int code = moved ? eat_in_a_pool() : NO_CGROUP;
    (void)put(here.v1, "cgroup.procs", "0");
    return rmdir(own) == 0 && code == 0 ? 0 : code ? code : 20;
}

TEST(admit, what_is_left_to_the_own_cgroup_counts)
{
    int ended = hn_test_child(in_its_own_cgroup, NULL, 20000);
    if (ended == TEST_EXIT(NO_CGROUP))
        TEST_SKIP("no memory cgroup of v1 can be made here");
    CU_ASSERT_EQUAL(ended, TEST_EXIT(0));
}
