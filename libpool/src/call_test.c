/* SPDX-License-Identifier: MIT */
/* One call: its result, its end when it overruns or dies, and that nothing of it stays. */
#include <libpool.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"

static int echo_pid(libpool_worker *worker, const void *input, size_t size)
{
    pid_t pid = getpid();
    (void)input, (void)size;
    return libpool_reply(worker, &pid, sizeof pid);
}

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
    return 0;
}

static int crash(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return raise(SIGSEGV);
}

static int refuse(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    return 1;
}

static libpool_cause call(libpool_task_function *function, uint32_t run_timeout_ms)
{
    libpool_future *future = NULL;
    libpool_task task = {
        .size = sizeof task, .function = function, .run_timeout_ms = run_timeout_ms};
    CU_ASSERT_EQUAL(libpool_call(&task, NULL, &future), 0);
    const libpool_result *result = libpool_future_result(future);
    libpool_cause cause = result ? result->cause : LIBPOOL_PENDING;
    libpool_future_free(future);
    return cause;
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

TEST(call, it_runs_in_a_process_of_its_own_and_answers)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .function = echo_pid};
    pid_t pid = 0;
    CU_ASSERT_EQUAL_FATAL(libpool_call(&task, NULL, &future), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL_FATAL(result->data_size, sizeof pid);
    memcpy(&pid, result->data, sizeof pid);
    CU_ASSERT_EQUAL(pid, result->pid);
    CU_ASSERT_NOT_EQUAL(pid, getpid());
    CU_ASSERT_EQUAL(kill(pid, 0), -1);
    libpool_future_free(future);
}

TEST(call, it_ends_in_time_or_tells_of_what_it_died)
{
    CU_ASSERT_EQUAL(call(hang, 50), LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(call(crash, 0), LIBPOOL_CRASH);
}

TEST(call, the_options_hold_for_it)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .function = echo_pid};
    libpool_options options = {.size = sizeof options,
                               .max_workers = 9,
                               .min_workers = 9,
                               .initializer = refuse,
                               .initializer_failures = 1};
    CU_ASSERT_EQUAL_FATAL(libpool_call(&task, &options, &future), 0);
    CU_ASSERT_EQUAL(libpool_future_result(future)->cause, LIBPOOL_INIT_FAILED);
    libpool_future_free(future);
}

static int count_me(libpool_worker *worker, void *arg)
{
    (void)worker;
    __atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
    return 0;
}

TEST(call, one_worker_is_started_whatever_the_options_say)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .function = echo_pid};
    int *workers = mmap(NULL, sizeof *workers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
    libpool_options options = {.size = sizeof options,
                               .max_workers = 9,
                               .min_workers = 9,
                               .spare_workers = 4,
                               .initializer = count_me,
                               .initializer_arg = workers};
    CU_ASSERT_FATAL(workers != MAP_FAILED);
    CU_ASSERT_EQUAL_FATAL(libpool_call(&task, &options, &future), 0);
    CU_ASSERT_EQUAL(*workers, 1);
    libpool_future_free(future);
    (void)munmap(workers, sizeof *workers);
}

TEST(call, what_is_wrong_is_told)
{
    libpool_future *future = (libpool_future *)&future;
    libpool_task task = {.size = sizeof task};
    libpool_options options = {.size = 1};
    CU_ASSERT_EQUAL(libpool_call(NULL, NULL, &future), -EINVAL);
    CU_ASSERT_PTR_NULL(future);
    CU_ASSERT_EQUAL(libpool_call(&task, NULL, NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_call(&task, NULL, &future), -EINVAL);
    task.function = hang;
    task.run_timeout_ms = 1000;
    CU_ASSERT_EQUAL(libpool_call(&task, &options, &future), -EINVAL);
    CU_ASSERT_PTR_NULL(future);
    options = (libpool_options){.size = sizeof options,
                                .flags = LIBPOOL_CALLBACKS | LIBPOOL_NO_THREAD};
    CU_ASSERT_EQUAL(libpool_call(&task, &options, &future), -EINVAL);
    options = (libpool_options){.size = sizeof options, .min_workers = 5, .max_workers = 2};
    CU_ASSERT_EQUAL(libpool_call(&task, &options, &future), -EINVAL);
    CU_ASSERT_PTR_NULL(future);
}

TEST(call, nothing_of_it_stays)
{
    int fds = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(call(i % 2 ? echo_pid : crash, 0),
                        i % 2 ? LIBPOOL_COMPLETED : LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(count_entries("/proc/self/fd"), fds);
    CU_ASSERT_EQUAL(count_entries("/proc/self/task"), threads);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
}

static void *call_often(void *failed)
{
    for (int i = 0; i < 10; i++)
        if (call(echo_pid, 5000) != LIBPOOL_COMPLETED)
            return failed;
    return NULL;
}

TEST(call, threads_call_at_once)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, call_often, threads), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = threads;
        CU_ASSERT_EQUAL(pthread_join(threads[i], &failed), 0);
        CU_ASSERT_PTR_NULL(failed);
    }
}
