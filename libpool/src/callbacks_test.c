/* SPDX-License-Identifier: MIT */
/* Callbacks of tasks: each once, in order, by the right thread; and all that one may do to its pool. */
#include <libpool.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"

#define DEADLINE_MS 20000
#define ENTRIES 5000

/* ---- tasks ---------------------------------------------------------------------------------- */

static int noop(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
    return 0;
}

static int crash(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return raise(SIGSEGV);
}

/* ---- what was called -------------------------------------------------------------------------- */

struct entry {
    const void *arg;
    bool done; /* else: started */
    libpool_cause cause;
    uint64_t task_id;
    pthread_t by;
};

/* One test at a time. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct entry entries[ENTRIES];
    unsigned n;
    bool open; /* the gate at which `block` waits */
    bool blocked;
    libpool *pool;
    int codes[4]; /* what calls inside a callback returned */
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void forget(void)
{
    seen.n = 0;
    seen.open = seen.blocked = false;
    seen.pool = NULL;
    memset(seen.codes, 0, sizeof seen.codes);
}

static void record(bool done, libpool_future *future, void *arg)
{
    const libpool_result *result = libpool_future_result(future);
    struct entry entry = {.arg = arg, .done = done, .by = pthread_self()};
    if (result) {
        entry.cause = result->cause;
        entry.task_id = result->task_id;
    }
    pthread_mutex_lock(&seen.lock);
    if (seen.n < ENTRIES)
        seen.entries[seen.n] = entry;
    seen.n++;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

static void started(libpool_future *future, void *arg)
{
    record(false, future, arg);
}

static void done(libpool_future *future, void *arg)
{
    record(true, future, arg);
}

static bool wait_until(const bool *flag, unsigned n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_MS / 1000;
    int error = 0;
    pthread_mutex_lock(&seen.lock);
    while ((flag ? !*flag : seen.n < n) && !error)
        error = pthread_cond_timedwait(&seen.changed, &seen.lock, &until);
    pthread_mutex_unlock(&seen.lock);
    return error == 0;
}

static bool wait_for(unsigned n)
{
    return wait_until(NULL, n);
}

/* Waits at the gate, then is recorded. */
static void block(libpool_future *future, void *arg)
{
    pthread_mutex_lock(&seen.lock);
    seen.blocked = true;
    pthread_cond_broadcast(&seen.changed);
    while (!seen.open)
        pthread_cond_wait(&seen.changed, &seen.lock);
    pthread_mutex_unlock(&seen.lock);
    record(true, future, arg);
}

static void open_gate(void)
{
    pthread_mutex_lock(&seen.lock);
    seen.open = true;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

/* How often, and where last: ENTRIES if not at all. */
static unsigned count(const void *arg, bool is_done, unsigned *at)
{
    unsigned n = 0;
    *at = ENTRIES;
    for (unsigned i = 0; i < seen.n && i < ENTRIES; i++)
        if (seen.entries[i].arg == arg && seen.entries[i].done == is_done) {
            *at = i;
            n++;
        }
    return n;
}

/* ---- helpers -------------------------------------------------------------------------------- */

static libpool *open_pool(uint32_t flags, uint32_t workers, const libpool_allocator *allocator)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .flags = flags,
                               .max_workers = workers,
                               .workers_limit = 2,
                               .allocator = allocator};
    forget();
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    seen.pool = pool;
    return pool;
}

static libpool_task make_task(libpool_task_function *function, void *arg)
{
    return (libpool_task){.size = sizeof(libpool_task),
                          .function = function,
                          .started = started,
                          .done = done,
                          .callback_arg = arg};
}

static char args[ENTRIES]; /* the n-th task is told by &args[n] */

