/* SPDX-License-Identifier: MIT */
/*
 * A zygote as the host meets it: invisible, obedient and thorough. Each test gives its workers a
 * life to lead; they ring their doorbell when they have come where the test wants them. All
 * processes of a pool bear its name, also those that escaped their parents, so whatever is left
 * can be found in /proc.
 */
#include "os/zygote.h"

#include "harness/test.h"
#include "os/file.h"
#include "sys/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 8
#define WAIT_MS 10000
#define NAMED_MAX 256

struct board;
typedef int life_story(struct board *board, uint32_t slot);

struct board { /* shared memory */
    life_story *life;
    _Atomic int numbers[16];
    char text[4096];
};

struct pool {
    struct lp_zygote_link link;
    struct lp_zygote_options options;
    struct lp_report hello;
    struct board *board;
    int doorbells[SLOTS];
    char name[16];
};

/* ---- Inside the workers ------------------------------------------------------------------ */

static void ring(void)
{
    if (write(3, &(uint64_t){1}, sizeof(uint64_t)) < 0)
        _exit(99);
}

static void live(void *context, uint32_t slot, uint32_t generation)
{
    struct board *board = context;
    (void)generation;
    _exit(board->life(board, slot));
}

static int leave_with_7(struct board *board, uint32_t slot)
{
    (void)board;
    (void)slot;
    return 7;
}

static int crash(struct board *board, uint32_t slot)
{
    (void)board;
    (void)slot;
    abort();
    return 0;
}

static int wait_for_ever(struct board *board, uint32_t slot)
{
    (void)board;
    (void)slot;
    ring();
    for (;;)
        pause();
    return 0;
}

/* ---- The host ---------------------------------------------------------------------------- */

/* The processes of this name that are not dead. How many, and the first of them. */
static int find_named(const char *name, pid_t pids[NAMED_MAX])
{
    char path[300], comm[32];
    int n = 0;
    DIR *directory = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(directory)) != NULL && n < NAMED_MAX;) {
        pid_t pid = atoi(entry->d_name);
        struct lp_file_stat stat;
        snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
        if (pid <= 0 || lp_file_read(AT_FDCWD, path, comm, sizeof(comm)) <= 0 ||
            strncmp(comm, name, strlen(name)) != 0 || lp_file_stat(pid, &stat) < 0)
            continue;
        if (stat.state != 'Z' && stat.state != 'X')
            pids[n++] = pid;
    }
    closedir(directory);
    return n;
}

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* Waits for the end of all that bears the name. How many are left after the time. */
static int wait_for_none(const char *name, int limit_ms)
{
    uint64_t deadline_ms = clock_ms() + (uint64_t)limit_ms;
    pid_t pids[NAMED_MAX];
    int n;
    while ((n = find_named(name, pids)) > 0 && clock_ms() < deadline_ms) {
        struct pollfd death = {.fd = lp_sys.pidfd_open(pids[0]), .events = POLLIN};
        if (death.fd < 0)
            continue;
        poll(&death, 1, (int)(deadline_ms - clock_ms()));
        close(death.fd);
    }
    return n;
}

static bool readable_within(int fd, int limit_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int ready;
    do
        ready = poll(&poll_fd, 1, limit_ms);
    while (ready < 0 && errno == EINTR);
    return ready == 1;
}

/* The next report; kind 0 when none comes. */
static struct lp_report next_report(struct pool *pool, int *pidfd)
{
    struct lp_report report = {0};
    int unused, got = 0;
    if (pidfd == NULL)
        pidfd = &unused;
    unused = -1;
    while ((got = lp_zygote_receive(&pool->link, &report, pidfd)) == 0)
        if (!readable_within(pool->link.socket_fd, WAIT_MS))
            break;
    if (unused >= 0)
        close(unused);
    return got == 1 ? report : (struct lp_report){0};
}

static struct lp_report expect_report(struct pool *pool, enum lp_report_kind kind, uint32_t slot)
{
    struct lp_report report = next_report(pool, NULL);
    CU_ASSERT_EQUAL(report.kind, (uint32_t)kind);
    CU_ASSERT_EQUAL(report.slot, slot);
    return report;
}

static void ask(struct pool *pool, enum lp_request_kind kind, uint32_t slot, uint32_t generation)
{
    const struct lp_request request = {(uint32_t)kind, slot, generation};
    CU_ASSERT_EQUAL(lp_zygote_send(&pool->link, &request), 0);
}

