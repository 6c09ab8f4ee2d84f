/* SPDX-License-Identifier: MIT */
/* The last words of workers: whose they are, that all are there, that nobody can make them a burden. */
#include <libpool.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"
#include "os/tail.h"
#include "start_rig.h"
#include "sys/sys.h"

#define DEADLINE_MS 20000
#define MIB (UINT64_C(1) << 20)

/* ---- tasks ---------------------------------------------------------------------------------- */

static int print(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker;
    return write(STDOUT_FILENO, input, size) == (ssize_t)size ? 0 : errno;
}

static int print_and_crash(libpool_worker *worker, const void *input, size_t size)
{
    (void)printf("a line\nand the beginning of one"); /* which is lost: stdio had it */
    if (write(STDERR_FILENO, "error ", 6) != 6)
        return errno;
    return print(worker, input, size) ? errno : raise(SIGSEGV);
}

static int print_and_fail(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker;
    if (size)
        (void)fwrite(input, 1, size, stdout); /* not a line: it is seen all the same */
    return 1;
}

static int print_and_leave(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker;
    (void)fwrite(input, 1, size, stdout);
    exit(3);
}

static int print_and_hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)print(worker, input, size);
    for (;;)
        (void)pause();
    return 0;
}

static int let_a_child_print(libpool_worker *worker, const void *input, size_t size)
{
    pid_t child = fork();
    if (child == 0)
        _exit(print(worker, input, size));
    if (child < 0 || waitpid(child, NULL, 0) != child)
        return errno;
    return raise(SIGKILL);
}

/* So many MiB, each 64 KiB ending with its number; then it crashes, or says so and waits if it is to. */
static int print_much(libpool_worker *worker, const void *input, size_t size)
{
    static char block[65536 + 8];
    const uint64_t *mib = input;
    (void)size;
    memset(block, 'x', 65536);
    for (unsigned n = 1; n <= mib[0] * 16; n++) {
        (void)snprintf(block + 65536 - 8, 9, "%07u\n", n);
        if (write(STDOUT_FILENO, block, 65536) != 65536)
            return errno;
    }
    (void)libpool_worker_progress(worker, 1, 1, NULL);
    while (mib[1])
        (void)pause();
    return raise(SIGSEGV);
}

/* Makes of its output what it can: cut off, huge, sealed, another file. */
static int abuse(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    switch (*(const int *)input) {
    case 0: (void)ftruncate(STDOUT_FILENO, 0); break;
    case 1: (void)ftruncate(STDOUT_FILENO, LLONG_MAX); break;
    case 2:
        if (fcntl(STDOUT_FILENO, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
            return 1;
        break;
    case 3: (void)close_range(0, 2, 0); break;
    default: (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
    }
    return raise(SIGKILL);
}

/* The next task writes to the old place, if it is still there. */
static int leave_null(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    return fd >= 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2 ? 0 : errno;
}

/* ---- helpers -------------------------------------------------------------------------------- */

static const libpool_outfit kept = {.size = sizeof kept,
                                    .stdio = {[1] = LIBPOOL_STDIO_TAIL, [2] = LIBPOOL_STDIO_TAIL}};

static libpool *open_pool(uint32_t flags, uint32_t bytes)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .flags = flags,
                               .max_workers = 1,
                               .workers_limit = 2,
                               .outfit = &kept,
                               .tail_bytes = bytes};
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_future *submit(libpool *pool, libpool_task_function *function, const void *input,
                              size_t size, uint32_t run_timeout_ms)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = function,
                         .input = input,
                         .input_size = size,
                         .run_timeout_ms = run_timeout_ms};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

static bool ends_with(libpool_future *future, libpool_cause cause, const char *tail)
{
    if (libpool_future_wait(future, DEADLINE_MS))
        return false;
    const libpool_result *result = libpool_future_result(future);
    size_t size = tail ? strlen(tail) : 0;
    bool same = result->cause == cause && result->tail_size == size && !result->tail == !size &&
                (!size || memcmp(result->tail, tail, size) == 0);
    if (!same)
        (void)fprintf(stderr, "%s, %zu bytes: %.*s\n", libpool_cause_name(result->cause),
                      result->tail_size, (int)result->tail_size, (const char *)result->tail);
    libpool_future_free(future);
    return same;
}

static bool run(libpool *pool, libpool_task_function *function, const char *text,
                libpool_cause cause, const char *tail)
{
    return ends_with(submit(pool, function, text, strlen(text), 300), cause, tail);
}

/* Memory of all such files that this process has; by name, as a thread may be closing the one looked at. */
static uint64_t held_bytes(void)
{
    char link[300];
    uint64_t bytes = 0;
    DIR *directory = opendir("/proc/self/fd");
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        struct stat file;
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, link, sizeof link - 1);
        link[length > 0 ? length : 0] = 0;
        if (strstr(link, "memfd:tail") && fstatat(dirfd(directory), entry->d_name, &file, 0) == 0)
            bytes += (uint64_t)file.st_blocks * 512;
    }
    if (directory)
        (void)closedir(directory);
    return bytes;
}

