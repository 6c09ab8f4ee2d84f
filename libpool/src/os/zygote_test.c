/* SPDX-License-Identifier: MIT */
/*
 * A zygote as the host meets it: invisible, obedient and thorough. Each test gives its workers a
 * life to lead; they ring their doorbell when they have come where the test wants them. All
 * processes of a pool bear its name, also those that escaped their parents, so whatever is left
 * can be found in /proc.
 *
 * Each test runs twice, as zygote/... with a zygote that is forked, and as zygote_spawned/... with one
 * that is executed: this program once more, which finds the board in the memory that it is handed.
 */
#include "os/zygote.h"

#include <libpool.h>

#include "harness/test.h"
#include "os/cgroup_place.h"
#include "os/file.h"
#include "os/manifest.h"
#include "os/program.h"
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
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 8
#define NUMBERS 1 /* workers are known by the number of their slot and one more */
#define WAIT_MS 10000
#define NAMED_MAX 256
#define FRONT_BYTES 65536 /* for the manifest */
#define ZYGOTE_ARGV0 "zygote of zygote_test"

static bool spawns;

#define REGISTER(suite_, start_, name_)                                               \
    static struct hn_test start_##_##name_ = {suite_, #name_, run_##start_##_##name_, \
                                              HN_TEST_LIMIT_MS, NULL};                \
    hn_test_register(&start_##_##name_)

#undef TEST
#define TEST(suite_, name_)                                         \
    static void test_##name_(void);                                 \
    static void run_forked_##name_(void)                            \
    {                                                               \
        spawns = false;                                             \
        test_##name_();                                             \
    }                                                               \
    static void run_spawned_##name_(void)                           \
    {                                                               \
        spawns = true;                                              \
        test_##name_();                                             \
    }                                                               \
    __attribute__((constructor)) static void register_##name_(void) \
    {                                                               \
        REGISTER(#suite_, forked, name_);                           \
        REGISTER(#suite_ "_spawned", spawned, name_);               \
    }                                                               \
    static void test_##name_(void)

struct board;
typedef int life_story(struct board *board, uint32_t slot);

struct board {     /* shared memory */
    intptr_t life; /* a life_story, so far behind live(): a program may lie elsewhere */
    _Atomic int numbers[16];
    _Atomic pid_t begun; /* by whom */
    char text[4096];
};

struct pool {
    struct lp_zygote_link link;
    struct lp_zygote_options options;
    struct lp_cgroup_place place;
    struct lp_report hello;
    struct board *board;
    int doorbells[SLOTS];
    char name[16];
    char *memory; /* of the board, and if the zygote is spawned, of a manifest before it */
    size_t memory_bytes;
    struct lp_program program;
    int program_fds[LP_PROGRAM_FDS(SLOTS)];
};

/* ---- Inside the workers ------------------------------------------------------------------ */

static void ring(void)
{
    if (write(3, &(uint64_t){1}, sizeof(uint64_t)) < 0)
        _exit(99);
}

static void live(void *context, uint32_t slot, uint32_t number, uint32_t generation)
{
    struct board *board = context;
    (void)generation;
    if (number != slot + NUMBERS)
        _exit(97);
    life_story *life = (life_story *)((intptr_t)live + board->life);
    _exit(life(board, slot));
}

/* ---- Inside the zygote ------------------------------------------------------------------- */

static struct board *zygotes_board;

static void note_beginning(void)
{
    zygotes_board->begun = getpid();
}

/* ---- The zygote, when it is executed ------------------------------------------------------ */

static _Noreturn void serve(void)
{
    int fds[SLOTS], next = LP_PROGRAM_HEIRS;
    void *memory;
    size_t size;
    struct lp_manifest manifest;
    bool has_lifeline;
    if (lp_program_receive(&memory, &size, &has_lifeline) != 0 ||
        lp_manifest_read(&manifest, memory, lp_manifest_length(memory, size)) != 0)
        _exit(98);
    for (int i = 0; i < SLOTS; i++)
        fds[i] = manifest.heir_pids[i] != 0 ? next++ : -1;
    zygotes_board = (struct board *)(void *)((char *)memory + FRONT_BYTES);
    const struct lp_zygote_options options = {.slots = manifest.slots,
                                              .begin = note_beginning,
                                              .heir_fds = fds,
                                              .heir_pids = manifest.heir_pids,
                                              .worker_main = live,
                                              .context = zygotes_board,
                                              .keep_stdin = manifest.keep_stdin,
                                              .name = manifest.name,
                                              .place = manifest.place,
                                              .memory_limit_bytes = manifest.memory_limit_bytes};
    const struct lp_zygote_birth birth = {.options = &options,
                                          .socket_fd = LP_PROGRAM_SOCKET,
                                          .host_pid_fd = LP_PROGRAM_HOST,
                                          .lifeline_fd = has_lifeline ? LP_PROGRAM_LIFELINE : -1};
    lp_zygote_main(&birth);
}

/* Before main(), which would run tests. */
__attribute__((constructor)) static void be_zygote(int argc, char **argv)
{
    if (argc == 1 && strcmp(argv[0], ZYGOTE_ARGV0) == 0)
        serve();
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

static bool wait_for_bell(const struct pool *pool, uint32_t slot)
{
    uint64_t count;
    return readable_within(pool->doorbells[slot], WAIT_MS) &&
           read(pool->doorbells[slot], &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static void make_board(struct pool *pool)
{
    static char *const argv[] = {ZYGOTE_ARGV0, NULL};
    size_t front = spawns ? FRONT_BYTES : 0;
    pool->memory_bytes = front + sizeof(struct board);
    pool->program = (struct lp_program){"/proc/self/exe", argv, environ, -1, pool->program_fds};
    if (spawns)
        pool->program.memory_fd = lp_program_share(pool->memory_bytes, (void **)&pool->memory);
    else
        pool->memory = lp_sys.map_shared(pool->memory_bytes);
    pool->board = (struct board *)(void *)(pool->memory + front);
}

static int start(struct pool *pool)
{
    const struct lp_zygote_options *options = &pool->options;
    pid_t heirs[SLOTS] = {0};
    for (int i = 0; i < SLOTS; i++)
        if (options->heir_fds != NULL && options->heir_fds[i] >= 0)
            heirs[i] = options->heir_pids[i];
    const struct lp_manifest manifest = {.slots = options->slots,
                                         .keep_stdin = options->keep_stdin,
                                         .memory_limit_bytes = options->memory_limit_bytes,
                                         .name = options->name,
                                         .place = options->place,
                                         .heir_pids = heirs};
    if (spawns)
        lp_manifest_write(&manifest, pool->memory, lp_manifest_bytes(&manifest));
    return lp_zygote_start(&pool->link, options);
}

static int
    known_as; /* what process 1 of a namespace was outside, where its number is one of many */

static void set_up(struct pool *pool, life_story *life, bool use_cgroups)
{
    static uint64_t pools;
    *pool = (struct pool){.link = LP_ZYGOTE_LINK_NULL};
    snprintf(pool->name, sizeof(pool->name), "z%d", known_as != 0 ? known_as : (int)getpid());
    make_board(pool);
    pool->board->life = (intptr_t)life - (intptr_t)live;
    for (int i = 0; i < SLOTS; i++)
        pool->doorbells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    zygotes_board = pool->board;
    pool->options = (struct lp_zygote_options){.slots = SLOTS,
                                               .begin = note_beginning,
                                               .worker_main = live,
                                               .context = pool->board,
                                               .name = pool->name,
                                               .program = spawns ? &pool->program : NULL,
                                               .place = use_cgroups ? &pool->place : NULL};
    (void)lp_cgroup_place_find(&pool->place, NULL, ++pools);
}

/* For children, who may not assert. */
static bool try_to_open(struct pool *pool, life_story *life, bool use_cgroups)
{
    set_up(pool, life, use_cgroups);
    if (start(pool) != 0)
        return false;
    pool->hello = next_report(pool, NULL);
    return pool->hello.kind == LP_REPORT_HELLO && pool->hello.pid == pool->link.pid;
}

static void open_pool(struct pool *pool, life_story *life, bool use_cgroups)
{
    CU_ASSERT(try_to_open(pool, life, use_cgroups));
}

static bool try_to_ask(struct pool *pool, enum lp_request_kind kind, uint32_t slot,
                       uint32_t generation)
{
    const struct lp_request request = {(uint32_t)kind, slot, generation, slot + NUMBERS,
                                       pool->options.memory_limit_bytes};
    bool is_slot = kind == LP_REQUEST_SPAWN && slot < SLOTS;
    return lp_zygote_send(&pool->link, &request, is_slot ? pool->doorbells[slot] : -1) == 0;
}

static void ask(struct pool *pool, enum lp_request_kind kind, uint32_t slot, uint32_t generation)
{
    CU_ASSERT(try_to_ask(pool, kind, slot, generation));
}

static void release(struct pool *pool)
{
    lp_zygote_drop(&pool->link);
    for (int i = 0; i < SLOTS; i++)
        close(pool->doorbells[i]);
    munmap(pool->memory, pool->memory_bytes);
    if (pool->program.memory_fd >= 0)
        close(pool->program.memory_fd);
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

/* Rings once at the start and once when told to: one that was killed does not ring again. */
static int answer(struct board *board, uint32_t slot)
{
    ring();
    (void)lp_sys.futex_wait((const _Atomic uint32_t *)(const void *)&board->numbers[0], 0, -1);
    return wait_for_ever(board, slot);
}

static void tell_to_go_on(struct pool *pool)
{
    pool->board->numbers[0] = 1;
    (void)lp_sys.futex_wake((const _Atomic uint32_t *)(const void *)&pool->board->numbers[0]);
}

TEST(zygote, kills_only_the_generation_meant)
{
    struct pool pool;
    open_pool(&pool, answer, true);
    ask(&pool, LP_REQUEST_SPAWN, 1, 5);
    expect_report(&pool, LP_REPORT_SPAWNED, 1);
    CU_ASSERT(wait_for_bell(&pool, 1));
    ask(&pool, LP_REQUEST_KILL, 1, 4);
    ask(&pool, LP_REQUEST_SPAWN, 1, 6); /* refused behind the kill that must not have happened */
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_SPAWN_FAILED, 1).error, -EBUSY);
    tell_to_go_on(&pool);
    CU_ASSERT(wait_for_bell(&pool, 1));
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
    CU_ASSERT_EQUAL(start(&pool), 0);
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
    if (TEST_ADDRESS_SANITIZER)
        TEST_SKIP("AddressSanitizer's own allocator can't be forked beside threads");
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

/* Doorbells on any numbers, also those that stand for something of the zygote's in its own table. */
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
    CU_ASSERT_EQUAL(start(&pool), 0);
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

TEST(zygote, a_worker_is_not_started_without_its_doorbell)
{
    struct pool pool;
    open_pool(&pool, leave_with_7, true);
    const struct lp_request request = {LP_REQUEST_SPAWN, 0, 1, 0, 0};
    CU_ASSERT_EQUAL(lp_zygote_send(&pool.link, &request, -1), 0);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_SPAWN_FAILED, 0).error, -EMFILE);
    ask(&pool, LP_REQUEST_SPAWN, 0, 2);
    expect_report(&pool, LP_REPORT_SPAWNED, 0);
    expect_report(&pool, LP_REPORT_EXITED, 0);
    expect_report(&pool, LP_REPORT_EMPTY, 0);
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
    snprintf(name, sizeof(name), "Name:\t%s:7\n", pool.name);
    CU_ASSERT_PTR_NOT_NULL(strstr(pool.board->text, name));
    CU_ASSERT_PTR_NOT_NULL(strstr(pool.board->text, "SigBlk:\t0000000000000000\n"));
    const char *ignored = strstr(pool.board->text, "SigIgn:\t");
    CU_ASSERT_PTR_NOT_NULL_FATAL(ignored);
    /* 32 and 33 are libc's own: a program started by posix_spawn (make does) may ignore them. */
    uint64_t libc_own = UINT64_C(3) << 31;
    CU_ASSERT_EQUAL(strtoull(ignored + strlen("SigIgn:\t"), NULL, 16) & ~libc_own, 0);
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
    CU_ASSERT_EQUAL(start(&pool), 0);
    expect_report(&pool, LP_REPORT_HELLO, 0);
    run_to_its_end(&pool, 7);
    CU_ASSERT_PTR_NOT_NULL(strstr(pool.board->text, "Name:\ta-name-that-i:8\n"));
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
#define FAMILY_RINGS 4

static int raise_a_family(struct board *board, uint32_t slot)
{
    (void)board;
    (void)slot;
    void (*const members[])(void) = {ring_and_stay, daemonize, stop_oneself};
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
    snprintf(name, sizeof(name), "%s:%u", pool->name, slot + NUMBERS);
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

static int let_go_of_orphans(struct board *board, uint32_t slot)
{
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    if (fork() == 0)
        daemonize();
    return wait_for_ever(board, slot);
}

TEST(zygote, kills_what_a_worker_let_go_of)
{
    struct pool pool;
    open_pool(&pool, let_go_of_orphans, false);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, 0);
    CU_ASSERT(wait_for_rings(&pool, 0, 2));
    ask(&pool, LP_REQUEST_KILL, 0, 1);
    expect_report(&pool, LP_REPORT_EXITED, 0);
    expect_report(&pool, LP_REPORT_EMPTY, 0);
    CU_ASSERT_EQUAL(alive_of(&pool, 0), 0);
    close_pool(&pool);
}

/* Forks and exits, again and again: each process lives for some microseconds. */
static void run_on(const struct board *board)
{
    while (board->numbers[0] == 0)
        if (fork() > 0)
            _exit(0);
    _exit(0);
}

/* Keeps a number of children alive. */
static void grow_again(const struct board *board)
{
    int children = 0;
    while (board->numbers[0] == 0) {
        pid_t pid = fork();
        if (pid == 0)
            stay();
        children += pid > 0;
        while (children >= 16 && wait(NULL) > 0)
            children--;
    }
    _exit(0);
}

static int storm(struct board *board, uint32_t slot)
{
    for (int i = 0; i < 4; i++) {
        if (fork() == 0)
            run_on(board);
        if (fork() == 0)
            grow_again(board);
    }
    return wait_for_ever(board, slot);
}

/* Dead ones that are about to be reaped don't count. */
static bool has_living_children(pid_t pid)
{
    char path[64], text[4096];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
    lp_file_read(AT_FDCWD, path, text, sizeof(text));
    struct lp_file_stat stat;
    char *at = text;
    for (pid_t child; (child = (pid_t)strtol(at, &at, 10)) > 0;)
        if (lp_file_stat(child, &stat) == 0 && stat.state != 'Z' && stat.state != 'X')
            return true;
    return false;
}

static void ride_out_a_storm(bool use_cgroups)
{
    struct pool pool;
    open_pool(&pool, storm, use_cgroups);
    for (uint32_t i = 1; i <= 5; i++) {
        ask(&pool, LP_REQUEST_SPAWN, 0, i);
        expect_report(&pool, LP_REPORT_SPAWNED, 0);
        CU_ASSERT(wait_for_bell(&pool, 0));
        ask(&pool, LP_REQUEST_KILL, 0, i);
        expect_report(&pool, LP_REPORT_EXITED, 0);
        expect_report(&pool, LP_REPORT_EMPTY, 0);
        CU_ASSERT_EQUAL(alive_of(&pool, 0), 0);
        CU_ASSERT_FALSE(has_living_children(pool.link.pid));
    }
    pool.board->numbers[0] = 1;
    close_pool(&pool);
}

TEST(zygote, rides_out_a_storm_of_forks_by_walking)
{
    ride_out_a_storm(false);
}

TEST(zygote, rides_out_a_storm_of_forks_by_cgroup)
{
    ride_out_a_storm(true);
}

/* Who hangs there never speaks, and is replaced. */
TEST(zygote, begins_before_its_first_word)
{
    struct pool pool;
    open_pool(&pool, wait_for_ever, false);
    CU_ASSERT_EQUAL(pool.board->begun, pool.link.pid);
    close_pool(&pool);
}

/* ---- The end of the host and of the zygote ----------------------------------------------- */

/* Paths of this pool's directories that exist: in v2 and in v1 memory. */
static int count_cgroups(const char *host_pid)
{
    static const char *const controllers[] = {NULL, "memory"};
    char path[LP_CGROUP_PATH_BYTES], membership[4096], wanted[32];
    static char mountinfo[65536];
    int n = 0;
    lp_file_read(AT_FDCWD, "/proc/self/mountinfo", mountinfo, sizeof(mountinfo));
    lp_file_read(AT_FDCWD, "/proc/self/cgroup", membership, sizeof(membership));
    snprintf(wanted, sizeof(wanted), "libpool-%s-", host_pid);
    for (int i = 0; i < 2; i++) {
        DIR *directory = lp_cgroup_find(mountinfo, membership, controllers[i], path) ? opendir(path)
                                                                                     : NULL;
        for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;)
            n += strncmp(entry->d_name, wanted, strlen(wanted)) == 0;
        if (directory != NULL)
            closedir(directory);
    }
    return n;
}

/* A host with two families; tells its pool's name through the pipe and waits to be killed. */
static void be_a_host(int pipe_fd, bool use_cgroups)
{
    struct pool pool;
    bool is_complete = try_to_open(&pool, raise_a_family, use_cgroups);
    for (uint32_t i = 0; i < 2; i++)
        is_complete = is_complete && try_to_ask(&pool, LP_REQUEST_SPAWN, i, 1) &&
                      wait_for_rings(&pool, i, FAMILY_RINGS);
    if (!is_complete || write(pipe_fd, pool.name, sizeof(pool.name)) < 0)
        _exit(1);
    stay();
}

static void kill_a_host(bool use_cgroups)
{
    int fds[2];
    char name[16] = "", host_pid[16];
    CU_ASSERT_EQUAL(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0)
        be_a_host(fds[1], use_cgroups);
    close(fds[1]);
    CU_ASSERT_EQUAL(read(fds[0], name, sizeof(name)), (ssize_t)sizeof(name));
    snprintf(host_pid, sizeof(host_pid), "%d", pid);
    pid_t pids[NAMED_MAX];
    CU_ASSERT(find_named(name, pids) > 2 * FAMILY_RINGS);
    kill(pid, SIGKILL);
    CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
    CU_ASSERT_EQUAL(wait_for_none(name, 1000), 0);
    CU_ASSERT_EQUAL(count_cgroups(host_pid), 0);
    close(fds[0]);
}

TEST(zygote, kills_everything_when_the_host_was_killed)
{
    kill_a_host(false);
    kill_a_host(true);
}

TEST(zygote, removes_its_cgroups_when_it_leaves)
{
    struct pool pool;
    char host_pid[16];
    snprintf(host_pid, sizeof(host_pid), "%d", (int)getpid());
    open_pool(&pool, raise_a_family, true);
    ask(&pool, LP_REQUEST_SPAWN, 4, 1);
    CU_ASSERT(wait_for_rings(&pool, 4, FAMILY_RINGS));
    if (pool.hello.containment == 2)
        CU_ASSERT(count_cgroups(host_pid) > 0);
    close_pool(&pool);
    CU_ASSERT_EQUAL(count_cgroups(host_pid), 0);
}

/* As worker_main does for real: from here on the worker may outlive its zygote. */
static int outlive_the_zygote(struct board *board, uint32_t slot)
{
    prctl(PR_SET_PDEATHSIG, 0);
    if (fork() == 0)
        daemonize();
    return wait_for_ever(board, slot);
}

/* The worker and who became a daemon; who was in between may still be about to leave. */
static bool wait_for_two(const struct pool *pool, uint32_t slot)
{
    uint64_t deadline_ms = clock_ms() + WAIT_MS;
    while (alive_of(pool, slot) != 2 && clock_ms() < deadline_ms)
        (void)poll(NULL, 0, 2);
    return alive_of(pool, slot) == 2;
}

TEST(zygote, new_one_takes_over_what_an_old_one_left)
{
    struct pool pool;
    open_pool(&pool, outlive_the_zygote, true);
    if (pool.hello.containment != 2) {
        close_pool(&pool);
        TEST_SKIP("no cgroup.kill here");
    }
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, 0);
    CU_ASSERT(wait_for_rings(&pool, 0, 2));
    lp_zygote_drop(&pool.link);
    CU_ASSERT_EQUAL(start(&pool), 0);
    expect_report(&pool, LP_REPORT_HELLO, 0);
    CU_ASSERT(wait_for_two(&pool, 0));
    ask(&pool, LP_REQUEST_SPAWN, 0, 2); /* not while the old ones live there */
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_SPAWN_FAILED, 0).error, -EBUSY);
    ask(&pool, LP_REQUEST_KILL, 0, 1);
    expect_report(&pool, LP_REPORT_EMPTY, 0);
    CU_ASSERT_EQUAL(alive_of(&pool, 0), 0);
    ask(&pool, LP_REQUEST_SPAWN, 0, 2);
    expect_report(&pool, LP_REPORT_SPAWNED, 0);
    CU_ASSERT(wait_for_rings(&pool, 0, 2));
    close_pool(&pool);
}

TEST(zygote, new_one_ends_what_an_old_one_left_when_it_leaves)
{
    struct pool pool;
    open_pool(&pool, outlive_the_zygote, true);
    bool can_kill = pool.hello.containment == 2;
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    CU_ASSERT(wait_for_rings(&pool, 0, can_kill ? 2 : 0));
    if (!can_kill) {
        close_pool(&pool);
        TEST_SKIP("no cgroup.kill here");
    }
    lp_zygote_drop(&pool.link);
    CU_ASSERT_EQUAL(start(&pool), 0);
    close_pool(&pool);
}

/* ---- Want ---------------------------------------------------------------------------------- */

TEST(zygote, host_without_a_free_descriptor_gets_the_news_without_a_pidfd)
{
    struct pool pool;
    struct rlimit before, none;
    open_pool(&pool, leave_with_7, true);
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){3, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    int pidfd = 4711;
    struct lp_report spawned = next_report(&pool, &pidfd);
    CU_ASSERT_EQUAL(spawned.kind, LP_REPORT_SPAWNED);
    CU_ASSERT_EQUAL(pidfd, -1);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_EXITED, 0).code, 7);
    expect_report(&pool, LP_REPORT_EMPTY, 0);
    setrlimit(RLIMIT_NOFILE, &before);
    close_pool(&pool);
}

