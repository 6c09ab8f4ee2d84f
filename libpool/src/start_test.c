/* SPDX-License-Identifier: MIT */
/*
 * The two ways to start a zygote, as an application meets them: functions by name, and a zygote that has
 * nothing of the application.
 */
#include "start.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/test.h"
#include "start_rig.h"
#include "supervisor.h"

#define WAIT_MS 20000

static const uint32_t starts[] = {LIBPOOL_FORK, LIBPOOL_SPAWN};
#define EACH_START                    \
    for (size_t i_ = 0; i_ < 2; i_++) \
        for (uint32_t start = starts[i_], once_ = 1; once_; once_ = 0)

static libpool *open_pool(uint32_t start, libpool_options options)
{
    libpool *pool = NULL;
    options.size = sizeof options;
    options.start = start;
    options.zygote_path = start == LIBPOOL_SPAWN ? lp_rig_beside_us("libpool-zygote") : NULL;
    if (!options.max_workers)
        options.max_workers = 1;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_task name_task(const char *symbol, const void *input, size_t size)
{
    return (libpool_task){.size = sizeof(libpool_task),
                          .object = lp_rig_beside_us("test_object.so"),
                          .symbol = symbol,
                          .input = input,
                          .input_size = size};
}

static libpool_future *run(libpool *pool, const libpool_task *task)
{
    libpool_future *future = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, task, 0, &future), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, WAIT_MS), 0);
    return future;
}

/* The task's code; -1 when it ended otherwise than by returning. */
static int code_of(libpool *pool, const char *symbol)
{
    libpool_task task = name_task(symbol, NULL, 0);
    libpool_future *future = run(pool, &task);
    const libpool_result *result = libpool_future_result(future);
    int code = result && result->cause <= LIBPOOL_ERROR ? result->code : -1;
    libpool_future_free(future);
    return code;
}

/* ---- Deaths that are foretold --------------------------------------------------------------- */

/* Whichever way it was born it holds what its death is foretold by, and the pool waits for that. */
TEST(start, deaths_of_all_workers_are_foretold)
{
    EACH_START
    {
        libpool *pool = open_pool(start, (libpool_options){.min_workers = 1});
        bool foretold = pool->omens.fd < 0;
        if (foretold)
            hn_test_skip("no io_uring here, or none that waits for futexes");
        for (int i = 0; i < 1000 && !foretold; i++) {
            (void)poll(NULL, 0, 5);
            pthread_mutex_lock(&pool->lock);
            foretold = pool->lines[0].foretold;
            pthread_mutex_unlock(&pool->lock);
        }
        CU_ASSERT(foretold);
        libpool_close(pool);
    }
}

/* ---- Named tasks ---------------------------------------------------------------------------- */

static void echo(libpool *pool, size_t size)
{
    char *input = malloc(size + 1);
    memset(input, 'x', size);
    libpool_task task = name_task("test_echo", input, size);
    libpool_future *future = run(pool, &task);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_STRING_EQUAL_FATAL(result->text, "completed");
    CU_ASSERT_EQUAL_FATAL(result->data_size, size);
    CU_ASSERT(size == 0 || memcmp(result->data, input, size) == 0);
    libpool_future_free(future);
    free(input);
}

TEST(start, a_named_task_gets_its_input_and_replies)
{
    EACH_START
    {
        libpool *pool = open_pool(start, (libpool_options){0});
        echo(pool, 0);
        echo(pool, 5);
        echo(pool, 3000000);
        CU_ASSERT_EQUAL(code_of(pool, "test_is_aligned"), 0);
        libpool_close(pool);
    }
}