/* ---- whose it is ------------------------------------------------------------------------------- */

TEST(tails, what_a_task_wrote_before_it_failed_is_in_its_result)
{
    libpool *pool = open_pool(0, 0);
    CU_ASSERT_TRUE(run(pool, print_and_crash, "and out", LIBPOOL_CRASH, "a line\nerror and out"));
    CU_ASSERT_TRUE(run(pool, print_and_fail, "no line", LIBPOOL_ERROR, "no line"));
    CU_ASSERT_TRUE(run(pool, print_and_leave, "bye", LIBPOOL_EXIT, "bye"));
    CU_ASSERT_TRUE(run(pool, print_and_hang, "wait", LIBPOOL_TIMEOUT, "wait"));
    CU_ASSERT_TRUE(run(pool, let_a_child_print, "a child's", LIBPOOL_KILLED, "a child's"));
    CU_ASSERT_TRUE(run(pool, print_and_fail, "", LIBPOOL_ERROR, NULL));
    libpool_close(pool);
}

TEST(tails, a_task_has_nothing_of_those_before_it)
{
    libpool *pool = open_pool(0, 0);
    CU_ASSERT_TRUE(run(pool, print, "one", LIBPOOL_COMPLETED, NULL));
    CU_ASSERT_TRUE(run(pool, print_and_fail, "two", LIBPOOL_ERROR, "two"));
    CU_ASSERT_TRUE(run(pool, print, "three", LIBPOOL_COMPLETED, NULL));
    CU_ASSERT_TRUE(run(pool, print_and_crash, ".", LIBPOOL_CRASH, "a line\nerror ."));
    CU_ASSERT_TRUE(run(pool, print_and_crash, "", LIBPOOL_CRASH, "a line\nerror "));
    libpool_close(pool);
}

TEST(tails, those_that_were_sent_ahead_have_their_own)
{
    enum {
        TASKS = 2000
    };
    static libpool_task tasks[TASKS];
    static libpool_future *futures[TASKS];
    static char texts[TASKS][8];
    libpool *pool = open_pool(0, 0);
    CU_ASSERT_TRUE(run(pool, print, "", LIBPOOL_COMPLETED, NULL)); /* a worker is there */
    for (int i = 0; i < TASKS; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%d.", i);
        tasks[i] = (libpool_task){.size = sizeof tasks[i],
                                  .function = i % 3 ? print : print_and_fail,
                                  .input = texts[i],
                                  .input_size = strlen(texts[i])};
    }
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, TASKS, -1, futures), TASKS);
    int wrong = 0;
    for (int i = 0; i < TASKS; i++)
        wrong += !ends_with(futures[i], i % 3 ? LIBPOOL_COMPLETED : LIBPOOL_ERROR,
                            i % 3 ? NULL : texts[i]);
    CU_ASSERT_EQUAL(wrong, 0);
    libpool_close(pool);
}