static bool wait_for_bell(const struct pool *pool, uint32_t slot)
{
    uint64_t count;
    return readable_within(pool->doorbells[slot], WAIT_MS) &&
           read(pool->doorbells[slot], &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static void set_up(struct pool *pool, life_story *life, bool use_cgroups)
{
    static uint64_t pools;
    *pool = (struct pool){.link = LP_ZYGOTE_LINK_NULL};
    snprintf(pool->name, sizeof(pool->name), "z%d", (int)getpid());
    pool->board = lp_sys.map_shared(sizeof(struct board));
    pool->board->life = life;
    for (int i = 0; i < SLOTS; i++)
        pool->doorbells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pool->options = (struct lp_zygote_options){.slots = SLOTS,
                                               .doorbell_fds = pool->doorbells,
                                               .worker_main = live,
                                               .context = pool->board,
                                               .name = pool->name,
                                               .pool_id = ++pools,
                                               .use_cgroups = use_cgroups};
}

static void open_pool(struct pool *pool, life_story *life, bool use_cgroups)
{
    set_up(pool, life, use_cgroups);
    CU_ASSERT_EQUAL(lp_zygote_start(&pool->link, &pool->options), 0);
    pool->hello = expect_report(pool, LP_REPORT_HELLO, 0);
    CU_ASSERT_EQUAL(pool->hello.pid, pool->link.pid);
}

static void release(struct pool *pool)
{
    lp_zygote_drop(&pool->link);
    for (int i = 0; i < SLOTS; i++)
        close(pool->doorbells[i]);
    munmap(pool->board, sizeof(struct board));
}

/* Asks the zygote to leave; nothing of the pool may be left then. */
static void close_pool(struct pool *pool)
{
    ask(pool, LP_REQUEST_QUIT, 0, 0);
    CU_ASSERT(readable_within(pool->link.pid_fd, WAIT_MS));
    CU_ASSERT_EQUAL(wait_for_none(pool->name, 0), 0);
    release(pool);
}

/* ---- Births and deaths ------------------------------------------------------------------- */

static void tell_an_exit(bool use_cgroups)
{
    struct pool pool;
    open_pool(&pool, leave_with_7, use_cgroups);
    ask(&pool, LP_REQUEST_SPAWN, 3, 11);
    int pidfd = -1;
    struct lp_report spawned = next_report(&pool, &pidfd);
    CU_ASSERT_EQUAL(spawned.kind, LP_REPORT_SPAWNED);
    CU_ASSERT_EQUAL(spawned.slot, 3);
    CU_ASSERT_EQUAL(spawned.generation, 11);
    CU_ASSERT(pidfd >= 0 && readable_within(pidfd, WAIT_MS));
    CU_ASSERT_EQUAL(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
    struct lp_report exited = expect_report(&pool, LP_REPORT_EXITED, 3);
    CU_ASSERT_EQUAL(exited.pid, spawned.pid);
    CU_ASSERT_EQUAL(exited.generation, 11);
    CU_ASSERT_EQUAL(exited.code, 7);
    CU_ASSERT_EQUAL(exited.signal, 0);
    CU_ASSERT(exited.max_rss_kib > 0);
    expect_report(&pool, LP_REPORT_EMPTY, 3);
    close(pidfd);
    close_pool(&pool);
}

TEST(zygote, tells_the_exit_code_of_a_worker)
{
    tell_an_exit(false);
    tell_an_exit(true);
}

TEST(zygote, tells_the_signal_that_a_worker_died_of)
{
    struct pool pool;
    open_pool(&pool, crash, true);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, 0);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_EXITED, 0).signal, SIGABRT);
    expect_report(&pool, LP_REPORT_EMPTY, 0);
    close_pool(&pool);
}

TEST(zygote, kills_only_the_generation_meant)
{
    struct pool pool;
    open_pool(&pool, wait_for_ever, true);
    ask(&pool, LP_REQUEST_SPAWN, 1, 5);
    expect_report(&pool, LP_REPORT_SPAWNED, 1);
    CU_ASSERT(wait_for_bell(&pool, 1));
    ask(&pool, LP_REQUEST_KILL, 1, 4);
    ask(&pool, LP_REQUEST_SPAWN, 1, 6); /* answered behind the kill that must not have happened */
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_SPAWN_FAILED, 1).error, -EBUSY);
    ask(&pool, LP_REQUEST_KILL, 1, 5);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_EXITED, 1).signal, SIGKILL);
    expect_report(&pool, LP_REPORT_EMPTY, 1);
    close_pool(&pool);
}