static void close_quietly(struct pool *pool)
{
    lp_zygote_send(&pool->link, &(struct lp_request){.kind = LP_REQUEST_QUIT}, -1);
    readable_within(pool->link.pid_fd, WAIT_MS);
    release(pool);
}

/* Exit code of a host under a limit that is enough for itself; 0: the zygote serves or says why not. */
static int start_under_a_limit(void *arg)
{
    struct pool pool;
    rlim_t limit = *(const rlim_t *)arg;
    set_up(&pool, wait_for_ever, true);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){limit, limit});
    int error = start(&pool);
    if (error != 0)
        return error == -EMFILE ? 0 : 10;
    struct lp_report report = next_report(&pool, NULL);
    if (report.kind == LP_REPORT_FAILED && report.error == -EMFILE)
        return readable_within(pool.link.pid_fd, WAIT_MS) ? 0 : 11;
    if (report.kind != LP_REPORT_HELLO || report.error == -EMFILE)
        return 12;
    if (!try_to_ask(&pool, LP_REQUEST_SPAWN, 0, 1) ||
        next_report(&pool, NULL).kind != LP_REPORT_SPAWNED || !wait_for_bell(&pool, 0))
        return 13;
    close_quietly(&pool);
    return 0;
}

TEST(zygote, with_too_few_descriptors_says_so)
{
    for (rlim_t limit = 3 + SLOTS; limit < 48; limit++)
        CU_ASSERT_EQUAL(hn_test_child(start_under_a_limit, &limit, WAIT_MS), TEST_EXIT(0));
}

