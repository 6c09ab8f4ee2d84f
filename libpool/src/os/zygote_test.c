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

/* ---- The host is left alone -------------------------------------------------------------- */

static _Atomic int sigchlds;

static void count_sigchld(int number)
{
    (void)number;
    sigchlds++;
}

TEST(zygote, is_invisible_to_wait_and_sigchld)
{
    struct sigaction action = {.sa_handler = count_sigchld}, before;
    sigchlds = 0;
    sigaction(SIGCHLD, &action, &before);
    struct pool pool;
    open_pool(&pool, leave_with_7, true);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    CU_ASSERT_EQUAL(errno, ECHILD);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, 0);
    expect_report(&pool, LP_REPORT_EXITED, 0);
    expect_report(&pool, LP_REPORT_EMPTY, 0);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    CU_ASSERT_EQUAL(errno, ECHILD);
    close_pool(&pool);
    CU_ASSERT_EQUAL(sigchlds, 0);
    sigaction(SIGCHLD, &before, NULL);
}

TEST(zygote, starts_where_sigchld_is_ignored)
{
    struct sigaction action = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGCHLD, &action, &before);
    tell_an_exit(true);
    sigaction(SIGCHLD, &before, NULL);
}

TEST(zygote, start_leaves_mask_and_errno_as_they_were)
{
    sigset_t before, after, mine;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR1);
    sigprocmask(SIG_SETMASK, &mine, &before);
    errno = 4711;
    struct pool pool;
    set_up(&pool, leave_with_7, true);
    errno = 4711;
    CU_ASSERT_EQUAL(lp_zygote_start(&pool.link, &pool.options), 0);
    CU_ASSERT_EQUAL(errno, 4711);
    sigprocmask(SIG_SETMASK, &before, &after);
    for (int number = 1; number < NSIG; number++)
        CU_ASSERT_EQUAL(sigismember(&after, number), sigismember(&mine, number));
    expect_report(&pool, LP_REPORT_HELLO, 0);
    close_pool(&pool);
}

/* A thread that reaps whatever it can, as some libraries do. */
static void *steal_children(void *arg)
{
    _Atomic bool *stop = arg;
    while (!*stop)
        if (waitpid(-1, NULL, __WALL) < 0)
            sched_yield();
    return NULL;
}

TEST(zygote, starts_beside_a_thief_of_children)
{
    _Atomic bool stop = false;
    pthread_t thief;
    pthread_create(&thief, NULL, steal_children, &stop);
    for (int i = 0; i < 20; i++)
        tell_an_exit(i % 2 == 0);
    stop = true;
    pthread_join(thief, NULL);
}

/* ---- A host with threads ----------------------------------------------------------------- */

static void *churn(void *arg)
{
    _Atomic bool *stop = arg;
    char line[64];
    void *kept[16] = {NULL};
    FILE *file = fopen("/dev/null", "w");
    for (unsigned i = 0; !*stop; i++) {
        free(kept[i % 16]);
        kept[i % 16] = malloc(16 + i * 37 % 5000);
        snprintf(line, sizeof(line), "%u\n", i);
        fputs(line, file);
    }
    for (int i = 0; i < 16; i++)
        free(kept[i]);
    fclose(file);
    return NULL;
}

/* Uses what a thread of the host could have held locked at the birth of the zygote. */
static int use_libc(struct board *board, uint32_t slot)
{
    (void)board;
    for (size_t size = 1; size < 200000; size = size * 2 + slot)
        free(malloc(size));
    FILE *file = fopen("/dev/null", "w");
    fprintf(file, "%u\n", slot);
    return fclose(file) == 0 ? 7 : 8;
}

static void run_one_worker(uint32_t slot)
{
    struct pool pool;
    open_pool(&pool, use_libc, false);
    ask(&pool, LP_REQUEST_SPAWN, slot, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, slot);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_EXITED, slot).code, 7);
    expect_report(&pool, LP_REPORT_EMPTY, slot);
    close_pool(&pool);
}

TEST(zygote, has_a_working_libc_though_threads_of_the_host_allocate)
{
    _Atomic bool stop = false;
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, churn, &stop);
    for (uint32_t i = 0; i < 30; i++)
        run_one_worker(i % SLOTS);
    stop = true;
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
}

static void *open_in_thread(void *arg)
{
    open_pool(arg, wait_for_ever, true);
    return NULL;
}

TEST(zygote, outlives_the_thread_that_started_it)
{
    struct pool pool;
    pthread_t thread;
    pthread_create(&thread, NULL, open_in_thread, &pool);
    pthread_join(thread, NULL);
    ask(&pool, LP_REQUEST_SPAWN, 2, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, 2);
    CU_ASSERT(wait_for_bell(&pool, 2));
    ask(&pool, LP_REQUEST_KILL, 2, 1);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_EXITED, 2).signal, SIGKILL);
    expect_report(&pool, LP_REPORT_EMPTY, 2);
    close_pool(&pool);
}

