/* SPDX-License-Identifier: MIT */
/*
 * What the supervisor does about tasks that go for the pool itself: they kill their zygote, leave
 * nobody a descriptor or a process to fork, and run away from their worker.
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness/test.h"
#include "os/cgroup_find.h"
#include "os/file.h"
#include "sys/sys.h"

#define WAIT_MS 15000
#define BOMB_PIDS 60

/* ---- helpers -------------------------------------------------------------------------------- */

static int noop(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

static libpool_future *submit(libpool *pool, libpool_task_function *function,
                              uint32_t run_timeout_ms)
{
    libpool_future *future = NULL;
    libpool_task task = {
        .size = sizeof task, .function = function, .run_timeout_ms = run_timeout_ms};
    return libpool_submit(pool, &task, 0, &future) == 0 ? future : NULL;
}

static libpool_cause cause_of(libpool_future *future)
{
    if (!future || libpool_future_wait(future, WAIT_MS) != 0)
        return LIBPOOL_PENDING;
    libpool_cause cause = libpool_future_result(future)->cause;
    libpool_future_free(future);
    return cause;
}

/* A directory of this process's own below its cgroup. */
static bool make_cgroup(const char *controller, char path[LP_CGROUP_PATH_BYTES])
{
    char membership[4096];
    static char mountinfo[262144];
    lp_file_read(AT_FDCWD, "/proc/self/mountinfo", mountinfo, sizeof mountinfo);
    lp_file_read(AT_FDCWD, "/proc/self/cgroup", membership, sizeof membership);
    if (!lp_cgroup_find(mountinfo, membership, controller, path))
        return false;
    size_t length = strlen(path);
    snprintf(path + length, LP_CGROUP_PATH_BYTES - length, "/lp-test-%d", (int)getpid());
    return mkdir(path, 0755) == 0;
}

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
    return 0;
}

/* Who is busy may not have begun yet, and what has not begun goes to another when its worker dies. */
static bool has_begun(libpool *pool)
{
    uint64_t task_id = 0, since_ns;
    pthread_mutex_lock(&pool->lock);
    if (pool->core.workers[0].state == LP_WORKER_BUSY)
        lp_channel_read_started(&pool->lines[0].channel, &task_id, &since_ns);
    pthread_mutex_unlock(&pool->lock);
    return task_id == 1;
}

/* A pool with one worker, which is busy with a task that never ends; its future. */
static libpool_future *open_busy_pool(libpool **pool, uint32_t run_timeout_ms)
{
    libpool_options options = {.size = sizeof options, .max_workers = 1};
    CU_ASSERT_EQUAL_FATAL(libpool_open(pool, &options), 0);
    libpool_future *future = submit(*pool, hang, run_timeout_ms);
    CU_ASSERT_PTR_NOT_NULL_FATAL(future);
    for (int i = 0; i < 1000 && !has_begun(*pool); i++)
        (void)poll(NULL, 0, 5);
    CU_ASSERT(has_begun(*pool));
    return future;
}

/* ---- Who is looked at without a bell --------------------------------------------------------- */

#define CROWD 8u

static _Atomic uint32_t *arrived; /* shared with the workers */

/* None leaves before all are there. */
static int meet(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    (void)atomic_fetch_add(arrived, 1);
    for (uint32_t seen; (seen = atomic_load(arrived)) < CROWD;)
        (void)lp_sys.futex_wait(arrived, seen, -1);
    (void)lp_sys.futex_wake(arrived); /* the next one */
    return 0;
}

static uint32_t count_scanned(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    uint32_t n = atomic_load(&pool->n_scanned);
    pthread_mutex_unlock(&pool->lock);
    return n;
}

