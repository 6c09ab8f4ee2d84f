/* SPDX-License-Identifier: MIT */
/*
 * What the application has registered for its exit, and written but not flushed, is its own: no worker
 * and no zygote does it again, however it ends. A host is a child that really exits, its output a file.
 *
 * What it has registered for a fork does run in workers, and closes by number what is long closed there.
 */
#include <libpool.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"

#define WAIT_MS 20000
#define HOST_MS 20000
#define TEXT_BYTES 4096

/* Files and shared memory, so that what is written by whomever is seen. */
struct files {
    int out, log, in;
    int *marks; /* a worker has no descriptor of the host's to write to */
};

static struct files files;

/* ---- what the host has registered ------------------------------------------------------------ */

static void mark_exit(void)
{
    __atomic_add_fetch(files.marks, 1, __ATOMIC_RELAXED);
}

static void mark_on_exit(int code, void *arg)
{
    (void)code, (void)arg;
    __atomic_add_fetch(files.marks, 100, __ATOMIC_RELAXED);
}

static void mark_quick_exit(void)
{
    __atomic_add_fetch(files.marks, 10000, __ATOMIC_RELAXED);
}

/* ---- tasks: each way to leave ---------------------------------------------------------------- */

static int print(libpool_worker *worker, const void *input, size_t size)
{
    pid_t zygote = getppid();
    (void)input, (void)size;
    (void)printf("task|");
    return libpool_reply(worker, &zygote, sizeof zygote);
}

static int leave(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    exit(3);
}

static int leave_quickly(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    quick_exit(4);
}

static int crash(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    abort();
}

static int fork_one_that_leaves(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    pid_t pid = fork();
    if (pid == 0)
        exit(0);
    return waitpid(pid, NULL, 0) == pid ? 0 : 1;
}

/* ---- the host -------------------------------------------------------------------------------- */

static libpool_cause run(libpool *pool, libpool_task_function *function, pid_t *zygote)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .function = function};
    if (libpool_submit(pool, &task, -1, &future) || libpool_future_wait(future, WAIT_MS))
        return LIBPOOL_PENDING;
    const libpool_result *result = libpool_future_result(future);
    libpool_cause cause = result->cause;
    if (zygote && result->data_size == sizeof *zygote)
        memcpy(zygote, result->data, sizeof *zygote);
    libpool_future_free(future);
    return cause;
}

/* 0 when each ended as it should. */
static int run_all(libpool *pool)
{
    pid_t zygote = 0;
    if (run(pool, print, &zygote) != LIBPOOL_COMPLETED || zygote <= 1)
        return 2;
    if (run(pool, leave, NULL) != LIBPOOL_EXIT || run(pool, leave_quickly, NULL) != LIBPOOL_EXIT)
        return 3;
    if (run(pool, crash, NULL) != LIBPOOL_CRASH)
        return 4;
    if (run(pool, fork_one_that_leaves, NULL) != LIBPOOL_COMPLETED)
        return 5;
    if (kill(zygote, SIGKILL)) /* the next is a copy of the host as it is then */
        return 6;
    return run(pool, print, NULL) == LIBPOOL_COMPLETED ? 0 : 7;
}

static int use_a_pool(uint32_t flags)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .flags = flags, .max_workers = 1, .tasks_per_worker = 2};
    if (libpool_open(&pool, &options))
        return 1;
    int code = run_all(pool);
    libpool_close(pool);
    return code;
}

/* Its streams have something in them when the pool is opened, and when it is closed. */
static int be_host(void *arg)
{
    static char buffer[TEXT_BYTES];
    (void)dup2(files.out, STDOUT_FILENO);
    (void)setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    FILE *log = fdopen(files.log, "w"), *in = fdopen(files.in, "r");
    if (!log || !in || fgetc(in) != 'a' || atexit(mark_exit) || on_exit(mark_on_exit, NULL) ||
        at_quick_exit(mark_quick_exit))
        exit(20);
    (void)printf("host|");
    (void)fprintf(log, "log|");
    off_t read_up_to = lseek(files.in, 0, SEEK_CUR);
    int code = use_a_pool(*(uint32_t *)arg);
    if (lseek(files.in, 0, SEEK_CUR) != read_up_to)
        code = 21; /* a copy of the stream has given back what it had read ahead */
    exit(code);
}

/* ---- the proof ------------------------------------------------------------------------------- */

static void read_back(int fd, char *text)
{
    ssize_t n = pread(fd, text, TEXT_BYTES - 1, 0);
    text[n > 0 ? n : 0] = '\0';
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (; (text = strstr(text, word)); text++)
        n++;
    return n;
}