TEST(start, many_named_tasks_are_sent_ahead_and_all_answer)
{
    enum {
        TASKS = 3000
    };
    static libpool_task tasks[TASKS];
    static libpool_future *futures[TASKS];
    EACH_START
    {
        libpool *pool = open_pool(start,
                                  (libpool_options){.max_workers = 2, .backlog_tasks = TASKS});
        int wrong = 0;
        for (int i = 0; i < TASKS; i++)
            tasks[i] = name_task("test_echo", &tasks[i], i % 3 ? sizeof(int) : 0);
        CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, TASKS, 0, futures), TASKS);
        CU_ASSERT_EQUAL(libpool_wait_all(futures, TASKS, WAIT_MS), 0);
        for (int i = 0; i < TASKS; i++) {
            const libpool_result *result = libpool_future_result(futures[i]);
            wrong += !result || result->cause != LIBPOOL_COMPLETED ||
                     result->data_size != tasks[i].input_size;
            libpool_future_free(futures[i]);
        }
        CU_ASSERT_EQUAL(wrong, 0);
        libpool_close(pool);
    }
}

TEST(start, a_named_task_may_have_a_file)
{
    EACH_START
    {
        libpool *pool = open_pool(start, (libpool_options){0});
        int fd = memfd_create("input", MFD_CLOEXEC);
        CU_ASSERT_EQUAL(write(fd, "file", 4), 4);
        libpool_task task = name_task("test_echo", NULL, 4);
        task.flags = LIBPOOL_FILE;
        task.input_fd = fd;
        libpool_future *future = run(pool, &task);
        const libpool_result *result = libpool_future_result(future);
        CU_ASSERT_EQUAL_FATAL(result->data_size, 4);
        CU_ASSERT_EQUAL(memcmp(result->data, "file", 4), 0);
        libpool_future_free(future);
        close(fd);
        libpool_close(pool);
    }
}

static void expect_nowhere(libpool *pool, const char *object, const char *symbol, const char *word)
{
    libpool_task task = name_task(symbol, "abc", 3);
    task.object = object;
    libpool_future *future = run(pool, &task);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_NOT_STARTED);
    CU_ASSERT_EQUAL(result->code, -ENOENT);
    CU_ASSERT_EQUAL(result->data_size, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(result->text, word));
    libpool_future_free(future);
}

TEST(start, a_named_task_that_is_run_again_has_its_name_and_its_input)
{
    EACH_START
    {
        char path[] = "/tmp/libpool-start-XXXXXX";
        (void)close(mkstemp(path));
        (void)unlink(path);
        libpool *pool = open_pool(start, (libpool_options){0});
        libpool_task task = name_task("test_crash_first", path, sizeof path);
        task.retries = 1;
        task.retry_causes = 1u << LIBPOOL_CRASH;
        task.retry_min_ms = 1;
        libpool_future *future = run(pool, &task);
        const libpool_result *result = libpool_future_result(future);
        CU_ASSERT_EQUAL(result->cause, LIBPOOL_COMPLETED);
        CU_ASSERT_EQUAL(result->attempts, 2);
        CU_ASSERT_EQUAL_FATAL(result->data_size, sizeof path);
        CU_ASSERT_STRING_EQUAL(result->data, path);
        libpool_future_free(future);
        libpool_close(pool);
        (void)unlink(path);
    }
}

TEST(start, what_is_not_there_is_told_and_the_worker_lives)
{
    EACH_START
    {
        libpool *pool = open_pool(start, (libpool_options){0});
        expect_nowhere(pool, "/nonexistent/tasks.so", "test_echo", "/nonexistent/tasks.so");
        expect_nowhere(pool, lp_rig_beside_us("test_object.so"), "no_such_function",
                       "no_such_function");
        expect_nowhere(pool, "/etc/passwd", "test_echo", "/etc/passwd");
        echo(pool, 5);
        libpool_stats stats = {.size = sizeof stats};
        CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
        CU_ASSERT_EQUAL(stats.worker_processes_created, 1);
        libpool_close(pool);
    }
}

static int submit_code(libpool *pool, libpool_task task)
{
    task.size = sizeof task;
    return libpool_submit(pool, &task, 0, NULL);
}