static libpool_future *submit(libpool *pool, libpool_task_function *function, unsigned n,
                              libpool_callback *ends)
{
    libpool_future *future = NULL;
    libpool_task task = make_task(function, &args[n]);
    if (ends)
        task.done = ends;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

static void *ended(libpool_future *future)
{
    CU_ASSERT_EQUAL(libpool_future_wait(future, DEADLINE_MS), 0);
    libpool_future_free(future);
    return NULL;
}

static bool is_readable(libpool *pool, int timeout_ms)
{
    struct pollfd ready = {.fd = libpool_fd(pool), .events = POLLIN};
    return poll(&ready, 1, timeout_ms) == 1;
}

/* ---- what is told ------------------------------------------------------------------------------ */

TEST(callbacks, each_is_called_once_by_another_thread_start_before_end)
{
    libpool *pool = open_pool(LIBPOOL_CALLBACKS, 2, NULL);
    libpool_future *futures[200];
    for (unsigned i = 0; i < 200; i++)
        futures[i] = submit(pool, i % 50 == 7 ? crash : noop, i, NULL);
    CU_ASSERT_TRUE(wait_for(400));
    for (unsigned i = 0; i < 200; i++) {
        unsigned start, end;
        CU_ASSERT_EQUAL(count(&args[i], false, &start), 1);
        CU_ASSERT_EQUAL(count(&args[i], true, &end), 1);
        CU_ASSERT_TRUE(start < end);
        CU_ASSERT_EQUAL(seen.entries[end].cause, i % 50 == 7 ? LIBPOOL_CRASH : LIBPOOL_COMPLETED);
        CU_ASSERT_FALSE(pthread_equal(seen.entries[end].by, pthread_self()));
        CU_ASSERT_TRUE(pthread_equal(seen.entries[end].by, seen.entries[0].by));
        libpool_future_free(futures[i]);
    }
    libpool_close(pool);
    CU_ASSERT_EQUAL(seen.n, 400);
}

TEST(callbacks, those_that_are_sent_ahead_start_and_end_one_after_the_other)
{
    static libpool_task tasks[1000];
    libpool *pool = open_pool(LIBPOOL_CALLBACKS, 1, NULL);
    for (unsigned i = 0; i < 1000; i++)
        tasks[i] = make_task(noop, &args[i]);
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 1000, -1, NULL), 1000);
    CU_ASSERT_TRUE(wait_for(2000));
    libpool_close(pool);
    CU_ASSERT_EQUAL_FATAL(seen.n, 2000);
    unsigned wrong = 0;
    for (unsigned i = 0; i < 2000; i++)
        wrong += seen.entries[i].arg != &args[i / 2] || seen.entries[i].done != i % 2;
    CU_ASSERT_EQUAL(wrong, 0);
}

static void free_it(libpool_future *future, void *arg)
{
    libpool_future_free(future);
    libpool_future_free(future);
    record(true, future, arg);
}

static void free_early(libpool_future *future, void *arg)
{
    (void)arg;
    libpool_future_free(future);
}

TEST(callbacks, a_detached_future_may_be_freed_in_one_and_stays)
{
    enum {
        TASKS = 20
    };
    libpool *pool = open_pool(LIBPOOL_CALLBACKS, 1, NULL);
    libpool_task tasks[TASKS];
    for (unsigned i = 0; i < TASKS; i++) {
        tasks[i] = make_task(noop, &args[i]);
        tasks[i].started = i % 2 ? free_early : NULL;
        tasks[i].done = free_it;
    }
    CU_ASSERT_EQUAL(libpool_submit(pool, &tasks[0], -1, NULL), 0);
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks + 1, TASKS - 1, -1, NULL), TASKS - 1);
    CU_ASSERT_EQUAL(libpool_drain(pool, DEADLINE_MS), 0);
    libpool_close(pool);
    CU_ASSERT_EQUAL_FATAL(seen.n, TASKS);
    for (unsigned i = 0; i < TASKS; i++) {
        CU_ASSERT_PTR_EQUAL(seen.entries[i].arg, &args[i]);
        CU_ASSERT_EQUAL(seen.entries[i].cause, LIBPOOL_COMPLETED);
    }
}

