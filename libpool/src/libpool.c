/* SPDX-License-Identifier: MIT */
/*
 * libpool: the door. Checks arguments and option sizes, fills in defaults, calls inward; no policy.
 */
#include <libpool.h>

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "supervisor.h"
#include "sys/sys.h"
#include "watch.h"

#define PAGE_BYTES 4096u
#define CLOSE_MS 1000
#define FOREVER UINT64_MAX

#define STRING_(x) #x
#define STRING(x) STRING_(x)

const char *libpool_version(void)
{
    return STRING(LIBPOOL_VERSION_MAJOR) "." STRING(LIBPOOL_VERSION_MINOR) ".0";
}

/* ---- checks --------------------------------------------------------------------------------- */

/* 0 when the handle is this process's own. */
static int check_handle(const libpool *pool)
{
    if (!pool)
        return -EINVAL;
    if (*pool->alive == LP_ALIVE)
        return 0;
    return *pool->alive == LP_ALIVE_IN_WORKER ? -EDEADLK : -ECHILD;
}

/*
 * Copies a caller's struct into ours. A smaller (older) one leaves the rest zero; a larger (newer)
 * one is fine as long as what we don't know is zero.
 */
static int copy_sized(void *ours, size_t our_size, const void *theirs, size_t their_size)
{
    const unsigned char *bytes = theirs;
    if (their_size < sizeof(size_t))
        return -EINVAL;
    for (size_t i = our_size; i < their_size; i++)
        if (bytes[i])
            return -E2BIG;
    memset(ours, 0, our_size);
    memcpy(ours, theirs, their_size < our_size ? their_size : our_size);
    return 0;
}

static uint64_t deadline_of(int timeout_ms)
{
    return timeout_ms < 0 ? FOREVER : lp_supervisor_now() + (uint64_t)timeout_ms * LP_MS;
}

/* ---- pool ----------------------------------------------------------------------------------- */

static uint32_t usable_cpus(void)
{
    int saved_errno = errno;
    cpu_set_t set;
    long count = sched_getaffinity(0, sizeof set, &set) ? sysconf(_SC_NPROCESSORS_ONLN) /* > 1024 */
                                                        : CPU_COUNT(&set);
    errno = saved_errno;
    return count > 0 ? (uint32_t)count : 1;
}

static void default_to(uint32_t *field, uint32_t value)
{
    if (*field == 0)
        *field = value;
}

static void fill_in_defaults(libpool_options *options)
{
    uint32_t cpus = usable_cpus();
    default_to(&options->max_workers, options->min_workers > cpus ? options->min_workers : cpus);
    default_to(&options->workers_limit, options->max_workers);
    default_to(&options->idle_timeout_ms, 1000);
    default_to(&options->backlog_tasks, 1000);
    default_to(&options->start_timeout_ms, 10000);
    default_to(&options->initializer_timeout_ms, 60000);
    default_to(&options->finalizer_timeout_ms, 5000);
    default_to(&options->initializer_failures, 5);
    default_to(&options->backoff_min_ms, 10);
    default_to(&options->backoff_max_ms,
               options->backoff_min_ms > 1000 ? options->backoff_min_ms : 1000);
    if (options->backlog_bytes == 0)
        options->backlog_bytes = UINT64_C(256) << 20;
    if (options->result_bytes == 0)
        options->result_bytes = UINT64_C(1) << 30;
    if (!options->name)
        options->name = "pool";
}

static int check_options(const libpool_options *options)
{
    bool known = (options->flags &
                  ~(uint32_t)(LIBPOOL_NO_THREAD | LIBPOOL_NO_CGROUP | LIBPOOL_EXCLUSIVE)) == 0;
    bool sized = options->workers_limit <= LP_WORKERS_MAX &&
                 options->max_workers <= options->workers_limit &&
                 options->min_workers <= options->max_workers &&
                 options->backlog_tasks <= LP_BACKLOG_MAX;
    bool timed = options->backoff_min_ms <= options->backoff_max_ms;
    bool whole = options->event_buffer <= LP_BACKLOG_MAX;
    bool placed = !options->cgroup ||
                  (options->cgroup[0] == '/' && !(options->flags & LIBPOOL_NO_CGROUP));
    const libpool_allocator *allocator = options->allocator;
    bool paired = !allocator || !allocator->allocate == !allocator->release;
    return known && sized && timed && whole && placed && paired ? 0 : -EINVAL;
}