static int pointed_at(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

TEST(start, no_name_of_an_object_is_the_program_of_the_worker)
{
    libpool *pool = open_pool(LIBPOOL_SPAWN, (libpool_options){0});
    libpool_task task = {.size = sizeof task, .object = "", .symbol = "libpool_noop"};
    libpool_future *future = run(pool, &task);
    CU_ASSERT_EQUAL(libpool_future_result(future)->cause, LIBPOOL_COMPLETED);
    libpool_future_free(future);
    task.symbol = "test_echo"; /* is somewhere else */
    future = run(pool, &task);
    CU_ASSERT_EQUAL(libpool_future_result(future)->code, -ENOENT);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(start, a_task_is_either_named_or_pointed_at)
{
    static char name[8192];
    memset(name, 'n', sizeof name - 1);
    EACH_START
    {
        libpool *pool = open_pool(start, (libpool_options){0});
        const char *object = lp_rig_beside_us("test_object.so");
        CU_ASSERT_EQUAL(submit_code(pool, (libpool_task){0}), -EINVAL);
        CU_ASSERT_EQUAL(submit_code(pool, (libpool_task){.object = object}), -EINVAL);
        CU_ASSERT_EQUAL(submit_code(pool, (libpool_task){.symbol = "test_echo"}), -EINVAL);
        CU_ASSERT_EQUAL(submit_code(pool, (libpool_task){.symbol = "", .object = object}), -EINVAL);
        CU_ASSERT_EQUAL(submit_code(pool, (libpool_task){.symbol = "test_echo",
                                                         .object = object,
                                                         .function = pointed_at}),
                        -EINVAL);
        CU_ASSERT_EQUAL(submit_code(pool, (libpool_task){.function = pointed_at, .object = object}),
                        -EINVAL);
        CU_ASSERT_EQUAL(submit_code(pool, (libpool_task){.symbol = name, .object = object}),
                        -ENAMETOOLONG);
        CU_ASSERT_EQUAL(submit_code(pool, (libpool_task){.symbol = "test_echo", .object = name}),
                        -ENAMETOOLONG);
        CU_ASSERT_EQUAL(submit_code(pool, (libpool_task){.function = pointed_at}),
                        start == LIBPOOL_SPAWN ? -EINVAL : 0);
        libpool_close(pool);
    }
}

/* ---- Initializer and finalizer -------------------------------------------------------------- */

TEST(start, initializer_and_finalizer_are_named)
{
    EACH_START
    {
        libpool_options options = {.object = lp_rig_beside_us("test_object.so"),
                                   .initializer_symbol = "test_count_in",
                                   .finalizer_symbol = "test_write_out"};
        int ends[2];
        char path[64], byte = 0;
        CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), ends[1]);
        setenv("TEST_FINAL", path, 1);
        libpool *pool = open_pool(start, options);
        unsetenv("TEST_FINAL");
        CU_ASSERT_EQUAL(code_of(pool, "test_count_seen"), 41);
        CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, WAIT_MS), 0);
        libpool_stats stats = {.size = sizeof stats};
        CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
        CU_ASSERT_EQUAL(stats.finalizers_ok, 1);
        libpool_close(pool);
        close(ends[1]);
        CU_ASSERT_EQUAL(read(ends[0], &byte, 1), 1);
        CU_ASSERT_EQUAL(byte, 'f');
        close(ends[0]);
    }
}

TEST(start, a_named_finalizer_that_does_not_return_has_failed)
{
    EACH_START
    {
        libpool_options options = {.object = lp_rig_beside_us("test_object.so"),
                                   .finalizer_symbol = "test_leave"};
        libpool *pool = open_pool(start, options);
        CU_ASSERT_EQUAL(code_of(pool, "test_is_aligned"), 0);
        CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, WAIT_MS), 0);
        libpool_stats stats = {.size = sizeof stats};
        CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
        CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_FINAL_FAILED], 1);
        libpool_close(pool);
    }
}

static void expect_init_failed(uint32_t start, libpool_options options)
{
    options.object = lp_rig_beside_us("test_object.so");
    options.initializer_failures = 1;
    libpool *pool = open_pool(start, options);
    libpool_task task = name_task("test_echo", NULL, 0);
    libpool_future *future = run(pool, &task);
    CU_ASSERT_EQUAL(libpool_future_result(future)->cause, LIBPOOL_INIT_FAILED);
    CU_ASSERT_EQUAL(libpool_future_result(future)->code, -ENOENT);
    libpool_future_free(future);
    libpool_close(pool);
}