TEST(callbacks, the_end_is_told_whatever_it_is)
{
    libpool *pool = open_pool(LIBPOOL_CALLBACKS, 1, NULL);
    libpool_task late = make_task(noop, &args[2]), detached = make_task(noop, &args[3]);
    unsigned at;
    late.queue_timeout_ms = 10;
    libpool_future *running = submit(pool, hang, 0, NULL);
    libpool_future *pending = submit(pool, noop, 1, NULL);
    CU_ASSERT_TRUE(wait_for(1));
    CU_ASSERT_EQUAL(libpool_submit(pool, &late, -1, NULL), 0);
    CU_ASSERT_EQUAL(libpool_submit(pool, &detached, -1, NULL), 0);
    CU_ASSERT_TRUE(wait_for(2));
    CU_ASSERT_EQUAL(libpool_future_cancel(pending), LIBPOOL_CANCEL_DEQUEUED);
    CU_ASSERT_TRUE(wait_for(3));
    CU_ASSERT_EQUAL(libpool_future_cancel(running), LIBPOOL_CANCEL_KILLED);
    CU_ASSERT_TRUE(wait_for(6));
    libpool_future *last = submit(pool, hang, 4, NULL);
    CU_ASSERT_TRUE(wait_for(7));
    libpool_close(pool);
    static const libpool_cause causes[] = {LIBPOOL_CANCELLED, LIBPOOL_CANCELLED,
                                           LIBPOOL_QUEUE_TIMEOUT, LIBPOOL_COMPLETED,
                                           LIBPOOL_SHUTDOWN};
    for (unsigned i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(count(&args[i], true, &at), 1);
        CU_ASSERT_EQUAL(at == ENTRIES ? LIBPOOL_PENDING : seen.entries[at].cause, causes[i]);
        CU_ASSERT_EQUAL(count(&args[i], false, &at), i == 1 || i == 2 ? 0 : 1);
    }
    CU_ASSERT_EQUAL(seen.n, 8);
    libpool_future_free(running);
    libpool_future_free(pending);
    libpool_future_free(last);
}

TEST(callbacks, a_task_that_is_run_again_starts_and_ends_once)
{
    libpool *pool = open_pool(LIBPOOL_CALLBACKS, 1, NULL);
    libpool_task task = make_task(crash, &args[0]);
    task.retries = 2;
    task.retry_causes = 1u << LIBPOOL_CRASH;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), 0);
    CU_ASSERT_EQUAL(libpool_drain(pool, DEADLINE_MS), 0);
    libpool_close(pool);
    CU_ASSERT_EQUAL_FATAL(seen.n, 2);
    CU_ASSERT_FALSE(seen.entries[0].done);
    CU_ASSERT_TRUE(seen.entries[1].done);
    CU_ASSERT_EQUAL(seen.entries[1].cause, LIBPOOL_CRASH);
}

TEST(callbacks, need_somebody_who_makes_them)
{
    libpool *pool = open_pool(0, 1, NULL);
    libpool_task task = make_task(noop, NULL);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_submit_many(pool, &task, 1, -1, NULL), -EINVAL);
    libpool_close(pool);
    libpool_options both = {.size = sizeof both, .flags = LIBPOOL_CALLBACKS | LIBPOOL_NO_THREAD};
    CU_ASSERT_EQUAL(libpool_open(&pool, &both), -EINVAL);
    CU_ASSERT_EQUAL(seen.n, 0);
}

/* ---- who is told ------------------------------------------------------------------------------- */

TEST(callbacks, one_that_blocks_delays_callbacks_and_nothing_else)
{
    libpool *pool = open_pool(LIBPOOL_CALLBACKS, 2, NULL);
    libpool_future *blocking = submit(pool, noop, 0, block);
    CU_ASSERT_TRUE(wait_until(&seen.blocked, 0));
    for (unsigned i = 1; i < 50; i++)
        ended(submit(pool, i % 10 ? noop : crash, i, NULL));
    CU_ASSERT_EQUAL(seen.n, 1); /* the start of the first */
    open_gate();
    libpool_close(pool);
    CU_ASSERT_EQUAL(seen.n, 100);
    libpool_future_free(blocking);
}