TEST(supervisor, who_gets_no_more_tasks_is_not_looked_at)
{
    libpool *pool;
    libpool_future *crowd[CROWD];
    libpool_options options = {.size = sizeof options, .min_workers = CROWD, .max_workers = CROWD};
    arrived = lp_sys.map_shared(sizeof *arrived);
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    for (uint32_t i = 0; i < CROWD; i++)
        crowd[i] = submit(pool, meet, 0);
    for (uint32_t i = 0; i < CROWD; i++)
        CU_ASSERT_EQUAL(cause_of(crowd[i]), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(count_scanned(pool), CROWD);
    for (int i = 0; i < 3000; i++)
        CU_ASSERT_EQUAL(cause_of(submit(pool, noop, 0)), LIBPOOL_COMPLETED);
    CU_ASSERT(count_scanned(pool) <= 2);
    atomic_store(arrived, 0);
    for (uint32_t i = 0; i < CROWD; i++)
        crowd[i] = submit(pool, meet, 0);
    for (uint32_t i = 0; i < CROWD; i++)
        CU_ASSERT_EQUAL(cause_of(crowd[i]), LIBPOOL_COMPLETED); /* heard all the same */
    libpool_close(pool);
    lp_sys.unmap((void *)arrived, sizeof *arrived);
}

/* ---- Orphans: workers whose zygote is lost --------------------------------------------------- */

/*
 * The host had no descriptor for the worker's pidfd, the worker and its zygote die, and its number is
 * given to somebody else (here: is made to be somebody else's) before the host looks.
 */
TEST(supervisor, a_number_that_was_given_to_another_is_not_believed)
{
    libpool *pool;
    pid_t stranger = fork();
    if (stranger == 0)
        for (;;)
            pause();
    (void)poll(NULL, 0, 30); /* they may not be born in the same tick of the clock */
    libpool_future *future = open_busy_pool(&pool, 1000);
    pthread_mutex_lock(&pool->lock);
    struct lp_line *line = &pool->lines[0];
    pid_t worker = line->pid;
    lp_poller_remove(&pool->poller, line->pid_fd);
    lp_fd_close(&line->pid_fd);
    line->pid = stranger;
    CU_ASSERT_EQUAL(kill(pool->zygote.pid, SIGKILL), 0);
    CU_ASSERT_EQUAL(kill(worker, SIGKILL), 0);
    pthread_mutex_unlock(&pool->lock);
    CU_ASSERT_EQUAL(cause_of(future), LIBPOOL_LOST);
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, 0)), LIBPOOL_COMPLETED);
    libpool_close(pool);
    CU_ASSERT_EQUAL(waitpid(stranger, NULL, WNOHANG), 0); /* it lives */
    CU_ASSERT_EQUAL(kill(stranger, SIGKILL), 0);
    CU_ASSERT_EQUAL(waitpid(stranger, NULL, 0), stranger);
}

static int refuse_processes(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    bool is_process = operation == EPOLL_CTL_ADD && event->data.u64 >> 60 == 4; /* TAG_PROCESS */
    return is_process ? -ENOSPC : lp_sys_kernel.epoll_ctl(epoll_fd, operation, fd, event);
}

TEST(supervisor, an_orphan_that_can_not_be_watched_is_looked_at)
{
    libpool *pool;
    lp_sys.epoll_ctl = refuse_processes;
    libpool_future *future = open_busy_pool(&pool, 0);
    pthread_mutex_lock(&pool->lock);
    pid_t worker = pool->lines[0].pid;
    CU_ASSERT_EQUAL(kill(pool->zygote.pid, SIGKILL), 0);
    pthread_mutex_unlock(&pool->lock);
    libpool_stats stats = {.size = sizeof stats};
    for (int i = 0; i < 1000 && stats.zygotes_lost == 0; i++) {
        (void)poll(NULL, 0, 5);
        (void)libpool_stats_read(pool, &stats);
    }
    CU_ASSERT_EQUAL(stats.zygotes_lost, 1);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 50), -ETIMEDOUT);
    CU_ASSERT_EQUAL(kill(worker, SIGKILL), 0);
    libpool_cause cause = cause_of(future);
    CU_ASSERT(cause == LIBPOOL_KILLED || cause == LIBPOOL_LOST); /* before 6.15 nobody can tell */
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, 0)), LIBPOOL_COMPLETED);
    libpool_close(pool);
    lp_sys.epoll_ctl = lp_sys_kernel.epoll_ctl;
}

/* ---- Tasks that return and leave something behind --------------------------------------------- */

/* A child that stays; its number is the reply. */
static int leave_a_child(libpool_worker *worker)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            (void)pause();
    return pid < 0 ? errno : libpool_reply(worker, &pid, sizeof pid);
}

static int leave_a_child_and_no_descriptor(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
        continue;
    return leave_a_child(worker);
}