static void open_files(void)
{
    static const char input[] = "abcdefghij";
    files = (struct files){
        memfd_create("out", 0), memfd_create("log", 0), memfd_create("in", 0),
        mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
    CU_ASSERT_FATAL(files.out >= 0 && files.log >= 0 && files.in >= 0);
    CU_ASSERT_FATAL(files.marks != MAP_FAILED);
    CU_ASSERT_EQUAL_FATAL(write(files.in, input, sizeof input), sizeof input);
    CU_ASSERT_EQUAL_FATAL(lseek(files.in, 0, SEEK_SET), 0);
}

static void close_files(void)
{
    (void)close(files.out);
    (void)close(files.log);
    (void)close(files.in);
    (void)munmap(files.marks, sizeof(int));
}

static void the_hosts_are_its_own(uint32_t flags)
{
    char text[TEXT_BYTES];
    open_files();
    CU_ASSERT_EQUAL(hn_test_child(be_host, &flags, HOST_MS), TEST_EXIT(0));
    read_back(files.out, text);
    CU_ASSERT_EQUAL(count(text, "host|"), 1);
    CU_ASSERT_EQUAL(count(text, "task|"), 2);
    read_back(files.log, text);
    CU_ASSERT_STRING_EQUAL(text, "log|");
    CU_ASSERT_EQUAL(*files.marks, 101);
    close_files();
}

TEST(exits, what_the_host_did_not_flush_or_run_is_done_once)
{
    the_hosts_are_its_own(0);
}

TEST(exits, what_the_host_did_not_flush_or_run_is_done_once_without_a_thread)
{
    the_hosts_are_its_own(LIBPOOL_NO_THREAD);
}

/* ---- a library that is fork-safe in its own way ----------------------------------------------- */

#define LIBRARY_FDS 40 /* more than a zygote has: wherever it put its own, it would meet some */

static int library_fds[LIBRARY_FDS];

/* As libuv does it, and others: what the child has got of them is closed, and made anew. */
static void reopen_in_child(void)
{
    for (int i = 0; i < LIBRARY_FDS; i++)
        (void)close(library_fds[i]);
    for (int i = 0; i < LIBRARY_FDS; i++)
        library_fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int tell_zygote(libpool_worker *worker, const void *input, size_t size)
{
    pid_t zygote = getppid();
    (void)input, (void)size;
    return libpool_reply(worker, &zygote, sizeof zygote);
}

/* In v2 it is in a directory of the pool's, which has a number for a name. */
static int check_cgroup(libpool_worker *worker, const void *input, size_t size)
{
    char text[TEXT_BYTES] = "\n";
    (void)worker, (void)input, (void)size;
    FILE *file = fopen("/proc/self/cgroup", "r");
    size_t n = file ? fread(text + 1, 1, sizeof text - 2, file) : 0;
    const char *line = n ? strstr(text, "\n0::") : NULL;
    const char *place = line ? strstr(line, "/libpool-") : NULL;
    const char *own = place ? strchr(place + 1, '/') : NULL;
    return own && own[1] >= '0' && own[1] <= '9' ? 0 : 1;
}

static int check_workers(libpool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    pid_t zygote = 0;
    for (int i = 0; i < 20; i++)
        if (run(pool, tell_zygote, &zygote) != LIBPOOL_COMPLETED)
            return 2;
    if (libpool_stats_read(pool, &stats) || stats.worker_processes_created != 10)
        return 3; /* two tasks each: every one has lived for both */
    if (stats.containment == 2 && run(pool, check_cgroup, NULL) != LIBPOOL_COMPLETED)
        return 4;
    if (kill(zygote, SIGKILL))
        return 5;
    for (int i = 0; i < 6; i++)
        if (run(pool, tell_zygote, NULL) != LIBPOOL_COMPLETED)
            return 6;
    return 0;
}

static int use_a_library(void *unused)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .tasks_per_worker = 2};
    (void)unused;
    for (int i = 0; i < LIBRARY_FDS; i++)
        library_fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (pthread_atfork(NULL, NULL, reopen_in_child) || libpool_open(&pool, &options))
        return 1;
    int code = check_workers(pool);
    libpool_close(pool);
    return code;
}

TEST(forks, a_library_that_closes_its_descriptors_in_children_does_no_harm)
{
    CU_ASSERT_EQUAL(hn_test_child(use_a_library, NULL, HOST_MS), TEST_EXIT(0));
}

/* Opens a file that gets the number of the worker's bell. */
static int take_number_three(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    (void)close_range(3, ~0U, 0);
    int fd = open(input, O_RDWR);
    (void)poll(NULL, 0, 20); /* the host sleeps by now, and has to be woken */
    return fd == 3 ? 0 : 1;
}

TEST(forks, nothing_is_written_into_a_file_that_has_the_bells_number)
{
    char path[] = "/tmp/libpool-bell-XXXXXX", text[8] = "";
    int file = mkstemp(path);
    CU_ASSERT_EQUAL_FATAL(write(file, "precious", 8), 8);
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_task task = {.size = sizeof task,
                         .function = take_number_three,
                         .input = path,
                         .input_size = sizeof path};
    libpool_future *future = NULL;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 20000), 0);
    libpool_future_free(future);
    CU_ASSERT_EQUAL(pread(file, text, sizeof text, 0), 8);
    CU_ASSERT_EQUAL(memcmp(text, "precious", 8), 0);
    libpool_close(pool);
    (void)close(file);
    (void)unlink(path);
}