TEST(zygote, refuses_what_makes_no_sense)
{
    struct pool pool;
    open_pool(&pool, wait_for_ever, false);
    ask(&pool, LP_REQUEST_SPAWN, SLOTS, 1);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_SPAWN_FAILED, SLOTS).error, -EINVAL);
    ask(&pool, LP_REQUEST_KILL, UINT32_MAX, 1);
    ask(&pool, LP_REQUEST_N, 0, 1);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, 0);
    close_pool(&pool);
}

/* Every second request goes unanswered until the host reads; a death is served meanwhile. */
TEST(zygote, host_that_does_not_read_loses_nothing)
{
    struct pool pool;
    open_pool(&pool, wait_for_ever, true);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    int pidfd = -1;
    CU_ASSERT_EQUAL(next_report(&pool, &pidfd).kind, LP_REPORT_SPAWNED);
    const struct lp_request nonsense = {LP_REQUEST_SPAWN, SLOTS, 0, 0, 0};
    uint32_t asked = 0, answered = 0, exits = 0;
    struct pollfd writable = {.fd = pool.link.socket_fd, .events = POLLOUT};
    do
        while (lp_zygote_send(&pool.link, &nonsense, -1) == 0)
            asked++;
    while (poll(&writable, 1, 100) == 1); /* the zygote takes no more */
    CU_ASSERT_EQUAL(lp_sys.pidfd_send_signal(pidfd, SIGKILL), 0);
    CU_ASSERT(readable_within(pidfd, WAIT_MS));
    for (struct lp_report report; answered < asked || exits < 2; answered++) {
        report = next_report(&pool, NULL);
        if (report.kind == 0)
            break;
        bool is_death = report.kind == LP_REPORT_EXITED || report.kind == LP_REPORT_EMPTY;
        exits += is_death;
        answered -= is_death;
    }
    CU_ASSERT(asked > 100);
    CU_ASSERT_EQUAL(answered, asked);
    CU_ASSERT_EQUAL(exits, 2);
    close(pidfd);
    close_pool(&pool);
}