/* A name is input: what is sent ahead has to fit into the channel with it. */
TEST(start, a_long_name_counts_as_input)
{
    EACH_START
    {
        libpool *pool = open_pool(start, (libpool_options){.backlog_bytes = 1500});
        char object[2048];
        libpool_task task = name_task("test_echo", NULL, 0);
        memset(object, '/', sizeof object);
        (void)snprintf(object + 1024, 1024, "%s", task.object);
        task.object = object;
        libpool_future *future = run(pool, &task);
        CU_ASSERT_EQUAL(libpool_future_result(future)->cause, LIBPOOL_COMPLETED);
        libpool_future_free(future);
        libpool_task hang = name_task("test_hang", NULL, 0);
        CU_ASSERT_EQUAL(libpool_submit(pool, &hang, 0, NULL), 0);
        CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), 0);
        libpool_stats stats = {.size = sizeof stats};
        CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
        CU_ASSERT_EQUAL(stats.backlog_bytes, strlen(object) + sizeof "test_echo" + 1);
        CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, NULL), -EAGAIN);
        libpool_close(pool);
    }
}

TEST(start, an_initializer_or_finalizer_that_is_not_there_fails_the_initialisation)
{
    EACH_START
    {
        expect_init_failed(start, (libpool_options){.initializer_symbol = "nowhere"});
        expect_init_failed(start, (libpool_options){.finalizer_symbol = "nowhere"});
    }
}

/* ---- Options -------------------------------------------------------------------------------- */

static int initialize(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    return 0;
}

static void finalize(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
}

static int open_code(uint32_t start, libpool_options options)
{
    libpool *pool = NULL;
    options.size = sizeof options;
    options.start = start;
    options.max_workers = 1;
    int error = libpool_open(&pool, &options);
    CU_ASSERT_EQUAL(pool == NULL, error != 0);
    libpool_close(pool);
    return error;
}

TEST(start, options_that_do_not_fit_the_start_are_refused)
{
    const char *zygote = lp_rig_beside_us("libpool-zygote");
    const char *object = lp_rig_beside_us("test_object.so");
    int arg;
    CU_ASSERT_EQUAL(open_code(LIBPOOL_THREADS + 1, (libpool_options){0}), -EINVAL);
    CU_ASSERT_EQUAL(open_code(LIBPOOL_FORK, (libpool_options){.zygote_path = zygote}), -EINVAL);
    CU_ASSERT_EQUAL(
        open_code(LIBPOOL_FORK, (libpool_options){.flags = LIBPOOL_PRELOAD, .object = object}),
        -EINVAL);
    libpool_options wrong[] = {{.initializer = initialize},
                               {.finalizer = finalize},
                               {.initializer_arg = &arg},
                               {.finalizer_arg = &arg},
                               {.flags = LIBPOOL_PRELOAD},
                               {.initializer_symbol = "test_count_in"},
                               {.object = ""}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        wrong[i].zygote_path = zygote;
        CU_ASSERT_EQUAL(open_code(LIBPOOL_SPAWN, wrong[i]), -EINVAL);
    }
    CU_ASSERT_EQUAL(open_code(LIBPOOL_SPAWN, (libpool_options){.zygote_path = "libpool-zygote"}),
                    -EINVAL);
    CU_ASSERT_EQUAL(
        open_code(LIBPOOL_FORK, (libpool_options){.object = object,
                                                  .initializer = initialize,
                                                  .initializer_symbol = "test_count_in"}),
        -EINVAL);
}