/* ---- What a worker has ------------------------------------------------------------------- */

static int list_fds(struct board *board, uint32_t slot)
{
    (void)slot;
    char path[64], target[200];
    struct pollfd any;
    size_t length = 0;
    for (int fd = 0; fd < 4096; fd++) {
        any = (struct pollfd){.fd = fd};
        if (poll(&any, 1, 0) != 0 && (any.revents & POLLNVAL) != 0)
            continue;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t got = readlink(path, target, sizeof(target) - 1);
        target[got > 0 ? got : 0] = '\0';
        length += (size_t)snprintf(board->text + length, sizeof(board->text) - length, "%d=%s;", fd,
                                   fd == 1 || fd == 2 ? "host" : target);
    }
    board->numbers[0] = fcntl(3, F_GETFD);
    return 0;
}

TEST(zygote, worker_has_no_descriptor_but_its_own)
{
    struct pool pool;
    int strangers[] = {open("/dev/null", O_RDONLY), eventfd(0, 0), dup2(0, 500), dup2(1, 900)};
    open_pool(&pool, list_fds, true);
    ask(&pool, LP_REQUEST_SPAWN, 5, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, 5);
    expect_report(&pool, LP_REPORT_EXITED, 5);
    expect_report(&pool, LP_REPORT_EMPTY, 5);
    CU_ASSERT_STRING_EQUAL(pool.board->text, "0=/dev/null;1=host;2=host;3=anon_inode:[eventfd];");
    CU_ASSERT_EQUAL(pool.board->numbers[0], FD_CLOEXEC);
    close_pool(&pool);
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++)
        close(strangers[i]);
}

static int ring_three_times(struct board *board, uint32_t slot)
{
    (void)board;
    (void)slot;
    for (int i = 0; i < 3; i++)
        ring();
    return 0;
}

/* Doorbells in any order, and where the zygote's own descriptors are to stand. */
TEST(zygote, each_worker_rings_its_own_doorbell)
{
    struct pool pool;
    set_up(&pool, ring_three_times, false);
    int doorbells[SLOTS];
    for (int i = 0; i < SLOTS; i++)
        doorbells[i] = fcntl(pool.doorbells[SLOTS - 1 - i], F_DUPFD_CLOEXEC, i % 2 ? 3 : 700);
    for (int i = 0; i < SLOTS; i++)
        close(pool.doorbells[i]);
    memcpy(pool.doorbells, doorbells, sizeof(doorbells));
    CU_ASSERT_EQUAL(lp_zygote_start(&pool.link, &pool.options), 0);
    expect_report(&pool, LP_REPORT_HELLO, 0);
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint64_t count = 0;
        ask(&pool, LP_REQUEST_SPAWN, i, 1);
        expect_report(&pool, LP_REPORT_SPAWNED, i);
        expect_report(&pool, LP_REPORT_EXITED, i);
        expect_report(&pool, LP_REPORT_EMPTY, i);
        CU_ASSERT(read(pool.doorbells[i], &count, sizeof(count)) > 0);
        CU_ASSERT_EQUAL(count, 3);
    }
    close_pool(&pool);
}

static int look_at_self(struct board *board, uint32_t slot)
{
    (void)slot;
    char number[16];
    lp_file_read(AT_FDCWD, "/proc/self/status", board->text, sizeof(board->text));
    lp_file_read(AT_FDCWD, "/proc/self/oom_score_adj", number, sizeof(number));
    int subreaper = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
    board->numbers[0] = atoi(number);
    board->numbers[1] = getsid(0) == getpid();
    board->numbers[2] = subreaper;
    board->numbers[3] = sched_getcpu();
    return 0;
}

static void run_to_its_end(struct pool *pool, uint32_t slot)
{
    ask(pool, LP_REQUEST_SPAWN, slot, 1);
    expect_report(pool, LP_REPORT_SPAWNED, slot);
    CU_ASSERT_EQUAL(expect_report(pool, LP_REPORT_EXITED, slot).signal, 0);
    expect_report(pool, LP_REPORT_EMPTY, slot);
}

TEST(zygote, worker_begins_clean_whatever_the_host_has_set)
{
    sigset_t all, before;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old[3];
    const int numbers[] = {SIGTERM, SIGPIPE, SIGRTMIN + 3};
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < 3; i++)
        sigaction(numbers[i], &ignore, &old[i]);
    struct pool pool;
    open_pool(&pool, look_at_self, true);
    for (int i = 0; i < 3; i++)
        sigaction(numbers[i], &old[i], NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    run_to_its_end(&pool, 6);
    char name[32];
    snprintf(name, sizeof(name), "Name:\t%s:6\n", pool.name);
    CU_ASSERT_PTR_NOT_NULL(strstr(pool.board->text, name));
    CU_ASSERT_PTR_NOT_NULL(strstr(pool.board->text, "SigBlk:\t0000000000000000\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(pool.board->text, "SigIgn:\t0000000000000000\n"));
    CU_ASSERT(pool.board->numbers[0] >= 500);
    CU_ASSERT_EQUAL(pool.board->numbers[1], 1);
    CU_ASSERT_EQUAL(pool.board->numbers[2], 1);
    close_pool(&pool);
}

TEST(zygote, worker_knows_its_cpu)
{
    cpu_set_t before, one;
    sched_getaffinity(0, sizeof(before), &before);
    struct pool pool;
    open_pool(&pool, look_at_self, false);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &before))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(pool.link.pid, sizeof(one), &one);
        run_to_its_end(&pool, 0);
        CU_ASSERT_EQUAL(pool.board->numbers[3], (int)cpu);
    }
    close_pool(&pool);
}