static bool v1_path(const char *controller, char path[LP_CGROUP_PATH_BYTES])
{
    char membership[4096];
    static char mountinfo[65536];
    lp_file_read(AT_FDCWD, "/proc/self/mountinfo", mountinfo, sizeof(mountinfo));
    lp_file_read(AT_FDCWD, "/proc/self/cgroup", membership, sizeof(membership));
    return lp_cgroup_find(mountinfo, membership, controller, path);
}

/* A directory of the test's own below this process's. */
static bool make_cgroup(const char *controller, char path[LP_CGROUP_PATH_BYTES])
{
    if (!v1_path(controller, path))
        return false;
    size_t length = strlen(path);
    snprintf(path + length, LP_CGROUP_PATH_BYTES - length, "/lp-test-%d", (int)getpid());
    return mkdir(path, 0755) == 0;
}

/* Exit code of a host that meets its pids limit: 0 is as it should be. */
static int fork_into_a_limit(void *path)
{
    struct pool pool;
    char current[32];
    int directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lp_file_write(directory_fd, "cgroup.procs", "0") < 0 ||
        !try_to_open(&pool, leave_with_7, true))
        return 10;
    lp_file_read(directory_fd, "pids.current", current, sizeof(current));
    lp_file_write(directory_fd, "pids.max", current);
    struct lp_report refused = {0}, spawned = {0};
    if (try_to_ask(&pool, LP_REQUEST_SPAWN, 0, 1))
        refused = next_report(&pool, NULL);
    lp_file_write(directory_fd, "pids.max", "max");
    if (try_to_ask(&pool, LP_REQUEST_SPAWN, 0, 2))
        spawned = next_report(&pool, NULL);
    close_quietly(&pool);
    if (refused.kind != LP_REPORT_SPAWN_FAILED || refused.error != -EAGAIN)
        return 11;
    return spawned.kind == LP_REPORT_SPAWNED && spawned.generation == 2 ? 0 : 12;
}

TEST(zygote, tells_of_a_fork_that_the_kernel_refused)
{
    char path[LP_CGROUP_PATH_BYTES];
    if (!make_cgroup("pids", path))
        TEST_SKIP("may not make a v1 pids cgroup here");
    CU_ASSERT_EQUAL(hn_test_child(fork_into_a_limit, path, WAIT_MS), TEST_EXIT(0));
    CU_ASSERT_EQUAL(rmdir(path), 0);
}