static int open_files(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

TEST(start, a_program_that_can_not_be_executed_is_told_and_leaves_nothing)
{
    static const struct {
        const char *path;
        int error;
    } programs[] = {{"/nonexistent/libpool-zygote", -ENOENT},
                    {"/etc/passwd", -EACCES},
                    {"/etc", -EACCES},
                    {"/bin/true", -EAGAIN}};
    int before = open_files();
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        CU_ASSERT_EQUAL(
            open_code(LIBPOOL_SPAWN, (libpool_options){.zygote_path = programs[i].path}),
            programs[i].error);
    CU_ASSERT_EQUAL(open_files(), before);
}

/* ---- What a spawned zygote has of its application ---------------------------------------------- */

TEST(start, a_worker_of_either_has_its_two_descriptors_and_no_more)
{
    EACH_START
    {
        int mine = open("/dev/null", O_RDONLY); /* not CLOEXEC */
        libpool *pool = open_pool(start, (libpool_options){0});
        CU_ASSERT_EQUAL(code_of(pool, "test_descriptors"), 2);
        libpool_close(pool);
        close(mine);
    }
}

TEST(start, spawned_workers_do_not_have_the_memory_of_the_application)
{
    enum {
        MIB = 2048
    };
    if (TEST_ADDRESS_SANITIZER || TEST_THREAD_SANITIZER)
        TEST_SKIP("a sanitizer maps terabytes");
    void *large = mmap(NULL, (size_t)MIB << 20, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CU_ASSERT_NOT_EQUAL_FATAL(large, MAP_FAILED);
    EACH_START
    {
        libpool *pool = open_pool(start, (libpool_options){0});
        int mapped = code_of(pool, "test_mapped_mib");
        CU_ASSERT(mapped > 0 && (mapped > MIB) == (start == LIBPOOL_FORK));
        libpool_close(pool);
    }
    munmap(large, (size_t)MIB << 20);
}

/* The shortest of some, so that moments without a CPU do not count. */
static uint64_t opening_ns(uint32_t start, int times)
{
    uint64_t shortest_ns = UINT64_MAX;
    for (int i = 0; i < times; i++) {
        uint64_t begun_ns = lp_supervisor_now();
        libpool *pool = open_pool(start, (libpool_options){0});
        uint64_t took_ns = lp_supervisor_now() - begun_ns;
        libpool_close(pool);
        shortest_ns = took_ns < shortest_ns ? took_ns : shortest_ns;
    }
    return shortest_ns;
}

/* Page tables in pages of 4 KiB: to copy them takes 20 times as long as to start a program. */
TEST(start, to_spawn_takes_no_longer_for_a_large_application)
{
    if (TEST_ADDRESS_SANITIZER || TEST_THREAD_SANITIZER)
        TEST_SKIP("what a program takes to start is the sanitizer's time");
    const size_t size = (size_t)256 << 20;
    void *large = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_NOT_EQUAL_FATAL(large, MAP_FAILED);
    (void)madvise(large, size, MADV_NOHUGEPAGE);
    memset(large, 1, size);
    CU_ASSERT(opening_ns(LIBPOOL_SPAWN, 16) * 4 < opening_ns(LIBPOOL_FORK, 3));
    munmap(large, size);
}

/*
 * The object is loaded here, too, and another thread than the one that starts the zygote holds a lock of
 * its. In a copy of this process nobody will ever give it up.
 */
TEST(start, a_lock_that_the_application_holds_stops_a_forked_task_and_no_spawned_one)
{
    void *object = dlopen(lp_rig_beside_us("test_object.so"), RTLD_NOW);
    CU_ASSERT_PTR_NOT_NULL_FATAL(object);
    libpool_task_function *hold = (libpool_task_function *)dlsym(object, "test_lock");
    CU_ASSERT_PTR_NOT_NULL_FATAL(hold);
    CU_ASSERT_EQUAL(hold(NULL, NULL, 0), 0);
    EACH_START
    {
        libpool *pool = open_pool(start, (libpool_options){0});
        libpool_task task = name_task("test_lock", NULL, 0);
        task.run_timeout_ms = 500;
        libpool_future *future = run(pool, &task);
        CU_ASSERT_EQUAL(libpool_future_result(future)->cause,
                        start == LIBPOOL_SPAWN ? LIBPOOL_COMPLETED : LIBPOOL_TIMEOUT);
        libpool_future_free(future);
        libpool_close(pool);
    }
}

static _Atomic int forks;

static void count_fork(void)
{
    forks++;
}

/* A library's atfork handler takes its locks, and waits for who holds them. */
TEST_IN_CHILD(start, no_handler_of_the_application_runs_at_a_spawn, 20000, TEST_EXIT(0))
{
    libpool *pool;
    libpool_options options = {.size = sizeof options,
                               .start = LIBPOOL_SPAWN,
                               .zygote_path = lp_rig_beside_us("libpool-zygote")};
    pthread_atfork(count_fork, count_fork, count_fork);
    if (libpool_open(&pool, &options))
        return 1;
    libpool_task task = name_task("test_echo", NULL, 0);
    libpool_future *future;
    if (libpool_submit(pool, &task, 0, &future) || libpool_future_wait(future, WAIT_MS) ||
        libpool_future_result(future)->cause != LIBPOOL_COMPLETED)
        return 2;
    libpool_future_free(future);
    libpool_close(pool);
    return forks ? 3 : 0;
}

TEST(start, the_windows_can_not_be_cut_off)
{
    libpool *pool = open_pool(LIBPOOL_SPAWN, (libpool_options){0});
    struct stat file;
    int fd = pool->start.program.memory_fd;
    CU_ASSERT_EQUAL_FATAL(fstat(fd, &file), 0);
    CU_ASSERT_EQUAL(ftruncate(fd, 4096), -1);
    CU_ASSERT_EQUAL(ftruncate(fd, file.st_size + 4096), -1);
    CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    echo(pool, 5);
    libpool_close(pool);
}

/* ---- The next zygote -------------------------------------------------------------------------- */

static libpool_stats await_zygotes(libpool *pool, uint64_t started)
{
    libpool_stats stats = {.size = sizeof stats};
    for (int i = 0; i < 2000 && stats.zygotes_started < started; i++) {
        (void)poll(NULL, 0, 5);
        CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    }
    CU_ASSERT_EQUAL(stats.zygotes_started, started);
    return stats;
}

static void kill_zygote(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    CU_ASSERT_EQUAL(kill(pool->zygote.pid, SIGKILL), 0);
    pthread_mutex_unlock(&pool->lock);
}

static void expect_variable(libpool *pool, const char *value)
{
    libpool_task task = name_task("test_environment", "TEST_OPENING", 12);
    libpool_future *future = run(pool, &task);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_EQUAL_FATAL(result->data_size, strlen(value));
    CU_ASSERT_EQUAL(memcmp(result->data, value, strlen(value)), 0);
    libpool_future_free(future);
}

TEST(start, the_next_zygote_has_the_environment_of_the_opening)
{
    setenv("TEST_OPENING", "then", 1);
    libpool *pool = open_pool(LIBPOOL_SPAWN, (libpool_options){0});
    expect_variable(pool, "then");
    setenv("TEST_OPENING", "later", 1);
    kill_zygote(pool);
    await_zygotes(pool, 2);
    expect_variable(pool, "then");
    libpool_close(pool);
    unsetenv("TEST_OPENING");
}

static void recycle(libpool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_recycle(pool, 1), 0);
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    for (int i = 0; i < 2000 && stats.worker_processes_outdated; i++) {
        (void)poll(NULL, 0, 5);
        CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    }
    CU_ASSERT_EQUAL(stats.worker_processes_outdated, 0);
}

/* It was told all that it knows before that outfit was there. */
TEST(start, a_spawned_zygote_dresses_its_workers_in_a_new_outfit)
{
    static const char *const first[] = {"TEST_OPENING=first"}, *const second[] = {
                                                                   "TEST_OPENING=second"};
    libpool_outfit outfit = {.size = sizeof outfit, .environment = first, .environment_count = 1};
    libpool *pool = open_pool(LIBPOOL_SPAWN, (libpool_options){.outfit = &outfit});
    expect_variable(pool, "first");
    outfit.environment = second;
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &outfit), 0);
    expect_variable(pool, "first");
    recycle(pool);
    expect_variable(pool, "second");
    kill_zygote(pool);
    await_zygotes(pool, 2);
    expect_variable(pool, "second");
    outfit.environment = first;
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &outfit), 0);
    recycle(pool);
    expect_variable(pool, "first");
    libpool_close(pool);
}