TEST(zygote, long_names_keep_their_end)
{
    struct pool pool;
    set_up(&pool, look_at_self, false);
    pool.options.name = "a-name-that-is-too-long-for-the-kernel";
    CU_ASSERT_EQUAL(lp_zygote_start(&pool.link, &pool.options), 0);
    expect_report(&pool, LP_REPORT_HELLO, 0);
    run_to_its_end(&pool, 7);
    CU_ASSERT_PTR_NOT_NULL(strstr(pool.board->text, "Name:\ta-name-that-i:7\n"));
    close_pool(&pool);
}

/* ---- Trees ------------------------------------------------------------------------------- */

static void ignore_all(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_IGN);
}

static void stay(void)
{
    for (;;)
        pause();
}

/* A process that says that it has come so far, by the slot's doorbell, and stays. */
static void ring_and_stay(void)
{
    ring();
    stay();
}

static void daemonize(void)
{
    setsid();
    if (fork() != 0)
        _exit(0);
    setsid();
    ignore_all();
    ring_and_stay();
}

static void stop_oneself(void)
{
    if (fork() == 0)
        ring_and_stay();
    raise(SIGSTOP);
    stay();
}

/* No longer a sub-reaper between its orphans and the zygote. */
static void let_go(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    if (fork() == 0)
        daemonize();
    ring_and_stay();
}

static void be_a_thread_s_child(void *(*body)(void *))
{
    pthread_t thread;
    pthread_create(&thread, NULL, body, NULL);
    pthread_join(thread, NULL);
}

static void *fork_in_thread(void *unused)
{
    if (fork() == 0)
        ring_and_stay();
    stay();
    return unused;
}

/* How many times the doorbell rings before the family is complete. */
#define FAMILY_RINGS 6

static int raise_a_family(struct board *board, uint32_t slot)
{
    (void)board;
    (void)slot;
    void (*const members[])(void) = {ring_and_stay, daemonize, stop_oneself, let_go};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (fork() == 0)
            members[i]();
    be_a_thread_s_child(fork_in_thread);
    return 0;
}

static bool wait_for_rings(const struct pool *pool, uint32_t slot, uint64_t wanted)
{
    uint64_t rings = 0, count;
    while (rings < wanted) {
        if (!readable_within(pool->doorbells[slot], WAIT_MS))
            return false;
        if (read(pool->doorbells[slot], &count, sizeof(count)) > 0)
            rings += count;
    }
    return true;
}

/* Those of the slot that live, whoever their parents are now. */
static int alive_of(const struct pool *pool, uint32_t slot)
{
    char name[32];
    pid_t pids[NAMED_MAX];
    snprintf(name, sizeof(name), "%s:%u", pool->name, slot);
    return find_named(name, pids);
}

static void kill_a_family(bool use_cgroups, int signal_from_outside)
{
    struct pool pool;
    open_pool(&pool, raise_a_family, use_cgroups);
    for (uint32_t i = 0; i < 2; i++) {
        ask(&pool, LP_REQUEST_SPAWN, i, 1);
        pid_t pid = expect_report(&pool, LP_REPORT_SPAWNED, i).pid;
        CU_ASSERT(wait_for_rings(&pool, i, FAMILY_RINGS));
        CU_ASSERT(alive_of(&pool, i) > FAMILY_RINGS);
        if (i == 0)
            continue;
        if (signal_from_outside != 0)
            kill(pid, signal_from_outside);
        else
            ask(&pool, LP_REQUEST_KILL, i, 1);
        CU_ASSERT(expect_report(&pool, LP_REPORT_EXITED, i).signal != 0);
        expect_report(&pool, LP_REPORT_EMPTY, i);
        CU_ASSERT_EQUAL(alive_of(&pool, i), 0);
    }
    CU_ASSERT(alive_of(&pool, 0) > FAMILY_RINGS - 1); /* the other family has lost nobody */
    close_pool(&pool);
}

TEST(zygote, kills_a_whole_family_by_walking)
{
    kill_a_family(false, 0);
}

TEST(zygote, kills_a_whole_family_by_cgroup)
{
    kill_a_family(true, 0);
}

TEST(zygote, clears_up_after_a_worker_that_somebody_killed)
{
    kill_a_family(false, SIGKILL);
    kill_a_family(true, SIGSEGV);
}