/* Exit code: 0 when a family was killed by walking. */
static int live_as_an_ordinary_user(void *arg)
{
    (void)arg;
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
        return 10;
    prctl(PR_SET_DUMPABLE, 1);
    struct pool pool;
    if (!try_to_open(&pool, raise_a_family, true) || pool.hello.containment != 0 ||
        pool.hello.oom_evidence != 0)
        return 11;
    if (!try_to_ask(&pool, LP_REQUEST_SPAWN, 0, 1) ||
        next_report(&pool, NULL).kind != LP_REPORT_SPAWNED ||
        !wait_for_rings(&pool, 0, FAMILY_RINGS))
        return 12;
    if (!try_to_ask(&pool, LP_REQUEST_KILL, 0, 1) ||
        next_report(&pool, NULL).kind != LP_REPORT_EXITED ||
        next_report(&pool, NULL).kind != LP_REPORT_EMPTY)
        return 13;
    int left = alive_of(&pool, 0);
    close_quietly(&pool);
    return left != 0 ? 14 : 0;
}

TEST(zygote, does_without_cgroups_as_an_ordinary_user)
{
    if (geteuid() != 0)
        TEST_SKIP("root has to become the ordinary user");
    CU_ASSERT_EQUAL(hn_test_child(live_as_an_ordinary_user, NULL, WAIT_MS), TEST_EXIT(0));
}

/* ---- The kernel's part --------------------------------------------------------------------- */

/* DIRECTORY/libpool-...-/SLOT/FILE of this host's only pool; false when it isn't there. */
static bool find_slot_file(const char *controller, uint32_t slot, const char *file, char *path,
                           size_t size)
{
    char parent[LP_CGROUP_PATH_BYTES], wanted[32];
    bool found = false;
    snprintf(wanted, sizeof(wanted), "libpool-%d-", (int)getpid());
    DIR *directory = v1_path(controller, parent) ? opendir(parent) : NULL;
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, wanted, strlen(wanted)) != 0)
            continue;
        snprintf(path, size, "%s/%s/%u/%s", parent, entry->d_name, slot, file);
        found = true;
    }
    if (directory != NULL)
        closedir(directory);
    return found;
}

/* Takes more memory than it may have, once the limit is there. */
static int hog(struct board *board, uint32_t slot)
{
    (void)slot;
    ring();
    (void)lp_sys.futex_wait((const _Atomic uint32_t *)(const void *)&board->numbers[0], 0, -1);
    for (size_t size = 0; size < 256; size++) {
        void *volatile block = malloc(1 << 20); /* volatile: or nothing of this is done */
        memset(block, 1, 1 << 20);
    }
    return 0;
}

TEST(zygote, counts_the_oom_kill_of_a_worker)
{
    struct pool pool;
    char path[LP_CGROUP_PATH_BYTES + 300];
    open_pool(&pool, hog, true);
    for (uint32_t i = 1; i <= 2; i++) {
        pool.board->numbers[0] = 0;
        ask(&pool, LP_REQUEST_SPAWN, 0, i);
        expect_report(&pool, LP_REPORT_SPAWNED, 0);
        CU_ASSERT(wait_for_bell(&pool, 0));
        if (pool.hello.oom_evidence != 1 ||
            !find_slot_file("memory", 0, "memory.limit_in_bytes", path, sizeof(path))) {
            close_pool(&pool);
            TEST_SKIP("no v1 memory controller here");
        }
        CU_ASSERT_EQUAL(lp_file_write(AT_FDCWD, path, "16777216"), 0);
        tell_to_go_on(&pool);
        struct lp_report exited = expect_report(&pool, LP_REPORT_EXITED, 0);
        CU_ASSERT_EQUAL(exited.signal, SIGKILL);
        CU_ASSERT_EQUAL(exited.oom_kills, 1); /* not the sum over the slot's workers */
        expect_report(&pool, LP_REPORT_EMPTY, 0);
    }
    close_pool(&pool);
}

static bool open_limited(struct pool *pool, life_story *life)
{
    set_up(pool, life, true);
    pool->options.memory_limit_bytes = 16u << 20;
    if (start(pool) != 0)
        return false;
    pool->hello = next_report(pool, NULL);
    return pool->hello.memory_enforcement == LIBPOOL_MEMORY_CGROUP_V1;
}

TEST(zygote, limits_the_memory_of_each_slot)
{
    struct pool pool;
    char path[LP_CGROUP_PATH_BYTES + 300], limit[32];
    if (!open_limited(&pool, hog)) {
        close_pool(&pool);
        TEST_SKIP("no v1 memory controller here");
    }
    ask(&pool, LP_REQUEST_SPAWN, 1, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, 1);
    CU_ASSERT(wait_for_bell(&pool, 1));
    CU_ASSERT(find_slot_file("memory", 1, "memory.limit_in_bytes", path, sizeof(path)));
    CU_ASSERT(lp_file_read(AT_FDCWD, path, limit, sizeof(limit)) > 0);
    CU_ASSERT_STRING_EQUAL(limit, "16777216\n");
    ask(&pool, LP_REQUEST_WEIGH, 1, 1);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_WEIGHED, 1).memory_bytes, 0);
    const struct lp_request below = {LP_REQUEST_WEIGH, 1, 1, 3, 1u << 20}; /* 3 MiB beside it */
    CU_ASSERT_EQUAL(lp_zygote_send(&pool.link, &below, -1), 0);
    CU_ASSERT(expect_report(&pool, LP_REPORT_WEIGHED, 1).memory_bytes >= 3u << 20);
    tell_to_go_on(&pool);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_EXITED, 1).oom_kills, 1);
    expect_report(&pool, LP_REPORT_EMPTY, 1);
    close_pool(&pool);
}

/* Somebody is in the slot's directory with more than the limit: it can't be had there. */
static pid_t squat(const char *slot_path)
{
    int fds[2];
    char path[LP_CGROUP_PATH_BYTES + 400], unused;
    snprintf(path, sizeof(path), "%s/cgroup.procs", slot_path);
    CU_ASSERT_EQUAL(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)lp_file_write(AT_FDCWD, path, "0");
        char *block = malloc(64u << 20);
        memset(block, 1, 64u << 20);
        _exit(write(fds[1], block, 1) == 1 && pause());
    }
    CU_ASSERT_EQUAL(read(fds[0], &unused, 1), 1);
    close(fds[0]);
    close(fds[1]);
    return pid;
}

TEST(zygote, forks_no_worker_without_its_limit)
{
    struct pool pool;
    char path[LP_CGROUP_PATH_BYTES + 300];
    if (!open_limited(&pool, wait_for_ever)) {
        close_pool(&pool);
        TEST_SKIP("no v1 memory controller here");
    }
    CU_ASSERT(find_slot_file("memory", 0, "", path, sizeof(path)));
    CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
    pid_t squatter = squat(path);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_SPAWN_FAILED, 0).error, -EBUSY);
    kill(squatter, SIGKILL);
    CU_ASSERT_EQUAL(waitpid(squatter, NULL, 0), squatter);
    ask(&pool, LP_REQUEST_SPAWN, 0, 2);
    expect_report(&pool, LP_REPORT_SPAWNED, 0);
    close_pool(&pool);
}