/* An update that replaces the program while a pool runs. */
TEST(start, without_its_program_a_pool_is_degraded_until_it_is_back)
{
    char directory[] = "/tmp/libpool-start-XXXXXX", path[64], away[64];
    libpool_stats stats = {.size = sizeof stats};
    libpool *pool;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/zygote", directory);
    (void)snprintf(away, sizeof away, "%s/away", directory);
    CU_ASSERT_EQUAL(symlink(lp_rig_beside_us("libpool-zygote"), path), 0);
    libpool_options options = {.size = sizeof options,
                               .start = LIBPOOL_SPAWN,
                               .zygote_path = path,
                               .min_workers = 1,
                               .max_workers = 1};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(rename(path, away), 0);
    kill_zygote(pool);
    for (int i = 0; i < 2000 && stats.degraded_error != -ENOENT; i++) {
        (void)poll(NULL, 0, 5);
        CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    }
    CU_ASSERT_EQUAL(stats.degraded_error, -ENOENT);
    CU_ASSERT_EQUAL(rename(away, path), 0);
    echo(pool, 5);
    libpool_close(pool);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(rmdir(directory), 0);
}

/* ---- Constructors ----------------------------------------------------------------------------- */

static void expect_cause(libpool *pool, libpool_cause cause, libpool_certainty certainty)
{
    libpool_task task = name_task("test_echo", NULL, 0);
    task.run_timeout_ms = 500;
    libpool_future *future = run(pool, &task);
    CU_ASSERT_EQUAL(libpool_future_result(future)->cause, cause);
    CU_ASSERT_EQUAL(libpool_future_result(future)->certainty, certainty);
    libpool_future_free(future);
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.tasks_returned, 0);
}