TEST(tails, a_spawned_worker_has_one_too)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .start = LIBPOOL_SPAWN,
                               .zygote_path = lp_rig_beside_us("libpool-zygote"),
                               .max_workers = 1,
                               .outfit = &kept};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .object = lp_rig_beside_us("test_object.so"),
                         .symbol = "test_print",
                         .input = "spawned",
                         .input_size = 7};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_TRUE(ends_with(future, LIBPOOL_KILLED, "spawned"));
    libpool_close(pool);
}

TEST(tails, each_stream_is_kept_or_not)
{
    libpool *pool = NULL;
    libpool_outfit one = kept;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .outfit = &one};
    one.stdio[1] = LIBPOOL_STDIO_NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_TRUE(run(pool, print_and_crash, "out", LIBPOOL_CRASH, "error "));
    libpool_close(pool);
}

TEST(tails, a_later_outfit_may_have_it_if_that_was_said)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1};
    libpool_outfit wrong = kept;
    wrong.stdio[0] = LIBPOOL_STDIO_TAIL;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &kept), -EINVAL);
    libpool_close(pool);
    options.tail_bytes = 5;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &wrong), -EINVAL);
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &kept), 0);
    CU_ASSERT_TRUE(run(pool, print_and_leave, "0123456789", LIBPOOL_EXIT, "56789"));
    libpool_close(pool);
    options.tail_bytes = (1 << 20) + 1;
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
}

/* ---- how much ---------------------------------------------------------------------------------- */

/* The most that was held while it ran. */
static uint64_t watch_held(libpool_future *future)
{
    uint64_t most_bytes = 0, bytes;
    while (libpool_future_wait(future, 1) == -ETIMEDOUT)
        if ((bytes = held_bytes()) > most_bytes)
            most_bytes = bytes;
    return most_bytes;
}

TEST(tails, of_a_gigabyte_the_last_64_kib_stay_and_the_rest_is_given_back)
{
    static char last[65536];
    memset(last, 'x', sizeof last);
    memcpy(last + sizeof last - 8, "0016384\n", 8);
    libpool *pool = open_pool(0, sizeof last);
    const uint64_t mib[2] = {1024, 0};
    libpool_future *future = submit(pool, print_much, mib, sizeof mib, 0);
    uint64_t most_bytes = watch_held(future);
    CU_ASSERT(most_bytes < 512 * MIB); /* or nobody has given it back meanwhile */
    const libpool_result *result = libpool_future_result(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_CRASH);
    CU_ASSERT_EQUAL_FATAL(result->tail_size, sizeof last);
    CU_ASSERT_EQUAL(memcmp(result->tail, last, sizeof last), 0);
    libpool_future_free(future);
    libpool_close(pool);
    CU_ASSERT_EQUAL(held_bytes(), 0);
}

static bool is_small(void)
{
    for (int ms = 0; held_bytes() > 2 * MIB && ms < DEADLINE_MS; ms++)
        (void)poll(NULL, 0, 1);
    return held_bytes() <= 2 * MIB;
}

/* Nobody has to drive for it where the application drives. */
static void give_back_while_it_runs(uint32_t flags)
{
    libpool *pool = open_pool(flags, 0);
    const uint64_t mib[2] = {64, 1};
    libpool_progress progress = {.size = sizeof progress};
    CU_ASSERT_TRUE(run(pool, print, "", LIBPOOL_COMPLETED, NULL)); /* an idle worker gets it */
    libpool_future *future = submit(pool, print_much, mib, sizeof mib, 0);
    while (libpool_future_progress(future, &progress))
        CU_ASSERT_EQUAL(libpool_future_wait(future, 5), -ETIMEDOUT);
    CU_ASSERT_TRUE(is_small());
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_KILLED);
    CU_ASSERT_EQUAL(libpool_future_result(future)->tail_size, 4096);
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(tails, what_is_old_is_given_back_while_the_task_runs)
{
    give_back_while_it_runs(0);
    give_back_while_it_runs(LIBPOOL_NO_THREAD);
}