static void free_pool(libpool *pool)
{
    libpool_allocator allocator = pool->allocator;
    if (pool->alive)
        (void)lp_sys.unmap(pool->alive, PAGE_BYTES);
    lp_release(&allocator, pool, sizeof *pool);
}

static libpool *new_pool(const libpool_options *options)
{
    libpool_allocator allocator = {0};
    if (options->allocator)
        allocator = *options->allocator;
    libpool *pool = lp_alloc_zeroed(&allocator, sizeof *pool);
    if (!pool)
        return NULL;
    pool->allocator = allocator;
    pool->options = *options;
    strncpy(pool->name, options->name, sizeof pool->name - 1);
    pool->alive = lp_sys.map(PAGE_BYTES);
    if (!pool->alive || lp_sys.wipe_on_fork(pool->alive, PAGE_BYTES)) {
        free_pool(pool);
        return NULL;
    }
    *pool->alive = LP_ALIVE;
    return pool;
}

int libpool_open(libpool **out, const libpool_options *given)
{
    libpool_options options = {.size = sizeof options};
    if (!out)
        return -EINVAL;
    *out = NULL;
    int error = given ? copy_sized(&options, sizeof options, given, given->size) : 0;
    if (error)
        return error;
    fill_in_defaults(&options);
    error = check_options(&options);
    if (error)
        return error;
    libpool *pool = new_pool(&options);
    if (!pool)
        return -ENOMEM;
    error = lp_supervisor_open(pool);
    if (error) {
        lp_supervisor_close(pool, false);
        free_pool(pool);
        return error;
    }
    *out = pool;
    return 0;
}

int libpool_resize(libpool *pool, uint32_t min_workers, uint32_t max_workers)
{
    int error = check_handle(pool);
    if (error)
        return error;
    pthread_mutex_lock(&pool->lock);
    error = lp_pool_resize(&pool->core, min_workers, max_workers, lp_supervisor_now());
    lp_supervisor_perform(pool);
    pthread_mutex_unlock(&pool->lock);
    return error;
}

static void begin_shutdown(libpool *pool, uint32_t flags, int deadline_ms)
{
    uint64_t now_ns = lp_supervisor_now();
    struct lp_event event = {.kind = LP_EVENT_SHUTDOWN, .flags = flags, .now_ns = now_ns};
    if (deadline_ms >= 0)
        event.deadline_ns = now_ns + (uint64_t)deadline_ms * LP_MS;
    lp_supervisor_rouse(pool);
    lp_pool_step(&pool->core, &event);
    lp_supervisor_perform(pool);
}

int libpool_shutdown(libpool *pool, uint32_t flags, int deadline_ms)
{
    int error = check_handle(pool);
    if (error)
        return error;
    if (flags & ~(uint32_t)(LIBPOOL_WAIT | LIBPOOL_CANCEL))
        return -EINVAL;
    pthread_mutex_lock(&pool->lock);
    begin_shutdown(pool, flags, deadline_ms);
    while ((flags & LIBPOOL_WAIT) && !pool->down)
        lp_supervisor_await(pool, FOREVER);
    bool overran = (flags & LIBPOOL_WAIT) && pool->core.overran;
    pthread_mutex_unlock(&pool->lock);
    return overran ? -ETIME : 0;
}

