/* SPDX-License-Identifier: MIT */
#include <libpool_sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"

#define HAS_RUNTIME (TEST_ADDRESS_SANITIZER || TEST_THREAD_SANITIZER)

/* Each does one thing, and returns what it came to: 0, or errno. */
typedef int deed(void);

static int make_inet_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int make_unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int execute(void)
{
    return execl("/bin/true", "true", (char *)NULL) ? errno : 0;
}

static int fork_and_wait(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child < 0 || waitpid(child, NULL, 0) != child ? errno : 0;
}

static int open_file(void)
{
    return open("/proc/self/status", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static int map_code(void)
{
    void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return code == MAP_FAILED ? errno : 0;
}

static int signal_another(void)
{
    return kill(getppid(), 0) ? errno : 0;
}

static int end_itself(void)
{
    abort();
}

/* More than malloc keeps: it asks the kernel, and gives back. */
static int work(void)
{
    for (size_t size = 16; size <= (size_t)1 << 20; size *= 4) {
        char *memory = malloc(size);
        if (!memory)
            return ENOMEM;
        memset(memory, 1, size);
        char *more = realloc(memory, size * 2);
        free(more ? more : memory);
    }
    return printf("%s", "") < 0 ? errno : 0;
}

/* A first look at what is a device: the libc wants to know whether it is a terminal. */
static int use_device(void)
{
    FILE *again = fdopen(STDIN_FILENO, "r"); /* /dev/null */
    if (!again)
        return errno;
    return getc(again) == EOF && getc(stdin) == EOF ? 0 : EIO;
}

static int do_deed(libpool_worker *worker, const void *input, size_t size)
{
    (void)size;
    deed *const *given = input;
    int result = (*given)();
    int error = libpool_reply(worker, &result, sizeof result);
    return result ? result : error;
}

static libpool *open_with(libpool_initializer *initializer, const char *profile)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .max_workers = 1,
                               .initializer = initializer,
                               .initializer_arg = (void *)(uintptr_t)profile,
                               .initializer_failures = 1};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool *open_in(const char *profile)
{
    return open_with(libpool_sandbox_profile, profile);
}

/* What becomes of a task: 0 or its error, or -SIGNAL when it has crashed. */
static int come_to(libpool *pool, deed *what)
{
    libpool_future *future = NULL;
    libpool_task task = {
        .size = sizeof task, .function = do_deed, .input = &what, .input_size = sizeof what};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, 20000), 0);
    const libpool_result *result = libpool_future_result(future);
    int end = result->cause == LIBPOOL_CRASH ? -result->signal : result->code;
    if (result->cause == LIBPOOL_INIT_FAILED)
        end = result->code - 10000;
    libpool_future_free(future);
    return end;
}

TEST(sandbox, no_network_kills_who_makes_a_socket)
{
    libpool *pool = open_in("no-network");
    CU_ASSERT_EQUAL(come_to(pool, make_inet_socket), -SIGSYS);
    CU_ASSERT_EQUAL(come_to(pool, make_unix_socket), 0); /* in the replacement */
    CU_ASSERT_EQUAL(come_to(pool, fork_and_wait), 0);
    CU_ASSERT_EQUAL(come_to(pool, open_file), 0);
    libpool_close(pool);
}

TEST(sandbox, no_exec_kills_who_executes)
{
    libpool *pool = open_in("no-exec");
    CU_ASSERT_EQUAL(come_to(pool, execute), -SIGSYS);
    CU_ASSERT_EQUAL(come_to(pool, fork_and_wait), 0);
    CU_ASSERT_EQUAL(come_to(pool, make_inet_socket), 0);
    libpool_close(pool);
}

TEST(sandbox, compute_kills_who_does_anything_else)
{
    if (HAS_RUNTIME)
        TEST_SKIP("a sanitizer makes calls of its own");
    static deed *const deeds[] = {make_inet_socket, make_unix_socket, execute,
                                  fork_and_wait,    map_code,         signal_another};
    libpool *pool = open_in("compute");
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++)
        CU_ASSERT_EQUAL(come_to(pool, deeds[i]), -SIGSYS);
    CU_ASSERT_EQUAL(come_to(pool, open_file), EACCES);
    CU_ASSERT_EQUAL(come_to(pool, end_itself), -SIGABRT);
    libpool_close(pool);
}