/* ---- who would make it a burden ------------------------------------------------------------------ */

TEST(tails, what_a_worker_does_to_its_file_is_its_own_loss)
{
    libpool *pool = open_pool(0, 0);
    for (int how = 0; how < 5; how++) {
        libpool_future *future = submit(pool, abuse, &how, sizeof how, 0);
        CU_ASSERT_EQUAL(libpool_future_wait(future, DEADLINE_MS), 0);
        CU_ASSERT_EQUAL(libpool_future_result(future)->cause, LIBPOOL_KILLED);
        libpool_future_free(future);
        CU_ASSERT_TRUE(run(pool, print_and_leave, "next", LIBPOOL_EXIT, "next"));
    }
    CU_ASSERT_TRUE(run(pool, print, "old", LIBPOOL_COMPLETED, NULL));
    CU_ASSERT_TRUE(run(pool, leave_null, "", LIBPOOL_COMPLETED, NULL));
    CU_ASSERT_TRUE(run(pool, print_and_leave, "lost", LIBPOOL_EXIT, NULL));
    CU_ASSERT_TRUE(run(pool, print_and_leave, "seen", LIBPOOL_EXIT, "seen"));
    libpool_close(pool);
}

/* Memory that its size does not tell of. It stays as long as nobody gives it back. */
static int reserve(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    for (int i = 0; i < 2; i++) {
        if (fallocate(STDOUT_FILENO, FALLOC_FL_KEEP_SIZE, 0, (off_t)(8 * MIB)))
            return errno;
        (void)libpool_worker_progress(worker, 1, 1, NULL);
        struct stat file = {.st_blocks = 1};
        while (fstat(STDOUT_FILENO, &file) == 0 && file.st_blocks != 0)
            (void)poll(NULL, 0, 1);
        if (ftruncate(STDOUT_FILENO, (off_t)1 << 60) || ftruncate(STDOUT_FILENO, 0))
            return errno;
    }
    return 0;
}

TEST(tails, what_a_worker_reserves_is_taken_from_it)
{
    libpool *pool = open_pool(0, 0);
    CU_ASSERT_TRUE(ends_with(submit(pool, reserve, NULL, 0, 5000), LIBPOOL_COMPLETED, NULL));
    libpool_close(pool);
}

static int reserve_and_leave(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    exit(fallocate(STDOUT_FILENO, FALLOC_FL_KEEP_SIZE, 0, (off_t)MIB));
}

/* Less than what would be cut, and no other worker comes into its slot. */
TEST(tails, nothing_stays_of_a_worker_that_is_gone)
{
    libpool *pool = open_pool(0, 0);
    CU_ASSERT_TRUE(run(pool, reserve_and_leave, "", LIBPOOL_EXIT, NULL));
    CU_ASSERT_TRUE(run(pool, print_and_leave, "bye", LIBPOOL_EXIT, "bye"));
    for (int ms = 0; held_bytes() > 0 && ms < DEADLINE_MS; ms++)
        (void)poll(NULL, 0, 1);
    CU_ASSERT_EQUAL(held_bytes(), 0);
    libpool_close(pool);
}

static int hold_much(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)fallocate(STDOUT_FILENO, FALLOC_FL_KEEP_SIZE, 0, (off_t)(64 * MIB));
    return 0;
}

/* As one that waits for a writer for as long as that lives. */
static int cut_nothing(int fd, off_t from, off_t size)
{
    (void)fd, (void)from, (void)size;
    return 0;
}