void libpool_close(libpool *pool)
{
    if (!pool)
        return;
    int error = check_handle(pool);
    bool forked = error == -ECHILD;
    if (error == -EDEADLK)
        return; /* in a worker it is not ours to close */
    if (!forked) {
        pthread_mutex_lock(&pool->lock);
        begin_shutdown(pool, LIBPOOL_CANCEL, CLOSE_MS);
        while (!pool->down)
            lp_supervisor_await(pool, FOREVER);
        pthread_mutex_unlock(&pool->lock);
        while (atomic_load(&pool->visitors))
            (void)lp_sys.sched_yield(); /* on their way out: every future has ended */
    }
    lp_supervisor_close(pool, forked);
    free_pool(pool);
}

int libpool_fd(const libpool *pool)
{
    int error = check_handle(pool);
    return error ? error : pool->poller.epoll_fd;
}

int libpool_dispatch(libpool *pool)
{
    int error = check_handle(pool);
    if (error)
        return error;
    pthread_mutex_lock(&pool->lock);
    bool driving = !pool->driving && !pool->has_thread;
    pthread_mutex_unlock(&pool->lock);
    lp_supervisor_turn(pool, 0, driving);
    return 0;
}

/* ---- tasks ---------------------------------------------------------------------------------- */

static int check_task(const libpool *pool, const libpool_task *task)
{
    if (!task->function || task->priority >= LIBPOOL_PRIORITIES ||
        (task->input_size && !task->input))
        return -EINVAL;
    return task->input_size > pool->options.backlog_bytes ? -E2BIG : 0;
}

/* With the lock held: into the core, waiting for room until the deadline. */
static int hand_over(libpool *pool, const struct lp_task_spec *spec, int timeout_ms,
                     uint32_t *index)
{
    uint64_t deadline_ns = deadline_of(timeout_ms);
    for (;;) {
        int error = lp_pool_submit(&pool->core, spec, lp_supervisor_now(), index);
        if (error != -EAGAIN)
            return error;
        if (!lp_supervisor_await(pool, deadline_ns))
            return timeout_ms == 0 ? -EAGAIN : -ETIMEDOUT;
    }
}

static int submit_future(libpool *pool, const libpool_task *task, int timeout_ms,
                         libpool_future *future)
{
    struct lp_task_spec spec = {.priority = task->priority,
                                .bytes = task->input_size,
                                .run_timeout_ns = task->run_timeout_ms * LP_MS,
                                .queue_timeout_ns = task->queue_timeout_ms * LP_MS,
                                .user = future};
    pthread_mutex_lock(&pool->lock);
    lp_future_hold(future); /* the pool's share: it may end within this very call */
    int error = hand_over(pool, &spec, timeout_ms, &future->task);
    if (error)
        lp_pool_reject(&pool->core);
    lp_supervisor_perform(pool);
    pthread_mutex_unlock(&pool->lock);
    if (error)
        lp_future_drop(future);
    return error;
}

int libpool_submit(libpool *pool, const libpool_task *given, int timeout_ms, libpool_future **out)
{
    libpool_task task;
    if (out)
        *out = NULL;
    int error = check_handle(pool);
    if (!error)
        error = given ? copy_sized(&task, sizeof task, given, given->size) : -EINVAL;
    if (!error)
        error = check_task(pool, &task);
    if (error)
        return error;
    libpool_future *future = lp_future_new(&pool->allocator, pool, &task);
    if (!future)
        return -ENOMEM;
    error = submit_future(pool, &task, timeout_ms, future);
    if (error || !out)
        lp_future_drop(future);
    else
        *out = future;
    return error;
}

static int drive_until_ended(libpool *pool, libpool_future *future, uint64_t deadline_ns)
{
    bool in_time = true;
    pthread_mutex_lock(&pool->lock);
    while (!lp_future_has_ended(future) && in_time)
        in_time = lp_supervisor_await(pool, deadline_ns);
    pthread_mutex_unlock(&pool->lock);
    return lp_future_has_ended(future) ? 0 : -ETIMEDOUT;
}

/* The pool of a future that has not ended; NULL: it has. Every visit is followed by leave. */
static libpool *visit(libpool_future *future)
{
    return lp_future_visit(future) ? future->pool : NULL;
}