static int echo(libpool_worker *worker, const void *input, size_t size)
{
    return libpool_reply(worker, input, size);
}

static size_t bytes_echoed(libpool *pool, size_t size)
{
    char *input = calloc(1, size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(input);
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .function = echo, .input = input, .input_size = size};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, 20000), 0);
    size_t echoed = libpool_future_result(future)->data_size;
    libpool_future_free(future);
    free(input);
    return echoed;
}

/* The worker's own calls, too: START, waiting, large payloads, leaving. */
TEST(sandbox, compute_lets_a_worker_live)
{
    if (HAS_RUNTIME)
        TEST_SKIP("a sanitizer makes calls of its own");
    libpool *pool = open_in("compute");
    for (int i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(come_to(pool, work), 0);
    CU_ASSERT_EQUAL(come_to(pool, use_device), 0);
    CU_ASSERT_EQUAL(bytes_echoed(pool, (size_t)8 << 20), (size_t)8 << 20);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, 10000), 0);
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.worker_processes_created, 1);
    CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_COMPLETED], 1);
    libpool_close(pool);
}

TEST(sandbox, an_unknown_profile_is_a_failed_initializer)
{
    libpool *pool = open_in("no-fun");
    CU_ASSERT_EQUAL(come_to(pool, work), -EINVAL - 10000);
    libpool_close(pool);
    CU_ASSERT_EQUAL(libpool_sandbox_profile(NULL, (void *)(uintptr_t) "no-exec"), -EINVAL);
}

static int enter_two(libpool_worker *worker, void *unused)
{
    (void)unused;
    int error = libpool_sandbox_profile(worker, (void *)(uintptr_t) "no-network");
    return error ? error : libpool_sandbox_profile(worker, (void *)(uintptr_t) "no-exec");
}

TEST(sandbox, profiles_add_up)
{
    libpool *pool = open_with(enter_two, NULL);
    CU_ASSERT_EQUAL(come_to(pool, make_inet_socket), -SIGSYS);
    CU_ASSERT_EQUAL(come_to(pool, execute), -SIGSYS);
    CU_ASSERT_EQUAL(come_to(pool, fork_and_wait), 0);
    libpool_close(pool);
}

static int leave_a_child(libpool_worker *worker, void *profile)
{
    pid_t child = fork();
    if (child == 0)
        _exit(pause());
    return child < 0 ? -errno : libpool_sandbox_profile(worker, profile);
}

TEST(sandbox, compute_lets_a_crash_be_traced)
{
    if (HAS_RUNTIME)
        TEST_SKIP("a sanitizer makes calls of its own");
    libpool *pool = NULL;
    libpool_future *future = NULL;
    deed *abort_deed = end_itself;
    libpool_options options = {.size = sizeof options,
                               .flags = LIBPOOL_TRACE,
                               .max_workers = 1,
                               .initializer = libpool_sandbox_profile,
                               .initializer_arg = (void *)(uintptr_t) "compute"};
    libpool_task task = {.size = sizeof task,
                         .function = do_deed,
                         .input = &abort_deed,
                         .input_size = sizeof abort_deed};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, 20000), 0);
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_EQUAL(result->signal, SIGABRT);
    CU_ASSERT_PTR_NOT_NULL_FATAL(result->trace);
    CU_ASSERT_PTR_NULL(result->trace->frames[0].object); /* it may not open /proc */
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(sandbox, compute_needs_a_worker_without_children)
{
    libpool *pool = open_with(leave_a_child, "compute");
    CU_ASSERT_EQUAL(come_to(pool, work), -EBUSY - 10000);
    libpool_close(pool);
    pool = open_with(leave_a_child, "no-exec");
    CU_ASSERT_EQUAL(come_to(pool, work), 0);
    libpool_close(pool);
}