/* The rest of the worker is far from it. */
TEST(tails, they_count_where_a_limit_is_sampled)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .flags = LIBPOOL_NO_CGROUP,
                               .max_workers = 1,
                               .memory_limit_bytes = 48 * MIB,
                               .outfit = &kept};
    lp_sys.punch_hole = cut_nothing;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_TRUE(ends_with(submit(pool, hold_much, NULL, 0, 5000), LIBPOOL_MEMORY, NULL));
    libpool_close(pool);
    lp_sys.punch_hole = lp_sys_kernel.punch_hole;
}

/* As when the file is made empty just before it is read. */
static ssize_t find_nothing(int fd, void *data, size_t size, off_t offset)
{
    (void)fd, (void)data, (void)size, (void)offset;
    return 0;
}

TEST(tails, a_file_that_is_empty_when_it_is_read_is_no_tail)
{
    libpool *pool = open_pool(0, 0);
    lp_sys.pread = find_nothing;
    CU_ASSERT_TRUE(run(pool, print_and_leave, "lost", LIBPOOL_EXIT, NULL));
    lp_sys.pread = lp_sys_kernel.pread;
    CU_ASSERT_TRUE(run(pool, print_and_leave, "seen", LIBPOOL_EXIT, "seen"));
    libpool_close(pool);
}

static atomic_bool cutting, may_cut;

/* As one that waits for a writer who never lets go of the file. */
static int cut_late(int fd, off_t from, off_t size)
{
    atomic_store(&cutting, true);
    while (!atomic_load(&may_cut))
        (void)sched_yield();
    return lp_sys_kernel.punch_hole(fd, from, size);
}

static void hold_the_file(uint32_t flags)
{
    libpool *pool = open_pool(flags, 0);
    const uint64_t mib[2] = {8, 1};
    libpool_stats stats = {.size = sizeof stats};
    atomic_store(&cutting, false);
    atomic_store(&may_cut, false);
    lp_sys.punch_hole = cut_late;
    CU_ASSERT_EQUAL(libpool_resize(pool, 2, 2), 0);
    libpool_future *future = submit(pool, print_much, mib, sizeof mib, 0);
    while (!atomic_load(&cutting))
        CU_ASSERT_EQUAL(libpool_future_wait(future, 1), -ETIMEDOUT);
    CU_ASSERT_TRUE(run(pool, print_and_hang, "late", LIBPOOL_TIMEOUT, "late"));
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_KILLED);
    atomic_store(&may_cut, true);
    libpool_close(pool);
    lp_sys.punch_hole = lp_sys_kernel.punch_hole;
    libpool_future_free(future);
}

TEST(tails, a_writer_who_holds_its_file_holds_nobody_else)
{
    hold_the_file(0);
    hold_the_file(LIBPOOL_NO_THREAD);
}

static int print_a_lot(libpool_worker *worker, const void *input, size_t size)
{
    char line[4096];
    (void)worker, (void)input, (void)size;
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 1024; i++)
        (void)!write(STDERR_FILENO, line, sizeof line);
    (void)poll(NULL, 0, 100); /* what is old is given back meanwhile */
    return 0;
}

/* As a shell does it for "echo hello > /dev/stderr". */
static int empty_it(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    int fd = open("/dev/stderr", O_WRONLY | O_TRUNC | O_CLOEXEC);
    return write(fd, "hello\n", 6) == 6 ? 7 : 0;
}

TEST(tails, a_shell_that_empties_the_file_costs_nobody_its_last_words)
{
    libpool *pool = open_pool(0, 0);
    CU_ASSERT_TRUE(ends_with(submit(pool, print_a_lot, NULL, 0, 0), LIBPOOL_COMPLETED, NULL));
    CU_ASSERT_TRUE(ends_with(submit(pool, empty_it, NULL, 0, 0), LIBPOOL_ERROR, "hello\n"));
    for (int i = 0; i < 2; i++)
        CU_ASSERT_TRUE(ends_with(submit(pool, print_and_fail, "abc", 3, 0), LIBPOOL_ERROR, "abc"));
    libpool_close(pool);
}