TEST(callbacks, without_a_thread_dispatch_makes_them_and_nobody_else)
{
    libpool *pool = open_pool(LIBPOOL_NO_THREAD, 1, NULL);
    libpool_future *future = submit(pool, noop, 0, NULL);
    CU_ASSERT_EQUAL(libpool_future_wait(future, DEADLINE_MS), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 0), 0);
    CU_ASSERT_EQUAL(seen.n, 0);
    CU_ASSERT_TRUE(is_readable(pool, 0));
    CU_ASSERT_EQUAL(libpool_dispatch(pool), 0);
    CU_ASSERT_EQUAL(seen.n, 2);
    CU_ASSERT_TRUE(pthread_equal(seen.entries[1].by, pthread_self()));
    for (int i = 0; i < 100 && is_readable(pool, 0); i++)
        (void)libpool_dispatch(pool);
    CU_ASSERT_FALSE(is_readable(pool, 0)); /* and quiet again */
    CU_ASSERT_EQUAL(libpool_resize(pool, 0, 2), 0);
    libpool_future *looked = submit(pool, hang, 2, NULL), *other = submit(pool, noop, 1, NULL);
    while (libpool_future_wait(other, 0) == -ETIMEDOUT) /* a look is a turn, and takes nudges */
        CU_ASSERT_EQUAL(seen.n, 2);
    CU_ASSERT_TRUE(is_readable(pool, 0));
    while (is_readable(pool, 0))
        (void)libpool_dispatch(pool);
    CU_ASSERT_EQUAL(seen.n, 5);
    libpool_future *third = submit(pool, noop, 3, NULL);
    while (!libpool_future_result(third)) /* a wait drives and takes nudges */
        CU_ASSERT_EQUAL(libpool_future_wait(looked, 20), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_future_wait(looked, 20), -ETIMEDOUT);
    CU_ASSERT_EQUAL(seen.n, 5);
    CU_ASSERT_TRUE(is_readable(pool, 0));
    libpool_future_free(other);
    libpool_future_free(third);
    libpool_close(pool);
    CU_ASSERT_EQUAL(seen.n, 8);
    libpool_future_free(future);
    libpool_future_free(looked);
}

TEST(callbacks, an_event_loop_needs_nothing_but_the_descriptor)
{
    libpool *pool = open_pool(LIBPOOL_NO_THREAD, 2, NULL);
    for (unsigned i = 0; i < 20; i++)
        libpool_future_free(submit(pool, i % 5 ? noop : crash, i, NULL));
    bool woken = true;
    while (seen.n < 40 && woken) {
        woken = is_readable(pool, DEADLINE_MS);
        CU_ASSERT_EQUAL(libpool_dispatch(pool), 0);
    }
    CU_ASSERT_EQUAL(seen.n, 40);
    libpool_close(pool);
    CU_ASSERT_EQUAL(seen.n, 40);
}

TEST(callbacks, a_call_makes_them_before_it_returns)
{
    libpool_task task = make_task(crash, &args[0]);
    libpool_options options = {.size = sizeof options, .flags = LIBPOOL_CALLBACKS};
    libpool_future *future = NULL;
    forget();
    CU_ASSERT_EQUAL(libpool_call(&task, &options, &future), 0);
    CU_ASSERT_EQUAL_FATAL(seen.n, 2);
    CU_ASSERT_EQUAL(seen.entries[1].cause, LIBPOOL_CRASH);
    libpool_future_free(future);
}

/* ---- room ------------------------------------------------------------------------------------ */

static struct {
    libpool *pool;
    _Atomic int tid;
    int code;
} waiter;

static void *submit_late(void *task)
{
    waiter.tid = gettid();
    waiter.code = libpool_submit(waiter.pool, task, -1, NULL);
    return NULL;
}

static bool is_asleep(int tid)
{
    char path[64], state = 0;
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    FILE *file = tid ? fopen(path, "re") : NULL;
    if (!file)
        return false;
    (void)fscanf(file, "%*d %*s %c", &state);
    (void)fclose(file);
    return state == 'S';
}