TEST(zygote, does_not_take_a_kill_from_outside_for_the_oom_killer)
{
    struct pool pool;
    open_pool(&pool, wait_for_ever, true);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    kill(expect_report(&pool, LP_REPORT_SPAWNED, 0).pid, SIGKILL);
    struct lp_report exited = expect_report(&pool, LP_REPORT_EXITED, 0);
    CU_ASSERT_EQUAL(exited.signal, SIGKILL);
    CU_ASSERT_EQUAL(exited.oom_kills, 0);
    expect_report(&pool, LP_REPORT_EMPTY, 0);
    close_pool(&pool);
}

static pid_t fork_to_stay(void)
{
    pid_t pid = fork();
    if (pid == 0)
        stay();
    return pid;
}

static void bury(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* It dies when all is there: from then on any pool on the machine may clear up. */
TEST(zygote, clears_up_what_a_dead_host_left_in_its_cgroups)
{
    struct pool pool;
    char parent[LP_CGROUP_PATH_BYTES], stale[LP_CGROUP_PATH_BYTES + 64],
        slot[LP_CGROUP_PATH_BYTES + 80];
    struct stat namespace;
    stat("/proc/self/ns/pid", &namespace);
    if (!v1_path(NULL, parent))
        TEST_SKIP("no cgroup v2 here");
    pid_t host = fork_to_stay();
    snprintf(stale, sizeof(stale), "%s/libpool-%d-1-%lu", parent, (int)host,
             (unsigned long)namespace.st_ino);
    snprintf(slot, sizeof(slot), "%s/3", stale);
    if (mkdir(stale, 0755) != 0 || mkdir(slot, 0755) != 0) {
        bury(host);
        TEST_SKIP("may not make a cgroup");
    }
    int slot_fd = open(slot, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pid_t left_over = fork_to_stay();
    char digits[16];
    snprintf(digits, sizeof(digits), "%d", left_over);
    CU_ASSERT_EQUAL(lp_file_write(slot_fd, "cgroup.procs", digits), 0);
    close(slot_fd);
    bury(host);
    open_pool(&pool, leave_with_7, true);
    int status = 0;
    if (pool.hello.containment != 2)
        kill(left_over, SIGKILL);
    CU_ASSERT_EQUAL(waitpid(left_over, &status, 0), left_over);
    CU_ASSERT_EQUAL(status & 0x7f, SIGKILL);
    if (pool.hello.containment == 2)
        CU_ASSERT_EQUAL(access(stale, F_OK), -1);
    close_pool(&pool);
}

/* A frozen process survives even SIGKILL until it is thawed. */
static bool freeze(const char *directory, pid_t pid)
{
    char digits[16], state[32] = "";
    snprintf(digits, sizeof(digits), "%d", pid);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_frozen = pid > 0 && lp_file_write(fd, "cgroup.procs", digits) == 0 &&
                     lp_file_write(fd, "freezer.state", "FROZEN") == 0;
    while (is_frozen && lp_file_read(fd, "freezer.state", state, sizeof(state)) > 0 &&
           strcmp(state, "FROZEN\n") != 0)
        sched_yield();
    close(fd);
    return is_frozen;
}

static void thaw(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    lp_file_write(fd, "freezer.state", "THAWED");
    close(fd);
}

/* Slot 0's worker can't die; the others are served as if nothing were. */
static void serve_beside_a_frozen_worker(const char *directory, bool use_cgroups)
{
    struct pool pool;
    open_pool(&pool, wait_for_ever, use_cgroups);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    pid_t pid = expect_report(&pool, LP_REPORT_SPAWNED, 0).pid;
    CU_ASSERT(wait_for_bell(&pool, 0));
    CU_ASSERT(freeze(directory, pid));
    ask(&pool, LP_REQUEST_KILL, 0, 1);
    for (uint32_t i = 1; i < SLOTS; i++) {
        ask(&pool, LP_REQUEST_SPAWN, i, 1);
        expect_report(&pool, LP_REPORT_SPAWNED, i);
        CU_ASSERT(wait_for_bell(&pool, i));
        ask(&pool, LP_REQUEST_KILL, i, 1);
        expect_report(&pool, LP_REPORT_EXITED, i);
        expect_report(&pool, LP_REPORT_EMPTY, i);
    }
    thaw(directory);
    expect_report(&pool, LP_REPORT_EXITED, 0);
    expect_report(&pool, LP_REPORT_EMPTY, 0);
    close_pool(&pool);
}

TEST(zygote, serves_others_beside_a_worker_that_cannot_die)
{
    char path[LP_CGROUP_PATH_BYTES];
    if (!make_cgroup("freezer", path))
        TEST_SKIP("may not make a v1 freezer cgroup here");
    serve_beside_a_frozen_worker(path, true);
    serve_beside_a_frozen_worker(path, false);
    CU_ASSERT_EQUAL(rmdir(path), 0);
}

/* Its number stands on the board, by slot. */
static int have_a_child(struct board *board, uint32_t slot)
{
    pid_t pid = fork();
    if (pid == 0)
        stay();
    board->numbers[slot] = pid;
    return wait_for_ever(board, slot);
}

static void lose_a_worker(struct pool *pool, uint32_t slot)
{
    ask(pool, LP_REQUEST_SPAWN, slot, 1);
    expect_report(pool, LP_REPORT_SPAWNED, slot);
    CU_ASSERT(wait_for_bell(pool, slot));
    ask(pool, LP_REQUEST_KILL, slot, 1);
    expect_report(pool, LP_REPORT_EXITED, slot);
}

/* Only the slot whose orphan it is waits for an orphan that can't die. */
static void serve_beside_a_frozen_orphan(const char *directory, bool use_cgroups)
{
    struct pool pool;
    open_pool(&pool, have_a_child, use_cgroups);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, 0);
    CU_ASSERT(wait_for_bell(&pool, 0));
    CU_ASSERT(freeze(directory, pool.board->numbers[0]));
    ask(&pool, LP_REQUEST_KILL, 0, 1);
    expect_report(&pool, LP_REPORT_EXITED, 0);
    for (uint32_t i = 1; i < SLOTS; i++) {
        lose_a_worker(&pool, i);
        expect_report(&pool, LP_REPORT_EMPTY, i);
    }
    thaw(directory);
    expect_report(&pool, LP_REPORT_EMPTY, 0);
    CU_ASSERT_EQUAL(alive_of(&pool, 0), 0);
    close_pool(&pool);
}

TEST(zygote, serves_others_beside_an_orphan_that_cannot_die)
{
    char path[LP_CGROUP_PATH_BYTES];
    if (!make_cgroup("freezer", path))
        TEST_SKIP("may not make a v1 freezer cgroup here");
    serve_beside_a_frozen_orphan(path, true);
    serve_beside_a_frozen_orphan(path, false);
    CU_ASSERT_EQUAL(rmdir(path), 0);
}

/* ---- A start that fails --------------------------------------------------------------------- */

static int calls_left; /* until the one that fails */

static bool fails_now(void)
{
    return --calls_left == 0;
}

static int failing_socketpair(int type, int fds[2])
{
    return fails_now() ? -EMFILE : lp_sys_kernel.socketpair(type, fds);
}

static int failing_pidfd_open(pid_t pid)
{
    return fails_now() ? -EMFILE : lp_sys_kernel.pidfd_open(pid);
}

static pid_t failing_clone(int (*body)(void *), void *stack_top, int flags, void *arg)
{
    return fails_now() ? -EAGAIN : lp_sys_kernel.clone(body, stack_top, flags, arg);
}

static pid_t failing_fork(void)
{
    return fails_now() ? -EAGAIN : lp_sys_kernel.fork();
}

static int count_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 4096; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Starts with the k-th call failing. True as long as there was a k-th call. */
static bool start_with_fault(int k)
{
    struct pool pool;
    set_up(&pool, leave_with_7, false);
    int fds = count_fds();
    calls_left = k;
    lp_sys.socketpair = failing_socketpair;
    lp_sys.pidfd_open = failing_pidfd_open;
    lp_sys.clone = failing_clone;
    lp_sys.fork = failing_fork;
    int error = start(&pool);
    bool has_fired = calls_left <= 0;
    lp_sys = lp_sys_kernel;
    if (has_fired) {
        CU_ASSERT(error == -EMFILE || error == -EAGAIN);
        CU_ASSERT_EQUAL(pool.link.socket_fd, -1);
        CU_ASSERT_EQUAL(pool.link.pid_fd, -1);
        CU_ASSERT_EQUAL(wait_for_none(pool.name, 1000), 0);
        CU_ASSERT_EQUAL(count_fds(), fds);
        CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG | __WALL), -1);
        release(&pool);
    } else {
        CU_ASSERT_EQUAL(error, 0);
        close_quietly(&pool);
    }
    return has_fired;
}

