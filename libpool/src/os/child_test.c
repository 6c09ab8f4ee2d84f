/* SPDX-License-Identifier: MIT */
/* What comes from a terminal is the application's: ^C, ^\ and the hang-up, on a real one. */
#include "os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include <libpool.h>

#include "harness/test.h"
#include "sys/sys.h"

#define WAIT_MS 15000
#define TASKS 2

/* Host, tasks and typist; each word is a futex that one side sets and another waits for. */
struct stage {
    _Atomic uint32_t running;       /* tasks that have begun */
    _Atomic uint32_t ready;         /* the host can be typed at */
    _Atomic uint32_t signals[NSIG]; /* that the host has got */
    _Atomic uint32_t over;          /* tasks may end */
    char terminal[64];
    int typists_end;
};

static struct stage *stage;

static bool wait_for(_Atomic uint32_t *word, uint32_t value)
{
    uint32_t now;
    int error = 0;
    while ((now = atomic_load(word)) != value && error != -ETIMEDOUT)
        error = lp_sys.futex_wait(word, now, WAIT_MS);
    return now == value;
}

static void announce(_Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    (void)lp_sys.futex_wake(word);
}

/* ---- the host --------------------------------------------------------------------------------- */

/* A worker has every signal at its default: each of those typed would be the end of it. */
static int last(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    announce(&stage->running);
    return wait_for(&stage->over, 1) ? 0 : 1;
}

static void count_signal(int number)
{
    announce(&stage->signals[number]);
}

static int take_terminal(void)
{
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
    (void)close(stage->typists_end); /* else it never hangs up */
    if (setsid() < 0)
        return -1;
    int fd = open(stage->terminal, O_RDWR);
    for (int number = 0; number < 3; number++)
        (void)dup2(fd, number);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGQUIT, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    return ioctl(fd, TIOCSCTTY, 0);
}

static int end_well(libpool *pool, libpool_future **futures)
{
    int code = 0;
    (void)wait_for(&stage->signals[SIGHUP], 1);
    atomic_store(&stage->over, 1);
    for (int i = 0; i < TASKS; i++) {
        (void)lp_sys.futex_wake(&stage->over);
        if (libpool_future_wait(futures[i], WAIT_MS) ||
            libpool_future_result(futures[i])->cause != LIBPOOL_COMPLETED)
            code = 3;
        libpool_future_free(futures[i]);
    }
    libpool_close(pool);
    return code;
}

static int be_host(void *outfit)
{
    libpool *pool;
    libpool_future *futures[TASKS];
    libpool_task task = {.size = sizeof task, .function = last};
    libpool_options options = {.size = sizeof options, .max_workers = TASKS, .outfit = outfit};
    if (take_terminal() < 0 || libpool_open(&pool, &options) < 0)
        return 1;
    for (int i = 0; i < TASKS; i++)
        if (libpool_submit(pool, &task, -1, &futures[i]) < 0)
            return 2;
    if (!wait_for(&stage->running, TASKS))
        return 4;
    announce(&stage->ready);
    return end_well(pool, futures);
}

/* ---- who types -------------------------------------------------------------------------------- */

static void *type(void *terminal)
{
    int fd = *(int *)terminal;
    bool typed = wait_for(&stage->ready, 1) && write(fd, "\x03", 1) == 1 &&
                 wait_for(&stage->signals[SIGINT], 1) && write(fd, "\x1c", 1) == 1 &&
                 wait_for(&stage->signals[SIGQUIT], 1);
    (void)close(fd); /* hangs up */
    return typed ? terminal : NULL;
}

static int open_terminal(void)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || grantpt(fd) || unlockpt(fd) ||
        ptsname_r(fd, stage->terminal, sizeof stage->terminal))
        return -1;
    return fd;
}

static void type_at_a_host(libpool_outfit *outfit)
{
    pthread_t typist;
    void *typed = NULL;
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("ThreadSanitizer keeps a handled signal back in a forked process");
    stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(stage != MAP_FAILED);
    int fd = open_terminal();
    if (fd < 0)
        TEST_SKIP("there is no terminal to be had");
    stage->typists_end = fd;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&typist, NULL, type, &fd), 0);
    CU_ASSERT_EQUAL(hn_test_child(be_host, outfit, 3 * WAIT_MS), TEST_EXIT(0));
    CU_ASSERT_EQUAL(pthread_join(typist, &typed), 0);
    CU_ASSERT_PTR_NOT_NULL(typed);
    CU_ASSERT_EQUAL(stage->signals[SIGINT], 1);
    CU_ASSERT_EQUAL(stage->signals[SIGQUIT], 1);
    CU_ASSERT_EQUAL(stage->signals[SIGHUP], 1);
    (void)munmap(stage, sizeof *stage);
}

TEST_WITHIN(child, a_terminals_signals_reach_the_host_only, 60000)
{
    libpool_outfit outfit = {.size = sizeof outfit, .stdio = {LIBPOOL_STDIO_INHERIT}};
    type_at_a_host(NULL);
    type_at_a_host(&outfit); /* the terminal is open in the workers, too */
}