/* All callbacks but one are to be waited for, and nothing else happens in the pool. */
static void wait_for_room(libpool *pool, libpool_task *task)
{
    pthread_t thread;
    waiter.pool = pool;
    waiter.tid = 0;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, submit_late, task), 0);
    while (!is_asleep(waiter.tid))
        (void)sched_yield();
    open_gate();
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(waiter.code, 0);
}

/* Room is told of at once: other reasons to look come after 5 s. */
TEST_WITHIN(callbacks, as_many_wait_as_tasks_may, 4000)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .flags = LIBPOOL_CALLBACKS,
                               .min_workers = 1,
                               .max_workers = 1,
                               /* nothing happens by itself */ .backlog_tasks = 10};
    forget();
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_task task = make_task(noop, &args[0]), silent = {.size = sizeof silent};
    task.done = block;
    task.started = NULL;
    silent.function = noop;
    int taken = 0;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), 0);
    CU_ASSERT_TRUE(wait_until(&seen.blocked, 0));
    while (taken < 100 && libpool_submit(pool, &task, 0, NULL) == 0) {
        CU_ASSERT_EQUAL(libpool_drain(pool, DEADLINE_MS), 0);
        taken++;
    }
    CU_ASSERT_EQUAL(taken, 10);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, 1, NULL), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_submit_many(pool, &task, 1, 0, NULL), -EAGAIN);
    CU_ASSERT_EQUAL(libpool_submit(pool, &silent, 0, NULL), 0);
    CU_ASSERT_EQUAL(libpool_drain(pool, DEADLINE_MS), 0);
    wait_for_room(pool, &task);
    libpool_close(pool);
    CU_ASSERT_EQUAL(seen.n, 12);
}

TEST(callbacks, without_a_thread_nobody_waits_for_callbacks)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .flags = LIBPOOL_NO_THREAD, .max_workers = 1, .backlog_tasks = 2};
    forget();
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    ended(submit(pool, noop, 0, NULL));
    libpool_task task = make_task(noop, &args[1]);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), -EAGAIN);
    CU_ASSERT_EQUAL(libpool_dispatch(pool), 0);
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), 0);
    libpool_close(pool);
    CU_ASSERT_EQUAL(seen.n >= 3, true);
}

/* ---- what a callback may do --------------------------------------------------------------------- */

/* Submits the next one, and waits for it, until there were so many. */
static void go_on(libpool_future *future, void *arg)
{
    unsigned n = (unsigned)((char *)arg - args);
    libpool_future *next = NULL;
    libpool_future_free(future);
    if (n < 20) {
        libpool_task task = make_task(noop, &args[n + 1]);
        task.done = go_on;
        seen.codes[0] |= libpool_submit(seen.pool, &task, -1, &next);
        seen.codes[1] |= libpool_future_wait(next, DEADLINE_MS);
        seen.codes[2] |= libpool_future_cancel(next) != LIBPOOL_CANCEL_DONE;
    }
    record(true, future, arg);
}

TEST(callbacks, one_may_submit_wait_and_free)
{
    libpool *pool = open_pool(LIBPOOL_CALLBACKS, 1, NULL);
    libpool_task task = make_task(noop, &args[0]);
    libpool_future *first;
    task.done = go_on;
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &first), 0); /* freed there */
    CU_ASSERT_TRUE(wait_for(42));
    libpool_close(pool);
    CU_ASSERT_EQUAL(seen.codes[0] | seen.codes[1] | seen.codes[2], 0);
    CU_ASSERT_EQUAL(seen.n, 42);
}

static void shut_down(libpool_future *future, void *arg)
{
    seen.codes[0] = libpool_shutdown(seen.pool, LIBPOOL_WAIT | LIBPOOL_CANCEL, 500);
    seen.codes[1] = libpool_shutdown(seen.pool, LIBPOOL_WAIT, -1);
    seen.codes[2] = libpool_submit(
        seen.pool, &(libpool_task){.size = sizeof(libpool_task), .function = noop}, -1, NULL);
    record(true, future, arg);
}