TEST(zygote, start_that_fails_leaves_nothing)
{
    int k = 1;
    while (start_with_fault(k))
        k++;
    CU_ASSERT(k > 5);
}

/* As from a host that has closed its standard descriptors. */
static int start_without_standard_fds(void *arg)
{
    (void)arg;
    struct pool pool;
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    if (!try_to_open(&pool, list_fds, false) || pool.doorbells[0] != 0)
        return 10;
    if (!try_to_ask(&pool, LP_REQUEST_SPAWN, 0, 1) ||
        next_report(&pool, NULL).kind != LP_REPORT_SPAWNED ||
        next_report(&pool, NULL).kind != LP_REPORT_EXITED)
        return 11;
    bool is_right = strcmp(pool.board->text, "0=/dev/null;1=host;2=host;3=anon_inode:[eventfd];") ==
                    0;
    close_quietly(&pool);
    return is_right ? 0 : 12;
}

TEST(zygote, starts_in_a_host_without_standard_descriptors)
{
    CU_ASSERT_EQUAL(hn_test_child(start_without_standard_fds, NULL, WAIT_MS), TEST_EXIT(0));
}

/* ---- In a host with many descriptors -------------------------------------------------------- */

static int highest_fd(pid_t pid)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *handle = opendir(path);
    int highest = -1;
    for (struct dirent *entry; handle != NULL && (entry = readdir(handle)) != NULL;)
        highest = atoi(entry->d_name) > highest ? atoi(entry->d_name) : highest;
    if (handle != NULL)
        closedir(handle);
    return highest;
}

static void open_many(int *fds, int n)
{
    for (int i = 0; i < n; i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

TEST(zygote, stands_on_numbers_of_the_pool)
{
    struct pool pool;
    int others[200];
    set_up(&pool, leave_with_7, true);
    open_many(pool.options.numbers, LP_ZYGOTE_NUMBERS);
    open_many(others, 200);
    CU_ASSERT_EQUAL(start(&pool), 0);
    struct lp_report hello = expect_report(&pool, LP_REPORT_HELLO, 0);
    CU_ASSERT(highest_fd(hello.pid) <= pool.options.numbers[LP_ZYGOTE_NUMBERS - 1]);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, 0);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_EXITED, 0).code, 7);
    expect_report(&pool, LP_REPORT_EMPTY, 0);
    for (int i = 0; i < LP_ZYGOTE_NUMBERS; i++)
        close(pool.options.numbers[i]);
    for (int i = 0; i < 200; i++)
        close(others[i]);
    close_pool(&pool);
}

/* ---- A directory that was given to the pool ------------------------------------------------- */

static bool has_entry(const char *directory, const char *wanted)
{
    bool found = false;
    DIR *handle = opendir(directory);
    for (struct dirent *entry; handle != NULL && (entry = readdir(handle)) != NULL;)
        found |= strncmp(entry->d_name, wanted, strlen(wanted)) == 0;
    if (handle != NULL)
        closedir(handle);
    return found;
}

TEST(zygote, uses_the_delegated_directory)
{
    struct pool pool;
    char path[LP_CGROUP_PATH_BYTES];
    if (!make_cgroup(NULL, path))
        TEST_SKIP("may not make a cgroup v2 directory here");
    set_up(&pool, wait_for_ever, true);
    CU_ASSERT_EQUAL(lp_cgroup_place_find(&pool.place, path, 1), 0);
    CU_ASSERT_EQUAL(start(&pool), 0);
    bool can_kill = expect_report(&pool, LP_REPORT_HELLO, 0).containment == 2;
    CU_ASSERT_EQUAL(has_entry(path, "libpool-"), can_kill);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    CU_ASSERT(wait_for_bell(&pool, 0));
    close_pool(&pool);
    CU_ASSERT_FALSE(has_entry(path, "libpool-"));
    CU_ASSERT_EQUAL(rmdir(path), 0);
}

TEST(zygote, walks_where_the_delegated_directory_is_none)
{
    struct pool pool;
    set_up(&pool, raise_a_family, true);
    CU_ASSERT_EQUAL(lp_cgroup_place_find(&pool.place, "/proc/self/nowhere", 1), 0);
    CU_ASSERT_EQUAL(start(&pool), 0);
    struct lp_report hello = expect_report(&pool, LP_REPORT_HELLO, 0);
    CU_ASSERT_EQUAL(hello.containment, 0);
    CU_ASSERT_EQUAL(hello.error, -ENOENT);
    ask(&pool, LP_REQUEST_SPAWN, 0, 1);
    expect_report(&pool, LP_REPORT_SPAWNED, 0);
    CU_ASSERT(wait_for_rings(&pool, 0, FAMILY_RINGS));
    ask(&pool, LP_REQUEST_KILL, 0, 1);
    expect_report(&pool, LP_REPORT_EXITED, 0);
    expect_report(&pool, LP_REPORT_EMPTY, 0);
    CU_ASSERT_EQUAL(alive_of(&pool, 0), 0);
    close_pool(&pool);
}

/* ---- Odd hosts -------------------------------------------------------------------------------- */

TEST(zygote, link_to_a_dead_one_says_so)
{
    struct pool pool;
    open_pool(&pool, wait_for_ever, true);
    kill(pool.link.pid, SIGKILL);
    CU_ASSERT(readable_within(pool.link.pid_fd, WAIT_MS));
    const struct lp_request request = {LP_REQUEST_SPAWN, 0, 1, 0, 0};
    struct lp_report report;
    int pidfd;
    CU_ASSERT_EQUAL(lp_zygote_send(&pool.link, &request, -1), -EPIPE); /* and no SIGPIPE */
    CU_ASSERT_EQUAL(lp_zygote_receive(&pool.link, &report, &pidfd), -EPIPE);
    lp_zygote_drop(&pool.link);
    lp_zygote_drop(&pool.link);
    CU_ASSERT_EQUAL(start(&pool), 0); /* clears the directories up */
    expect_report(&pool, LP_REPORT_HELLO, 0);
    close_pool(&pool);
}