static libpool *open_constructing(const char *what)
{
    setenv("TEST_CONSTRUCTOR", what, 1);
    libpool *pool = open_pool(LIBPOOL_SPAWN, (libpool_options){0});
    unsetenv("TEST_CONSTRUCTOR");
    return pool;
}

TEST(start, a_constructor_is_part_of_the_task)
{
    libpool *pool = open_constructing("abort");
    expect_cause(pool, LIBPOOL_CRASH, LIBPOOL_MAY_HAVE_RUN);
    libpool_close(pool);
    pool = open_constructing("hang");
    expect_cause(pool, LIBPOOL_TIMEOUT, LIBPOOL_MAY_HAVE_RUN);
    libpool_close(pool);
}

/* They may have run: that it has not begun would be a lie. */
TEST(start, who_is_asked_to_end_while_its_object_is_loaded_has_begun)
{
    libpool *pool = open_constructing("slow");
    libpool_task task = name_task("test_is_asked", NULL, 0);
    task.run_timeout_ms = 50;
    task.grace_ms = 10000;
    libpool_future *future = run(pool, &task);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(result->certainty, LIBPOOL_HAS_RUN);
    CU_ASSERT(result->data_size == 1 && *(const char *)result->data == 'y');
    libpool_future_free(future);
    libpool_close(pool);
}

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    CU_ASSERT_FATAL(file && fgets(text, sizeof text, file));
    (void)fclose(file);
    const char *after_name = strrchr(text, ')');
    return after_name ? (pid_t)strtol(after_name + 4, NULL, 10) : 0;
}

/* The task is run by whom the result names. Returns who is the parent of the zygote. */
static pid_t zygote_parent(libpool *pool)
{
    libpool_task task = name_task("test_pids", NULL, 0);
    libpool_future *future = run(pool, &task);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_FATAL(result && result->data_size == 2 * sizeof(pid_t));
    const pid_t *pids = result->data;
    CU_ASSERT_EQUAL(pids[0], result->pid);
    pid_t parent = parent_of(pids[1]);
    libpool_future_free(future);
    return parent;
}