/* The number that the task replied; 0: it did not complete. */
static pid_t pid_from(libpool_future *future)
{
    pid_t pid = 0;
    if (!future || libpool_future_wait(future, WAIT_MS) != 0)
        return 0;
    const libpool_result *result = libpool_future_result(future);
    if (result->cause == LIBPOOL_COMPLETED && result->data_size == sizeof pid)
        memcpy(&pid, result->data, sizeof pid);
    libpool_future_free(future);
    return pid;
}

static bool is_gone_within(pid_t pid, int limit_ms)
{
    for (; limit_ms > 0 && kill(pid, 0) == 0; limit_ms -= 5)
        (void)poll(NULL, 0, 5);
    return kill(pid, 0) != 0;
}

static libpool *open_pool_of_one(uint32_t flags)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .flags = flags, .min_workers = 1, .max_workers = 1};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

TEST(supervisor, a_worker_that_can_not_clear_up_after_a_task_leaves)
{
    libpool *pool = open_pool_of_one(0);
    pid_t pid = pid_from(submit(pool, leave_a_child_and_no_descriptor, 0));
    CU_ASSERT_FATAL(pid > 0);
    CU_ASSERT(is_gone_within(pid, 5000));
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, 0)), LIBPOOL_COMPLETED);
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.workers_ended[LIBPOOL_COMPLETED], 1); /* in order, as when recycled */
    CU_ASSERT_EQUAL(stats.tasks_returned, 0);
    libpool_close(pool);
}

static int refuse_orphans(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 0);
    return leave_a_child(worker);
}

/* The one in between is gone when the task returns. */
static int leave_an_orphan(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    int ends[2];
    pid_t pid = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    pid_t between = fork();
    if (between == 0) {
        pid = fork();
        if (pid == 0)
            for (;;)
                (void)pause();
        _exit(write(ends[1], &pid, sizeof pid) < 0);
    }
    if (waitpid(between, NULL, 0) != between || read(ends[0], &pid, sizeof pid) != sizeof pid)
        return ECHILD;
    return libpool_reply(worker, &pid, sizeof pid);
}

TEST(supervisor, a_task_that_refuses_orphans_does_so_for_itself_only)
{
    libpool *pool = open_pool_of_one(0);
    pid_t child = pid_from(submit(pool, refuse_orphans, 0));
    CU_ASSERT_FATAL(child > 0);
    CU_ASSERT(is_gone_within(child, 5000));
    pid_t orphan = pid_from(submit(pool, leave_an_orphan, 0));
    CU_ASSERT_FATAL(orphan > 0);
    CU_ASSERT(is_gone_within(orphan, 5000));
    libpool_close(pool);
}

/* ---- Deaths that are foretold ----------------------------------------------------------------- */

static bool foretells(libpool *pool)
{
    bool does = pool->omens.fd >= 0;
    if (!does)
        hn_test_skip("no io_uring here, or none that waits for futexes");
    return does;
}

/* Some worker is in this state, or becomes so. */
static bool await_state(libpool *pool, enum lp_worker_state state, uint32_t count)
{
    uint32_t seen = 0;
    for (int i = 0; i < 2000 && seen < count; i++) {
        pthread_mutex_lock(&pool->lock);
        seen = pool->core.in_state[state];
        pthread_mutex_unlock(&pool->lock);
        if (seen < count)
            (void)poll(NULL, 0, 5);
    }
    return seen >= count;
}

static pid_t signal_zygote(libpool *pool, int signal)
{
    pthread_mutex_lock(&pool->lock);
    pid_t pid = pool->zygote.pid;
    pthread_mutex_unlock(&pool->lock);
    CU_ASSERT_EQUAL(kill(pid, signal), 0);
    return pid;
}

static pid_t find_begun(libpool *pool)
{
    pid_t pid = 0;
    uint64_t task_id = 0, since_ns;
    pthread_mutex_lock(&pool->lock);
    for (uint32_t slot = 0; slot < pool->core.slots; slot++) {
        const struct lp_worker *worker = &pool->core.workers[slot];
        if (worker->state != LP_WORKER_BUSY)
            continue;
        lp_channel_read_started(&pool->lines[slot].channel, &task_id, &since_ns);
        if (task_id == pool->core.tasks.table[worker->task].id)
            pid = pool->lines[slot].pid;
    }
    pthread_mutex_unlock(&pool->lock);
    return pid;
}