/* Runs a family to its end and closes the pool; exit code 0 when nothing is left, not even a zombie. */
static int be_a_reaping_host(bool use_cgroups)
{
    struct pool pool;
    if (!try_to_open(&pool, raise_a_family, use_cgroups) ||
        !try_to_ask(&pool, LP_REQUEST_SPAWN, 0, 1) ||
        next_report(&pool, NULL).kind != LP_REPORT_SPAWNED ||
        !wait_for_rings(&pool, 0, FAMILY_RINGS))
        return 10;
    if (!try_to_ask(&pool, LP_REQUEST_KILL, 0, 1) ||
        next_report(&pool, NULL).kind != LP_REPORT_EXITED ||
        next_report(&pool, NULL).kind != LP_REPORT_EMPTY)
        return 11;
    if (alive_of(&pool, 0) != 0)
        return 12;
    close_quietly(&pool);
    return waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD ? 0 : 13;
}

static int be_a_sub_reaper(void *arg)
{
    (void)arg;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return be_a_reaping_host(true);
}

TEST(zygote, leaves_no_zombie_to_a_host_that_is_a_sub_reaper)
{
    CU_ASSERT_EQUAL(hn_test_child(be_a_sub_reaper, NULL, WAIT_MS), TEST_EXIT(0));
}

static int be_process_one(void *arg)
{
    const bool *has_own_proc = arg;
    known_as = (int)getpid();
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
        return 77;
    pid_t pid = fork();
    if (pid == 0) {
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        if (*has_own_proc && mount("proc", "/proc", "proc", 0, NULL) != 0)
            _exit(77);
        _exit(be_a_reaping_host(!*has_own_proc));
    }
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 14;
}

TEST(zygote, serves_a_host_that_is_process_1)
{
    bool has_own_proc = true;
    int end = hn_test_child(be_process_one, &has_own_proc, WAIT_MS);
    if (end == TEST_EXIT(77))
        TEST_SKIP("may not make a pid namespace here");
    CU_ASSERT_EQUAL(end, TEST_EXIT(0));
}

/* The numbers in /proc are another namespace's: they must not be taken for ours. */
TEST(zygote, does_not_believe_the_proc_of_another_namespace)
{
    bool has_own_proc = false;
    int end = hn_test_child(be_process_one, &has_own_proc, WAIT_MS);
    if (end == TEST_EXIT(77))
        TEST_SKIP("may not make a pid namespace here");
    CU_ASSERT_EQUAL(end, TEST_EXIT(0));
}

/* Spawns and kills without end, until it is killed itself. */
static void be_a_busy_host(int pipe_fd)
{
    struct pool pool;
    if (!try_to_open(&pool, storm, true) || write(pipe_fd, pool.name, sizeof(pool.name)) < 0)
        _exit(1);
    for (uint32_t i = 0;; i++) {
        try_to_ask(&pool, i % 3 == 2 ? LP_REQUEST_KILL : LP_REQUEST_SPAWN, i % 2, i / 4);
        next_report(&pool, NULL);
    }
}

TEST(zygote, kills_everything_whenever_the_host_was_killed)
{
    for (int round = 0; round < 20; round++) {
        int fds[2];
        char name[16] = "";
        CU_ASSERT_EQUAL(pipe2(fds, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0)
            be_a_busy_host(fds[1]);
        close(fds[1]);
        CU_ASSERT_EQUAL(read(fds[0], name, sizeof(name)), (ssize_t)sizeof(name));
        poll(NULL, 0, round % 7); /* some moment */
        kill(pid, SIGKILL);
        CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
        CU_ASSERT_EQUAL(wait_for_none(name, 1000), 0);
        close(fds[0]);
    }
}

/* Without cgroups what forks without end is outrun only as long as there is no second one. */
TEST_ALONE(zygote, kills_everything_whenever_the_host_was_killed, "a storm of forks")
TEST_ALONE(zygote_spawned, kills_everything_whenever_the_host_was_killed, "a storm of forks")

/* ---- Heirs: without cgroups a new zygote must be told whom the old one left ------------------- */

/* A worker with a family whose zygote was killed, and a new zygote that knows of it. */
static void leave_an_heir(struct pool *pool, int heir_fds[SLOTS], pid_t heir_pids[SLOTS])
{
    open_pool(pool, outlive_the_zygote, false);
    for (int i = 0; i < SLOTS; i++)
        heir_fds[i] = -1;
    ask(pool, LP_REQUEST_SPAWN, 2, 1);
    heir_pids[2] = next_report(pool, &heir_fds[2]).pid;
    CU_ASSERT(heir_fds[2] >= 0);
    CU_ASSERT(wait_for_rings(pool, 2, 2));
    lp_zygote_drop(&pool->link);
    pool->options.heir_fds = heir_fds;
    pool->options.heir_pids = heir_pids;
    CU_ASSERT_EQUAL(start(pool), 0);
    expect_report(pool, LP_REPORT_HELLO, 0);
    CU_ASSERT(wait_for_two(pool, 2));
}

/* Until only the zygote bears that name: init, not we, reaps what an heir leaves. */
static bool wait_for_zygote_alone(const char *name)
{
    uint64_t deadline_ms = clock_ms() + 5000;
    pid_t pids[NAMED_MAX];
    while (find_named(name, pids) != 1 && clock_ms() < deadline_ms)
        (void)poll(NULL, 0, 2);
    return find_named(name, pids) == 1;
}

TEST(zygote, kills_an_heir_with_its_family)
{
    struct pool pool;
    int heir_fds[SLOTS];
    pid_t heir_pids[SLOTS] = {0};
    leave_an_heir(&pool, heir_fds, heir_pids);
    ask(&pool, LP_REQUEST_SPAWN, 2, 2);
    CU_ASSERT_EQUAL(expect_report(&pool, LP_REPORT_SPAWN_FAILED, 2).error, -EBUSY);
    ask(&pool, LP_REQUEST_KILL, 2, 1);
    expect_report(&pool, LP_REPORT_EMPTY, 2);
    CU_ASSERT(readable_within(heir_fds[2], 0));
    CU_ASSERT(wait_for_zygote_alone(pool.name));
    ask(&pool, LP_REQUEST_SPAWN, 2, 2);
    expect_report(&pool, LP_REPORT_SPAWNED, 2);
    close_pool(&pool);
    close(heir_fds[2]);
}

TEST(zygote, ends_its_heirs_when_it_leaves)
{
    struct pool pool;
    int heir_fds[SLOTS];
    pid_t heir_pids[SLOTS] = {0};
    leave_an_heir(&pool, heir_fds, heir_pids);
    ask(&pool, LP_REQUEST_QUIT, 0, 0);
    CU_ASSERT_EQUAL(wait_for_none(pool.name, 1000), 0);
    release(&pool);
    close(heir_fds[2]);
}
