/* SPDX-License-Identifier: MIT */
/* test_object: functions that the tests call by name, in a worker that has none of the test's memory. */
#include <libpool.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int test_echo(libpool_worker *worker, const void *input, size_t size);
int test_is_aligned(libpool_worker *worker, const void *input, size_t size);
int test_call(libpool_worker *worker, const void *input, size_t size);
int test_environment(libpool_worker *worker, const void *input, size_t size);
int test_hang(libpool_worker *worker, const void *input, size_t size);
int test_crash(libpool_worker *worker, const void *input, size_t size);
int test_is_asked(libpool_worker *worker, const void *input, size_t size);
int test_pids(libpool_worker *worker, const void *input, size_t size);
int test_crash_first(libpool_worker *worker, const void *input, size_t size);
int test_fault(libpool_worker *worker, const void *input, size_t size);
int test_descriptors(libpool_worker *worker, const void *input, size_t size);
int test_print(libpool_worker *worker, const void *input, size_t size);
int test_lock(libpool_worker *worker, const void *input, size_t size);
int test_mapped_mib(libpool_worker *worker, const void *input, size_t size);
int test_loaded_here(libpool_worker *worker, const void *input, size_t size);
int test_open_at_load(libpool_worker *worker, const void *input, size_t size);
int test_count_in(libpool_worker *worker, void *arg);
int test_count_seen(libpool_worker *worker, const void *input, size_t size);
void test_write_out(libpool_worker *worker, void *arg);
void test_leave(libpool_worker *worker, void *arg);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t loaded_by;
static int open_at_load;

static int count_open(void)
{
    int n = 0;
    for (int fd = 3; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void *wait_for_ever(void *arg)
{
    for (;;)
        (void)pause();
    return arg;
}

static void fork_and_come_back(void)
{
    pid_t child = fork();
    if (child > 0)
        (void)waitpid(child, NULL, 0);
}

/* What is run when the object is loaded; a test says what through the environment. */
__attribute__((constructor)) static void construct(void)
{
    const char *what = getenv("TEST_CONSTRUCTOR");
    pthread_t thread;
    loaded_by = getpid();
    open_at_load = count_open();
    if (what && !strcmp(what, "abort"))
        abort();
    if (what && !strcmp(what, "hang"))
        (void)wait_for_ever(NULL);
    if (what && !strcmp(what, "fork"))
        fork_and_come_back();
    if (what && !strcmp(what, "slow"))
        (void)poll(NULL, 0, 300);
    if (what && !strcmp(what, "thread"))
        (void)pthread_create(&thread, NULL, wait_for_ever, NULL);
}

int test_echo(libpool_worker *worker, const void *input, size_t size)
{
    return libpool_reply(worker, input, size);
}

int test_is_aligned(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    return (uintptr_t)input % 16 != 0;
}

/* Replies whether it was asked to end before it had begun. */
int test_is_asked(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    return libpool_reply(worker, libpool_worker_stopping(worker) ? "y" : "n", 1);
}

/* Replies its own process and its worker's zygote. */
int test_pids(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    pid_t pids[2] = {getpid(), getppid()};
    return libpool_reply(worker, pids, sizeof pids);
}

/* Crashes if it is the first to come: then there is no such file yet. */
int test_crash_first(libpool_worker *worker, const void *input, size_t size)
{
    int fd = open(input, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        abort();
    return libpool_reply(worker, input, size);
}

/* Replies the variable that the input names. */
int test_environment(libpool_worker *worker, const void *input, size_t size)
{
    char name[64] = {0};
    memcpy(name, input, size < sizeof name ? size : sizeof name - 1);
    const char *value = getenv(name);
    return value ? libpool_reply(worker, value, strlen(value)) : 1;
}

int test_hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
}

int test_crash(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    abort();
}

int test_fault(libpool_worker *worker, const void *input, size_t size)
{
    static void *volatile nowhere = (void *)16;
    (void)worker, (void)input, (void)size;
    *(volatile int *)nowhere = 1;
    return 0;
}

/* How many are open from 3 on: now, and when the object was loaded. */
int test_print(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker;
    return write(STDOUT_FILENO, input, size) == (ssize_t)size ? raise(SIGKILL) : errno;
}

int test_descriptors(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return count_open();
}

int test_open_at_load(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return open_at_load;
}

/* Takes a lock of the application's. Also called there, without a worker, to hold it. */
int test_lock(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    (void)pthread_mutex_lock(&lock);
    if (worker)
        (void)pthread_mutex_unlock(&lock);
    return 0;
}

int test_mapped_mib(libpool_worker *worker, const void *input, size_t size)
{
    unsigned long pages = 0;
    (void)worker, (void)input, (void)size;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%lu", &pages) != 1)
        return -1;
    (void)fclose(file);
    return (int)(pages / 256 + 1);
}

int test_loaded_here(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return loaded_by == getpid();
}

int test_count_in(libpool_worker *worker, void *arg)
{
    libpool_worker_set_data(worker, (void *)(uintptr_t)(arg == NULL ? 41 : 0));
    return 0;
}

int test_count_seen(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    return (int)(uintptr_t)libpool_worker_data(worker);
}

/* Writes to where the environment says. */
void test_write_out(libpool_worker *worker, void *arg)
{
    const char *path = getenv("TEST_FINAL");
    (void)worker, (void)arg;
    int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    (void)!write(fd, "f", 1);
    (void)close(fd);
}

void test_leave(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    _exit(0);
}

/* Its input is a number and this object's name. Replies a digit, and those of all smaller ones, by others. */
int test_call(libpool_worker *worker, const void *input, size_t size)
{
    char less[512], n = *(const char *)input, digit = (char)('0' + n);
    const libpool_task task = {.size = sizeof task,
                               .object = less + 1,
                               .symbol = "test_call",
                               .input = less,
                               .input_size = size};
    memcpy(less, input, size < sizeof less ? size : sizeof less);
    less[0]--;
    const libpool_result *result;
    int error = libpool_reply(worker, &digit, 1);
    if (n == 0 || error)
        return error;
    error = libpool_worker_call(worker, &task, 1, -1, &result);
    if (!error && result->cause != LIBPOOL_COMPLETED)
        error = -EBADMSG;
    return error ? error : libpool_reply(worker, result->data, result->data_size);
}