/* Whoever has begun a task, or does so soon. */
static void kill_busy(libpool *pool)
{
    pid_t pid = 0;
    for (int i = 0; i < 2000 && (pid = find_begun(pool)) == 0; i++)
        (void)poll(NULL, 0, 5);
    CU_ASSERT_NOT_EQUAL_FATAL(pid, 0);
    CU_ASSERT_EQUAL(kill(pid, SIGKILL), 0);
}

/* Nobody else can tell: the zygote is stopped, and no pidfd is watched. So only what is foretold is known. */
TEST(supervisor, a_spare_works_before_the_death_is_told)
{
    libpool *pool;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .spare_workers = 1};
    options.min_workers = 1;
    lp_sys.epoll_ctl = refuse_processes;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    if (foretells(pool)) {
        CU_ASSERT(await_state(pool, LP_WORKER_IDLE, 2));
        libpool_future *victim = submit(pool, hang, 0);
        libpool_future *next = submit(pool, noop, 0);
        (void)signal_zygote(pool, SIGSTOP);
        kill_busy(pool);
        CU_ASSERT_EQUAL(cause_of(next), LIBPOOL_COMPLETED);
        CU_ASSERT_EQUAL(libpool_future_wait(victim, 0),
                        -ETIMEDOUT); /* how it ended is not known yet */
        (void)signal_zygote(pool, SIGCONT);
        CU_ASSERT_EQUAL_FATAL(libpool_future_wait(victim, WAIT_MS), 0);
        CU_ASSERT_EQUAL(libpool_future_result(victim)->cause, LIBPOOL_KILLED);
        CU_ASSERT_EQUAL(libpool_future_result(victim)->signal, SIGKILL);
        libpool_future_free(victim);
    }
    libpool_close(pool);
    lp_sys.epoll_ctl = lp_sys_kernel.epoll_ctl;
}

/* The kernel is stuck over it: no look at a pidfd says that it is dead. */
static int poll_in_vain(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    return n == 1 && timeout_ms == 0 ? 0 : lp_sys_kernel.poll(fds, n, timeout_ms);
}

TEST(supervisor, a_tear_down_without_end_does_not_hold_up_a_run_timeout)
{
    libpool *pool;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .min_workers = 1};
    lp_sys.epoll_ctl = refuse_processes;
    lp_sys.poll = poll_in_vain;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    if (foretells(pool)) {
        CU_ASSERT(await_state(pool, LP_WORKER_IDLE, 1));
        libpool_future *victim = submit(pool, hang, 1000);
        pid_t zygote = signal_zygote(pool, SIGSTOP);
        kill_busy(pool);
        CU_ASSERT(await_state(pool, LP_WORKER_GONE, 1));
        CU_ASSERT_EQUAL(cause_of(victim), LIBPOOL_TIMEOUT);
        CU_ASSERT(await_state(pool, LP_WORKER_GONE, 1));
        CU_ASSERT_EQUAL(signal_zygote(pool, SIGCONT), zygote);
        CU_ASSERT_EQUAL(cause_of(submit(pool, noop, 0)), LIBPOOL_COMPLETED);
    }
    libpool_close(pool);
    lp_sys.poll = lp_sys_kernel.poll;
    lp_sys.epoll_ctl = lp_sys_kernel.epoll_ctl;
}

/* Says that its owner is dead, and wakes whoever waits for that. Its input: where its pool's window is. */
static int forge(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker;
    struct lp_window *window;
    memcpy(&window, input, size);
    struct lp_omen *omen = lp_window_omen(window);
    _Atomic uint32_t *word = (_Atomic uint32_t *)(uintptr_t)lp_omen_word(omen);
    for (int i = 0; word && i < 1000; i++) {
        atomic_store(word, FUTEX_OWNER_DIED);
        (void)lp_sys.futex_wake(word);
    }
    return word ? 0 : 1;
}

static libpool_cause forge_once(libpool *pool)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = forge,
                         .input = &pool->lines[0].window,
                         .input_size = sizeof pool->lines[0].window};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 0, &future), 0);
    return cause_of(future);
}