TEST(start, a_constructor_that_forks_makes_no_second_worker)
{
    libpool *pool = open_constructing("fork");
    (void)zygote_parent(pool);
    libpool_close(pool);
}

static libpool_options preloading(void)
{
    return (libpool_options){.flags = LIBPOOL_PRELOAD,
                             .object = lp_rig_beside_us("test_object.so"),
                             .zygote_path = lp_rig_beside_us("libpool-zygote")};
}

TEST(start, a_preloaded_object_is_loaded_by_the_zygote)
{
    int mine = open("/dev/null", O_RDONLY); /* not CLOEXEC */
    libpool *pool = open_pool(LIBPOOL_SPAWN, preloading());
    CU_ASSERT_EQUAL(code_of(pool, "test_loaded_here"), 0);
    CU_ASSERT_EQUAL(code_of(pool, "test_open_at_load"), 3); /* the zygote's own */
    close(mine);
    libpool_close(pool);
    pool = open_pool(LIBPOOL_SPAWN, (libpool_options){0});
    CU_ASSERT_EQUAL(code_of(pool, "test_loaded_here"), 1);
    libpool_close(pool);
}

TEST(start, a_preloaded_constructor_that_forks_makes_no_second_zygote)
{
    libpool *plain = open_pool(LIBPOOL_SPAWN, preloading());
    setenv("TEST_CONSTRUCTOR", "fork", 1);
    libpool *twice = open_pool(LIBPOOL_SPAWN, preloading());
    unsetenv("TEST_CONSTRUCTOR");
    CU_ASSERT_EQUAL(zygote_parent(twice), zygote_parent(plain));
    libpool_close(twice);
    libpool_close(plain);
}

TEST(start, a_preloading_that_fails_is_told)
{
    libpool_options options = preloading();
    options.object = "/nonexistent/tasks.so";
    CU_ASSERT_EQUAL(open_code(LIBPOOL_SPAWN, options), -ENOENT);
    setenv("TEST_CONSTRUCTOR", "thread", 1);
    CU_ASSERT_EQUAL(open_code(LIBPOOL_SPAWN, preloading()), -EDEADLK);
    setenv("TEST_CONSTRUCTOR", "abort", 1);
    CU_ASSERT_EQUAL(open_code(LIBPOOL_SPAWN, preloading()), -EAGAIN);
    unsetenv("TEST_CONSTRUCTOR");
}

/* ---- Batches and calls -------------------------------------------------------------------------- */

static int add_byte(void *sum, uint64_t element, const libpool_result *result)
{
    (void)element;
    *(int *)sum += result->data_size == 1 ? *(const unsigned char *)result->data : 1000;
    return 0;
}

TEST(start, a_batch_and_a_call_are_named)
{
    static const unsigned char inputs[] = {1, 2, 3, 4};
    EACH_START
    {
        int sum = 0;
        libpool *pool = open_pool(start, (libpool_options){.max_workers = 2});
        libpool_batch batch = {.size = sizeof batch,
                               .object = lp_rig_beside_us("test_object.so"),
                               .symbol = "test_echo",
                               .inputs = inputs,
                               .input_size = 1,
                               .elements = sizeof inputs,
                               .result = add_byte,
                               .result_arg = &sum};
        CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), 0);
        CU_ASSERT_EQUAL(sum, 10);
        libpool_close(pool);
        libpool_options options = {.size = sizeof options, .start = start};
        if (start == LIBPOOL_SPAWN)
            options.zygote_path = lp_rig_beside_us("libpool-zygote");
        libpool_task task = name_task("test_echo", "abc", 3);
        libpool_future *future = NULL;
        CU_ASSERT_EQUAL_FATAL(libpool_call(&task, &options, &future), 0);
        CU_ASSERT_EQUAL(libpool_future_result(future)->data_size, 3);
        libpool_future_free(future);
    }
}