static void shut_down_from_one(uint32_t flags)
{
    libpool *pool = open_pool(flags, 2, NULL);
    libpool_future *hangs = submit(pool, hang, 0, NULL), *ends = submit(pool, noop, 1, shut_down);
    bool woken = true;
    while (flags & LIBPOOL_NO_THREAD && seen.n < 4 && woken) {
        woken = is_readable(pool, DEADLINE_MS);
        CU_ASSERT_EQUAL(libpool_dispatch(pool), 0);
    }
    CU_ASSERT_TRUE(wait_for(4));
    CU_ASSERT_EQUAL(seen.codes[0], -ETIME);
    CU_ASSERT_EQUAL(seen.codes[1], -ETIME);
    CU_ASSERT_EQUAL(seen.codes[2], -ESHUTDOWN);
    CU_ASSERT_EQUAL(libpool_future_result(hangs)->cause, LIBPOOL_SHUTDOWN);
    libpool_close(pool);
    CU_ASSERT_EQUAL(seen.n, 4);
    libpool_future_free(hangs);
    libpool_future_free(ends);
}

TEST(callbacks, one_may_shut_the_pool_down_and_wait_for_it)
{
    shut_down_from_one(LIBPOOL_CALLBACKS);
    shut_down_from_one(LIBPOOL_NO_THREAD);
}

/* ---- closing ----------------------------------------------------------------------------------- */

/* Memory that is the test's, to see when all is given back. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t bytes;
} held = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *take(void *context, size_t size)
{
    (void)context;
    pthread_mutex_lock(&held.lock);
    held.bytes += size;
    pthread_mutex_unlock(&held.lock);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void give(void *context, void *pointer, size_t size)
{
    (void)context;
    (void)munmap(pointer, size); /* who uses it still is found out */
    pthread_mutex_lock(&held.lock);
    held.bytes -= size;
    pthread_cond_broadcast(&held.changed);
    pthread_mutex_unlock(&held.lock);
}

static const libpool_allocator allocator = {NULL, take, give};

static bool all_is_given_back(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_MS / 1000;
    int error = 0;
    pthread_mutex_lock(&held.lock);
    while (held.bytes && !error)
        error = pthread_cond_timedwait(&held.changed, &held.lock, &until);
    pthread_mutex_unlock(&held.lock);
    return error == 0;
}

/* Once only: that of another task, which is made inside, tries again. */
static void close_pool(libpool_future *future, void *arg)
{
    libpool_close(seen.pool);
    record(true, future, arg);
    if (libpool_future_result(future)->cause == LIBPOOL_COMPLETED)
        seen.codes[3] = (int)seen.n; /* all were made when the outer one went on */
}

/* The first task ends when the others are in the pool; its callback closes. */
static void close_from_one(uint32_t flags)
{
    libpool *pool = open_pool(flags, 1, &allocator);
    libpool_task first = make_task(noop, &args[0]), hangs = make_task(hang, NULL);
    first.started = hangs.started = NULL;
    first.done = hangs.done = close_pool;
    libpool_task tasks[6] = {first, hangs, hangs, hangs, hangs, hangs};
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 6, -1, NULL), 6);
    while (flags & LIBPOOL_NO_THREAD && seen.n == 0 && is_readable(pool, DEADLINE_MS))
        (void)libpool_dispatch(pool);
    CU_ASSERT_TRUE(wait_for(6));
    CU_ASSERT_TRUE(all_is_given_back());
    CU_ASSERT_EQUAL(seen.n, 6);
    CU_ASSERT_EQUAL(seen.codes[3], 6);
    for (unsigned i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(seen.entries[i].cause, LIBPOOL_SHUTDOWN);
    CU_ASSERT_EQUAL(seen.entries[5].cause, LIBPOOL_COMPLETED);
}

TEST(callbacks, one_may_close_the_pool_and_finds_all_told_and_gone)
{
    close_from_one(LIBPOOL_CALLBACKS);
    close_from_one(LIBPOOL_NO_THREAD);
}

static void close_late(libpool_future *future, void *arg)
{
    block(future, arg);
    libpool_close(seen.pool); /* is under way: nothing */
}