TEST(supervisor, an_omen_that_is_forged_costs_one_look)
{
    libpool *pool = open_pool_of_one(0);
    if (foretells(pool)) {
        CU_ASSERT(await_state(pool, LP_WORKER_IDLE, 1));
        pid_t zygote = signal_zygote(pool, 0);
        CU_ASSERT_EQUAL(forge_once(pool), LIBPOOL_COMPLETED);
        CU_ASSERT_EQUAL(forge_once(pool), LIBPOOL_COMPLETED);
        libpool_stats stats = {.size = sizeof stats};
        CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
        CU_ASSERT_EQUAL(stats.worker_processes_created, 1);
        CU_ASSERT_EQUAL(stats.worker_processes_still_alive, 1);
        CU_ASSERT_EQUAL(zygote, signal_zygote(pool, 0));
        pthread_mutex_lock(&pool->lock);
        CU_ASSERT_EQUAL(pool->lines[0].omen_of, pool->lines[0].generation);
        CU_ASSERT_FALSE(pool->lines[0].foretold); /* no more of it in this life */
        pthread_mutex_unlock(&pool->lock);
        libpool_future *victim = submit(pool, hang, 0); /* then its pidfd tells */
        kill_busy(pool);
        CU_ASSERT_EQUAL(cause_of(submit(pool, noop, 0)), LIBPOOL_COMPLETED);
        (void)cause_of(victim);
    }
    libpool_close(pool);
}

static int become_another_program(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    (void)execl("/bin/sh", "sh", "-c", "sleep 0.1; exit 3", (char *)NULL);
    return errno;
}

static void *execute(void *unused)
{
    (void)become_another_program(NULL, NULL, 0);
    return unused;
}

/* The first thread ends, that of the program takes its place. */
static int become_another_program_elsewhere(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    pthread_t thread;
    int error = pthread_create(&thread, NULL, execute, NULL);
    return error ? error : pthread_join(thread, NULL);
}

static void expect_program_to_end(libpool *pool, libpool_task_function *function)
{
    libpool_future *future = submit(pool, function, 0);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, WAIT_MS), 0);
    CU_ASSERT_EQUAL(libpool_future_result(future)->cause, LIBPOOL_EXIT);
    CU_ASSERT_EQUAL(libpool_future_result(future)->code, 3);
    libpool_future_free(future);
}

/* exec() gives the omen up as a death does, and the program has its time. */
TEST(supervisor, a_program_in_the_place_of_a_worker_ends_by_itself)
{
    libpool *pool = open_pool_of_one(0);
    for (int i = 0; i < 5; i++) {
        expect_program_to_end(pool, become_another_program);
        expect_program_to_end(pool, become_another_program_elsewhere);
    }
    libpool_close(pool);
}

static int no_ring(uint32_t entries, void *parameters)
{
    (void)entries, (void)parameters;
    return -EPERM;
}

static int no_waits(int ring_fd, uint32_t submit)
{
    (void)ring_fd, (void)submit;
    return -EPERM;
}

static _Atomic int refusals;

static int no_waits_yet(int ring_fd, uint32_t submit)
{
    return refusals++ < 3 ? -EAGAIN : lp_sys_kernel.io_uring_enter(ring_fd, submit);
}

/* Nothing else happens that would wake the supervisor. */
TEST(supervisor, waits_for_omens_that_were_refused_are_tried_again)
{
    libpool *pool;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .min_workers = 1};
    refusals = 0;
    lp_sys.io_uring_enter = no_waits_yet;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    if (foretells(pool)) {
        CU_ASSERT(await_state(pool, LP_WORKER_IDLE, 1));
        for (int i = 0; i < 1000 && refusals < 4; i++)
            (void)poll(NULL, 0, 5);
        CU_ASSERT_EQUAL(refusals, 4);
    }
    libpool_close(pool);
    lp_sys.io_uring_enter = lp_sys_kernel.io_uring_enter;
}

static void survive_a_kill(bool has_ring)
{
    libpool *pool;
    libpool_future *victim = open_busy_pool(&pool, 0);
    CU_ASSERT_EQUAL(pool->omens.fd >= 0, has_ring);
    kill_busy(pool);
    CU_ASSERT_EQUAL(cause_of(victim), LIBPOOL_KILLED);
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, 0)), LIBPOOL_COMPLETED);
    libpool_close(pool);
}