static void leave(libpool_future *future, libpool *pool)
{
    if (lp_future_leave(future))
        atomic_fetch_sub(&pool->visitors, 1); /* the last touch */
}

/* A short look at the workers' answers, or all the waiting where no thread drives the pool. */
static int wait_in_pool(libpool *pool, libpool_future *future, int timeout_ms)
{
    int error = check_handle(pool);
    if (error)
        return error;
    if (!pool->has_thread)
        return drive_until_ended(pool, future, deadline_of(timeout_ms));
    return timeout_ms != 0 && lp_watch(pool, future) ? 0 : -ETIMEDOUT;
}

int libpool_future_wait(libpool_future *future, int timeout_ms)
{
    if (!future)
        return -EINVAL;
    uint64_t deadline_ns = deadline_of(timeout_ms);
    libpool *pool = visit(future);
    if (!pool)
        return 0;
    bool may_sleep = timeout_ms != 0 && pool->has_thread;
    int error = wait_in_pool(pool, future, timeout_ms);
    leave(future, pool);
    return error == -ETIMEDOUT && may_sleep ? lp_future_wait_until(future, deadline_ns) : error;
}

const libpool_result *libpool_future_result(const libpool_future *future)
{
    return future && lp_future_has_ended(future) ? &future->result : NULL;
}

static int cancel_in_pool(libpool *pool, libpool_future *future)
{
    int done = check_handle(pool);
    if (done)
        return done;
    done = LIBPOOL_CANCEL_DONE;
    pthread_mutex_lock(&pool->lock);
    if (!lp_future_has_ended(future)) {
        done = (int)lp_pool_cancel(&pool->core, future->task, lp_supervisor_now());
        lp_supervisor_perform(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return done;
}

int libpool_future_cancel(libpool_future *future)
{
    if (!future)
        return -EINVAL;
    libpool *pool = visit(future);
    if (!pool)
        return LIBPOOL_CANCEL_DONE;
    int done = cancel_in_pool(pool, future);
    leave(future, pool);
    return done;
}

void libpool_future_free(libpool_future *future)
{
    if (future)
        lp_future_drop(future);
}

static_assert((int)LIBPOOL_CANCEL_DONE == (int)LP_CANCEL_DONE, "one list");
static_assert((int)LIBPOOL_CANCEL_DEQUEUED == (int)LP_CANCEL_DEQUEUED, "one list");
static_assert((int)LIBPOOL_CANCEL_KILLED == (int)LP_CANCEL_KILLED, "one list");

/* ---- numbers -------------------------------------------------------------------------------- */

int libpool_stats_read(libpool *pool, libpool_stats *stats)
{
    int error = check_handle(pool);
    if (error)
        return error;
    if (!stats || stats->size < sizeof(size_t))
        return -EINVAL;
    libpool_stats ours = {.size = stats->size};
    pthread_mutex_lock(&pool->lock);
    lp_pool_stats(&pool->core, &ours);
    ours.containment = pool->containment;
    ours.oom_evidence = pool->oom_evidence;
    pthread_mutex_unlock(&pool->lock);
    memcpy(stats, &ours, stats->size < sizeof ours ? stats->size : sizeof ours);
    return 0;
}

int libpool_event_next(libpool *pool, libpool_event *event, int timeout_ms)
{
    int error = check_handle(pool);
    if (error)
        return error;
    if (!event)
        return -EINVAL;
    if (!pool->ring.capacity)
        return -ENOTSUP;
    uint64_t deadline_ns = deadline_of(timeout_ms);
    pthread_mutex_lock(&pool->lock);
    struct lp_event_ring *ring = &pool->ring;
    while (ring->taken == ring->written && !error)
        if (pool->down)
            error = -ESHUTDOWN;
        else if (!lp_supervisor_await(pool, deadline_ns))
            error = -ETIMEDOUT;
    if (!error)
        *event = ring->events[ring->taken++ % ring->capacity];
    pthread_mutex_unlock(&pool->lock);
    return error;
}