static void *close_it(void *pool)
{
    libpool_close(pool);
    return NULL;
}

TEST(callbacks, a_close_waits_for_the_one_that_is_under_way)
{
    libpool *pool = open_pool(LIBPOOL_CALLBACKS, 1, &allocator);
    libpool_future *ends = submit(pool, noop, 0, close_late), *hangs = submit(pool, hang, 1, NULL);
    pthread_t closer;
    CU_ASSERT_TRUE(wait_until(&seen.blocked, 0));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&closer, NULL, close_it, pool), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(hangs, DEADLINE_MS), 0);
    CU_ASSERT_EQUAL(libpool_future_result(hangs)->cause, LIBPOOL_SHUTDOWN);
    open_gate();
    pthread_join(closer, NULL);
    CU_ASSERT_EQUAL(seen.n, 4);
    libpool_future_free(ends);
    libpool_future_free(hangs);
    CU_ASSERT_TRUE(all_is_given_back());
}

/* ---- what waiting costs -------------------------------------------------------------------------- */

static int nap(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    (void)poll(NULL, 0, 600);
    return 0;
}

static uint64_t cpu_ns(void)
{
    struct timespec used;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

TEST(callbacks, who_waits_while_one_is_to_be_called_sleeps)
{
    libpool *pool = open_pool(LIBPOOL_NO_THREAD, 1, NULL);
    libpool_task task = make_task(nap, &args[0]);
    libpool_future *future = NULL;
    uint64_t before_ns = cpu_ns();
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, DEADLINE_MS), 0);
    CU_ASSERT(cpu_ns() - before_ns < 200000000u);
    struct pollfd due = {.fd = libpool_fd(pool), .events = POLLIN};
    CU_ASSERT_EQUAL(poll(&due, 1, 0), 1);
    CU_ASSERT_EQUAL(libpool_dispatch(pool), 0);
    CU_ASSERT_EQUAL(seen.n, 2);
    libpool_future_free(future);
    libpool_close(pool);
}

/* ---- in copies of the process -------------------------------------------------------------------- */

/* The copy closes what it has and goes on in the callback; its parent tells how it ended. */
static void fork_there(libpool_future *future, void *arg)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        if (libpool_submit(seen.pool, NULL, 0, NULL) == -ECHILD && seen.codes[3])
            libpool_close(seen.pool);
        seen.codes[2] = 1; /* of the copy: its caller looks */
        return;
    }
    if (child > 0 && waitpid(child, &status, 0) == child)
        seen.codes[0] = status;
    record(true, future, arg);
}

/* Where the frames of dispatch were there is something else now. */
static __attribute__((noinline)) int close_below(libpool *pool)
{
    volatile unsigned char frame[4096];
    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = 0;
    libpool_close(pool);
    int changed = 0;
    for (size_t i = 0; i < sizeof frame; i++)
        changed += frame[i] != 0;
    return changed;
}

static void fork_in_one(bool closes)
{
    libpool *pool = open_pool(LIBPOOL_NO_THREAD, 1, NULL);
    libpool_task task = make_task(noop, &args[0]);
    libpool_task tasks[4] = {task, task, task, task};
    for (unsigned i = 0; i < 4; i++)
        tasks[i].started = NULL;
    tasks[0].done = fork_there;
    seen.codes[0] = -1;
    seen.codes[3] = closes;
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, 4, -1, NULL), 4);
    CU_ASSERT_EQUAL(libpool_drain(pool, DEADLINE_MS), 0);
    CU_ASSERT_EQUAL(libpool_dispatch(pool), 0);
    if (seen.codes[2]) /* in the copy nothing was called */
        _exit(seen.n || (!closes && close_below(pool)) ? 8 : 7);
    CU_ASSERT_EQUAL(seen.codes[0], 7 << 8);
    CU_ASSERT_EQUAL(seen.n, 4);
    libpool_close(pool);
    CU_ASSERT_EQUAL(seen.n, 4);
}

TEST(callbacks, nothing_is_called_in_a_fork_of_the_application)
{
    fork_in_one(false);
    fork_in_one(true);
}