TEST(supervisor, without_omens_pidfds_tell)
{
    lp_sys.io_uring_setup = no_ring;
    survive_a_kill(false);
    lp_sys.io_uring_setup = lp_sys_kernel.io_uring_setup;
    struct lp_omens omens;
    if (lp_omens_open(&omens, 1))
        return;
    lp_omens_close(&omens);
    lp_sys.io_uring_enter = no_waits;
    survive_a_kill(true);
    lp_sys.io_uring_enter = lp_sys_kernel.io_uring_enter;
}

/* ---- A small stack ----------------------------------------------------------------------------- */

#define SMALL_STACK_BYTES (64u * 1024)
#define BELOW_BYTES (256u * 1024) /* somebody else's memory */

/* More than the driving thread has. */
static int use_much_stack(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    volatile char much[4 * SMALL_STACK_BYTES];
    for (size_t i = 0; i < sizeof much; i += 1024)
        much[i] = (char)i;
    return much[1024] - (char)1024;
}

static void *drive_a_pool(void *unused)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .flags = LIBPOOL_NO_THREAD, .max_workers = 1};
    if (libpool_open(&pool, &options) != 0)
        return "not opened";
    bool good = cause_of(submit(pool, use_much_stack, 0)) == LIBPOOL_COMPLETED;
    libpool_close(pool);
    (void)unused;
    return good ? NULL : "the task did not complete";
}

/* The thread's stack, a page that must not be touched, and below it memory that is somebody's. */
static int drive_on_a_small_stack(void *unused)
{
    (void)unused;
    pthread_t thread;
    pthread_attr_t attributes;
    void *failure = "no thread";
    unsigned char *memory = lp_sys.map(BELOW_BYTES + SMALL_STACK_BYTES);
    if (!memory || mprotect(memory + BELOW_BYTES - 4096, 4096, PROT_NONE) != 0)
        return 1;
    memset(memory, 0x5a, BELOW_BYTES - 4096);
    pthread_attr_init(&attributes);
    if (pthread_attr_setstack(&attributes, memory + BELOW_BYTES, SMALL_STACK_BYTES) != 0 ||
        pthread_create(&thread, &attributes, drive_a_pool, NULL) != 0 ||
        pthread_join(thread, &failure) != 0 || failure)
        return 2;
    for (size_t i = 0; i < BELOW_BYTES - 4096; i++)
        if (memory[i] != 0x5a)
            return 3;
    return 0;
}

TEST(supervisor, a_thread_with_a_small_stack_drives)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("ThreadSanitizer itself wants 900 KiB of every stack");
    CU_ASSERT_EQUAL(hn_test_child(drive_on_a_small_stack, NULL, 20000), TEST_EXIT(0));
}

/* ---- The zygote before the thread ------------------------------------------------------------ */

static pid_t opener;
static uint64_t threads_at_fork;

static uint64_t count_threads(void)
{
    char path[32], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)opener);
    return lp_file_read(AT_FDCWD, path, text, sizeof text) > 0 ? lp_file_number(text, "Threads:", 0)
                                                               : 0;
}

/* In the host's memory. */
static pid_t count_and_fork(void)
{
    threads_at_fork = count_threads();
    return lp_sys_kernel.fork();
}

static int never_had_threads(void)
{
    return 0;
}

static int had_threads(void)
{
    return 1;
}

static size_t have_little_stack(void)
{
    return (size_t)1024 * 1024;
}

/* How many of the pool's threads were there when its zygote was forked. */
static uint64_t threads_before_zygote(void)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 2, .min_workers = 1};
    opener = getpid();
    lp_sys.fork = count_and_fork;
    uint64_t before = count_threads();
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_TRUE(pool->has_thread);
    CU_ASSERT_EQUAL(cause_of(submit(pool, noop, 0)), LIBPOOL_COMPLETED);
    libpool_close(pool);
    lp_sys.fork = lp_sys_kernel.fork;
    return threads_at_fork - before;
}

TEST(supervisor, a_zygote_comes_before_the_first_thread)
{
    lp_sys.has_threads = never_had_threads;
    CU_ASSERT_EQUAL(threads_before_zygote(), 0);
    lp_sys.has_threads = had_threads;
    CU_ASSERT_EQUAL(threads_before_zygote(), 1);
    lp_sys.has_threads = lp_sys_kernel.has_threads;
}

TEST(supervisor, tasks_have_as_much_stack_as_the_pools_thread)
{
    lp_sys.has_threads = never_had_threads;
    lp_sys.stack_left = have_little_stack;
    CU_ASSERT_EQUAL(threads_before_zygote(), 1);
    lp_sys.has_threads = lp_sys_kernel.has_threads;
    lp_sys.stack_left = lp_sys_kernel.stack_left;
}

static void *stay(void *unused)
{
    for (;;)
        (void)pause();
    return unused;
}

/* Not of what is mapped anew, nor of what the libc has kept. */
static int leave_no_stack_of(size_t size)
{
    char text[128];
    pthread_t thread;
    pthread_attr_t attributes;
    if (lp_file_read(AT_FDCWD, "/proc/self/statm", text, sizeof text) <= 0)
        return -1;
    rlim_t bytes = strtoul(text, NULL, 10) * 4096 + size;
    const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, size);
    int error = setrlimit(RLIMIT_AS, &limit);
    while (error == 0 && pthread_create(&thread, &attributes, stay, NULL) == 0)
        continue;
    return error;
}

/* Whoever a zygote leaves behind would be ours. */
static int open_without_a_thread(void *unused)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .min_workers = 1};
    (void)unused;
    lp_sys.has_threads = never_had_threads;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (leave_no_stack_of((size_t)4 << 20) != 0)
        return 1;
    if (libpool_open(&pool, &options) != -EAGAIN)
        return 2;
    return waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD ? 0 : 3;
}

TEST(supervisor, a_thread_that_can_not_be_started_leaves_no_zygote)
{
    if (TEST_THREAD_SANITIZER || TEST_ADDRESS_SANITIZER)
        TEST_SKIP("sanitizers want memory themselves");
    CU_ASSERT_EQUAL(hn_test_child(open_without_a_thread, NULL, 20000), TEST_EXIT(0));
}

/* ---- A fork bomb ---------------------------------------------------------------------------- */

/* Takes each place in the pids limit that falls free, in a session of its own. */
static _Noreturn void be_a_bomb(void)
{
    (void)setsid();
    for (;;)
        if (fork() < 0)
            (void)poll(NULL, 0, 1);
}

/* The zygote is killed, the limit is filled, and the worker leaves its descendants to init. */
static int bomb(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    (void)kill(getppid(), SIGKILL);
    if (fork() == 0)
        be_a_bomb();
    pid_t pid;
    while ((pid = fork()) >= 0)
        if (pid == 0)
            be_a_bomb();
    _exit(1);
}

static int meet_a_bomb(void *path)
{
    libpool *pool = NULL;
    char limit[16];
    int directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    libpool_options options = {.size = sizeof options, .max_workers = 2, .min_workers = 1};
    snprintf(limit, sizeof limit, "%d", BOMB_PIDS);
    if (lp_file_write(directory_fd, "cgroup.procs", "0") < 0 ||
        lp_file_write(directory_fd, "pids.max", limit) < 0 || libpool_open(&pool, &options) != 0)
        return 10;
    if (pool->containment != 2)
        return 77;
    libpool_cause cause = cause_of(submit(pool, bomb, 0));
    libpool_cause next = cause_of(submit(pool, noop, 0));
    libpool_close(pool);
    if (cause != LIBPOOL_EXIT && cause != LIBPOOL_LOST) /* there may be no witness */
        return 11;
    return next == LIBPOOL_COMPLETED ? 0 : 12;
}

/* The host's init: reaps whatever lands on it, and ends as the host does. */
static int be_its_init(void *path)
{
    int status = 0, end = -1;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t host = fork();
    if (host == 0)
        _exit(meet_a_bomb(path));
    for (pid_t pid; (pid = waitpid(-1, &status, 0)) > 0;)
        if (pid == host)
            end = WIFEXITED(status) ? WEXITSTATUS(status) : 13;
    return end;
}

TEST(supervisor, ends_a_fork_bomb_that_leaves_no_room_for_a_zygote)
{
    char path[LP_CGROUP_PATH_BYTES];
    if (!make_cgroup("pids", path))
        TEST_SKIP("may not make a v1 pids cgroup here");
    int end = hn_test_child(be_its_init, path, 2 * WAIT_MS);
    CU_ASSERT_EQUAL(rmdir(path), 0);
    if (end == TEST_EXIT(77))
        TEST_SKIP("no cgroup.kill here");
    CU_ASSERT_EQUAL(end, TEST_EXIT(0));
}
