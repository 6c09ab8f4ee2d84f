/* SPDX-License-Identifier: MIT */
/*
 * libpool: the door. Checks arguments and option sizes, fills in defaults, calls inward; no policy.
 */
#include <libpool.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "door.h"
#include "os/cpus.h"
#include "parts.h"
#include "supervisor.h"
#include "sys/sys.h"
#include "visit.h"

#define PAGE_BYTES 4096u
#define CLOSE_MS 1000

#define TAIL_MOST (1u << 20)

#define STRING_(x) #x
#define STRING(x) STRING_(x)

const char *libpool_version(void)
{
    return STRING(LIBPOOL_VERSION_MAJOR) "." STRING(LIBPOOL_VERSION_MINOR) ".0";
}

/* ---- pool ----------------------------------------------------------------------------------- */

static uint32_t bounded(uint32_t cpus)
{
    return cpus < LP_WORKERS_MAX ? cpus : LP_WORKERS_MAX;
}

uint32_t libpool_default_workers(void)
{
    return bounded(lp_cpus_usable(false));
}

uint32_t libpool_default_cores(void)
{
    return bounded(lp_cpus_usable(true));
}

static void default_to(uint32_t *field, uint32_t value)
{
    if (*field == 0)
        *field = value;
}

static void fill_in_defaults(libpool_options *options)
{
    if (options->max_workers == 0) {
        uint32_t workers = libpool_default_workers();
        options->max_workers = options->min_workers > workers ? options->min_workers : workers;
    }
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
                  ~(uint32_t)(LIBPOOL_NO_THREAD | LIBPOOL_NO_CGROUP | LIBPOOL_EXCLUSIVE |
                              LIBPOOL_PRELOAD | LIBPOOL_CALLBACKS | LIBPOOL_TRACE)) == 0;
    bool sized = options->workers_limit <= LP_WORKERS_MAX &&
                 options->spare_workers <= LP_WORKERS_MAX - options->workers_limit &&
                 options->waiting_workers <=
                     LP_WORKERS_MAX - options->workers_limit - options->spare_workers &&
                 options->max_workers <= options->workers_limit &&
                 options->min_workers <= options->max_workers &&
                 options->backlog_tasks <= LP_BACKLOG_MAX;
    bool kept = options->tail_bytes <= TAIL_MOST;
    bool timed = options->backoff_min_ms <= options->backoff_max_ms;
    bool whole = options->event_buffer <= LP_BACKLOG_MAX &&
                 options->recycle_jitter_percent <= 100 && options->retry_percent <= 100 &&
                 options->admit_pressure <= 10000;
    bool roomy = options->memory_limit_bytes == 0 ||
                 options->memory_limit_bytes >= LP_MEMORY_LIMIT_LEAST;
    bool placed = !options->cgroup ||
                  (options->cgroup[0] == '/' && !(options->flags & LIBPOOL_NO_CGROUP));
    bool shared = !options->governor ||
                  (options->spare_workers == 0 && options->waiting_workers == 0);
    const libpool_allocator *allocator = options->allocator;
    bool paired = !allocator || !allocator->allocate == !allocator->release;
    bool told = !(options->flags & LIBPOOL_CALLBACKS) || !(options->flags & LIBPOOL_NO_THREAD);
    return known && told && kept && sized && timed && whole && roomy && placed && shared && paired
               ? lp_start_check(options)
               : -EINVAL;
}

int lp_door_options(libpool_options *options, const libpool_options *given)
{
    *options = (libpool_options){0};
    int error = given ? lp_door_copy(options, sizeof *options, given, given->size) : 0;
    options->size = sizeof *options;
    if (error)
        return error;
    fill_in_defaults(options);
    return check_options(options);
}

int lp_door_options_of_one(libpool_options *options, const libpool_options *given)
{
    int error = lp_door_options(options, given);
    options->flags = (options->flags & ~(uint32_t)LIBPOOL_CALLBACKS) | LIBPOOL_NO_THREAD;
    options->min_workers = options->max_workers = options->workers_limit = 1;
    options->spare_workers = options->waiting_workers = 0;
    options->backlog_tasks = 1;
    return error;
}

static void free_pool(libpool *pool)
{
    libpool_allocator allocator = pool->allocator;
    lp_outfit_release(pool->outfit, &allocator);
    if (pool->alive)
        (void)lp_sys.unmap(pool->alive, PAGE_BYTES);
    if (pool->futures)
        lp_slab_close(pool->futures);
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
    pool->pid = getpid();
    pool->start = LP_START_NULL;
    strncpy(pool->name, options->name, sizeof pool->name - 1);
    pool->alive = lp_sys.map(PAGE_BYTES);
    pool->futures = lp_slab_open(&allocator, sizeof(libpool_future));
    if (!pool->alive || !pool->futures || lp_sys.wipe_on_fork(pool->alive, PAGE_BYTES)) {
        free_pool(pool);
        return NULL;
    }
    *pool->alive = LP_ALIVE;
    return pool;
}

/* Into memory that every worker will find in its copy. */
static int copy_outfit(libpool *pool, const libpool_outfit *given)
{
    libpool_outfit outfit;
    pool->options.outfit = NULL;
    int error = given ? lp_door_copy(&outfit, sizeof outfit, given, given->size) : 0;
    return error ? error : lp_outfit_copy(&pool->outfit, given ? &outfit : NULL, &pool->allocator);
}

static int open_pool(libpool *pool)
{
    int error = lp_supervisor_open(pool);
    if (error)
        lp_supervisor_close(pool, false); /* only what has begun to open has anything to close */
    return error;
}

int libpool_open(libpool **out, const libpool_options *given)
{
    libpool_options options;
    if (!out)
        return -EINVAL;
    *out = NULL;
    int error = lp_door_options(&options, given);
    if (error)
        return error;
    libpool *pool = new_pool(&options);
    if (!pool)
        return -ENOMEM;
    error = copy_outfit(pool, options.outfit);
    if (!error)
        error = lp_start_copy(&pool->start, &options, &pool->allocator);
    if (!error)
        error = open_pool(pool);
    if (error)
        free_pool(pool);
    else
        *out = pool;
    return error;
}

int libpool_resize(libpool *pool, uint32_t min_workers, uint32_t max_workers)
{
    int error = lp_door_check(pool);
    if (error)
        return error;
    pthread_mutex_lock(&pool->lock);
    if (lp_pool_may_resize(&pool->core, min_workers, max_workers))
        error = lp_governor_reserve(&pool->membership, lp_places_reserve(min_workers));
    if (!error)
        error = lp_pool_resize(&pool->core, min_workers, max_workers, lp_supervisor_now());
    lp_supervisor_perform(pool);
    pthread_mutex_unlock(&pool->lock);
    return error;
}

int libpool_pardon(libpool *pool, uint64_t kind)
{
    int error = lp_door_check(pool);
    if (error)
        return error;
    pthread_mutex_lock(&pool->lock);
    bool known = lp_pool_pardon(&pool->core, kind, lp_supervisor_now());
    pthread_mutex_unlock(&pool->lock);
    return known ? 0 : -ENOENT;
}

int libpool_recycle(libpool *pool, uint32_t parallel)
{
    int error = lp_door_check(pool);
    if (error)
        return error;
    pthread_mutex_lock(&pool->lock);
    error = lp_pool_recycle(&pool->core, parallel, lp_supervisor_now());
    lp_supervisor_perform(pool);
    pthread_mutex_unlock(&pool->lock);
    return error;
}

/* Somebody who was started with what is there may not have put it on yet. */
static bool is_looked_into(const libpool *pool, enum lp_place place)
{
    bool looked = false;
    for (uint32_t slot = 0; slot < pool->core.slots; slot++) {
        enum lp_worker_state state = pool->core.workers[slot].state;
        bool dresses = state == LP_WORKER_SPAWNING || state == LP_WORKER_STARTING;
        looked = looked || (dresses && lp_wardrobe_assigned(pool->wardrobe, slot) == place);
    }
    return looked;
}

static bool keeps_tail(const libpool_outfit *outfit)
{
    return outfit->stdio[STDOUT_FILENO] == LIBPOOL_STDIO_TAIL ||
           outfit->stdio[STDERR_FILENO] == LIBPOOL_STDIO_TAIL;
}

/* With the lock held. */
static int change_outfit(libpool *pool, const libpool_outfit *outfit)
{
    enum lp_place place = pool->outfit_place == LP_PLACE_FIRST ? LP_PLACE_SECOND : LP_PLACE_FIRST;
    int error = 0;
    if (!pool->wardrobe)
        error = -ENOTSUP;
    else if (!outfit)
        place = LP_PLACE_NONE;
    else if (outfit->stdio[STDIN_FILENO] == LIBPOOL_STDIO_INHERIT &&
             !lp_outfit_keeps_stdin(pool->outfit))
        error = -EINVAL;
    else if (keeps_tail(outfit) && !pool->tails.bytes)
        error = -EINVAL;
    else if (is_looked_into(pool, place))
        error = -EAGAIN;
    else
        error = lp_wardrobe_fill(pool->wardrobe, place, outfit);
    if (!error)
        pool->outfit_place = place;
    return error;
}

int libpool_set_outfit(libpool *pool, const libpool_outfit *given)
{
    libpool_outfit outfit;
    int error = lp_door_check(pool);
    if (!error && given)
        error = lp_door_copy(&outfit, sizeof outfit, given, given->size);
    if (error)
        return error;
    pthread_mutex_lock(&pool->lock);
    bool changes = given || pool->outfit_place != LP_PLACE_NONE;
    error = change_outfit(pool, given ? &outfit : NULL);
    if (!error && changes) { /* else all is as it was, and has no reason to end better */
        lp_pool_dress(&pool->core, lp_supervisor_now());
        lp_supervisor_perform(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return error;
}

int libpool_drain(libpool *pool, int timeout_ms)
{
    int error = lp_door_check_wait(pool, timeout_ms);
    if (error)
        return error;
    uint64_t deadline_ns = lp_door_deadline(timeout_ms);
    pthread_mutex_lock(&pool->lock);
    bool drained = lp_pool_is_drained(&pool->core), late = false;
    while (!drained && !late) {
        late = !lp_supervisor_await(pool, deadline_ns);
        drained = lp_pool_is_drained(&pool->core);
    }
    lp_callbacks_leave(pool);
    pthread_mutex_unlock(&pool->lock);
    return drained ? 0 : -ETIMEDOUT;
}

static void begin_shutdown(libpool *pool, uint32_t flags, int deadline_ms)
{
    uint64_t now_ns = lp_supervisor_now();
    struct lp_event event = {.kind = LP_EVENT_SHUTDOWN, .flags = flags, .now_ns = now_ns};
    if (deadline_ms >= 0)
        event.deadline_ns = now_ns + (uint64_t)deadline_ms * LP_MS;
    lp_supervisor_rouse(pool);
    if (flags & LIBPOOL_CANCEL)
        lp_supervisor_recall_all(pool);
    lp_pool_step(&pool->core, &event);
    lp_supervisor_perform(pool);
}

/* Threads may go on after the shutdown's deadline, for as long as they like. */
static uint64_t patience_ns(const libpool *pool)
{
    bool asked = pool->core.config.cooperative && pool->core.phase == LP_PHASE_KILLING;
    return asked ? pool->core.give_up_ns : LP_FOREVER;
}

int libpool_shutdown(libpool *pool, uint32_t flags, int deadline_ms)
{
    int error = lp_door_check_wait(pool, (flags & LIBPOOL_WAIT) != 0);
    if (error)
        return error;
    if (flags & ~(uint32_t)(LIBPOOL_WAIT | LIBPOOL_CANCEL))
        return -EINVAL;
    pthread_mutex_lock(&pool->lock);
    begin_shutdown(pool, flags, deadline_ms);
    while ((flags & LIBPOOL_WAIT) && !pool->down && lp_supervisor_await(pool, patience_ns(pool)))
        continue;
    bool overran = (flags & LIBPOOL_WAIT) && pool->core.overran;
    lp_callbacks_leave(pool);
    pthread_mutex_unlock(&pool->lock);
    return overran ? -ETIME : 0;
}

/* False: that is being done already, further down the stack; or a callback forked, and this is the copy. */
static bool end_all(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool under_way = lp_callbacks_begin_close(pool);
    if (!under_way)
        begin_shutdown(pool, LIBPOOL_CANCEL, CLOSE_MS);
    while (!under_way && !pool->down)
        lp_supervisor_await(pool, LP_FOREVER);
    pthread_mutex_unlock(&pool->lock);
    if (under_way)
        return false;
    while (atomic_load(&pool->visitors))
        (void)lp_sys.sched_yield(); /* on their way out: every future has ended */
    return lp_callbacks_close(pool);
}

void libpool_close(libpool *pool)
{
    if (!pool)
        return;
    int error = lp_door_check_wait(pool, -1);
    bool forked = error == -ECHILD;
    if (error == -EDEADLK)
        return; /* in a worker it is not ours to close */
    if (forked)
        lp_callbacks_forget(pool);
    else if (!end_all(pool))
        return;
    lp_supervisor_close(pool, forked);
    free_pool(pool);
}

int libpool_fd(const libpool *pool)
{
    int error = lp_door_check(pool);
    return error ? error : pool->poller.epoll_fd;
}

int libpool_dispatch(libpool *pool)
{
    int error = lp_door_check(pool);
    if (!error && pool->has_thread)
        error = -EINVAL; /* its thread would wait for what was taken here */
    if (error)
        return error;
    lp_callbacks_dispatch(pool);
    return 0;
}

/* ---- groups --------------------------------------------------------------------------------- */

static void cancel_recalled(libpool *pool, struct lp_group_cancel *cancel)
{
    bool done = false;
    while (!done) {
        done = lp_pool_cancel_group(&pool->core, cancel, lp_supervisor_now());
        lp_supervisor_perform(pool);
    }
}

int64_t libpool_cancel_group(libpool *pool, uint64_t group, uint64_t *killed)
{
    struct lp_group_cancel cancel = {.group = group};
    int error = lp_door_check(pool);
    if (!error && group == 0)
        error = -EINVAL;
    if (error)
        return error;
    pthread_mutex_lock(&pool->lock);
    do { /* again, if a worker that was found corrupt has settled what was recalled */
        cancel.recall = false;
        cancel.next = 0;
        lp_supervisor_recall_all(pool);
        cancel_recalled(pool, &cancel);
    } while (cancel.recall);
    pthread_mutex_unlock(&pool->lock);
    if (killed)
        *killed = cancel.killed;
    return (int64_t)(cancel.dequeued + cancel.killed);
}

/* ---- futures -------------------------------------------------------------------------------- */

int libpool_future_wait(libpool_future *future, int timeout_ms)
{
    if (!future)
        return -EINVAL;
    if (lp_future_has_ended(future))
        return 0; /* without a look at the clock */
    struct lp_awaited end = lp_future_end(future);
    return lp_visit_wait(future, &end, timeout_ms, lp_door_deadline(timeout_ms));
}

const libpool_result *libpool_future_result(const libpool_future *future)
{
    return future && lp_future_has_ended(future) ? &future->result : NULL;
}

int libpool_future_cancel(libpool_future *future)
{
    return future ? lp_visit_cancel(future) : -EINVAL;
}

void libpool_future_free(libpool_future *future)
{
    if (!future || (future->callback && future->callback->detached))
        return;
    if (!lp_future_has_ended(future))
        lp_parts_refuse(future);
    lp_future_drop(future);
}

/* ---- numbers -------------------------------------------------------------------------------- */

int libpool_stats_read(libpool *pool, libpool_stats *stats)
{
    int error = lp_door_check(pool);
    if (error)
        return error;
    error = stats ? lp_door_check_size(stats->size) : -EINVAL;
    if (error)
        return error;
    libpool_stats ours = {.size = stats->size};
    pthread_mutex_lock(&pool->lock);
    lp_supervisor_stats(pool, &ours);
    pthread_mutex_unlock(&pool->lock);
    lp_door_give(stats, ours.size, &ours, sizeof ours);
    return 0;
}

int libpool_event_next(libpool *pool, libpool_event *event, int timeout_ms)
{
    int error = lp_door_check_wait(pool, timeout_ms);
    if (error)
        return error;
    error = event ? lp_door_check_size(event->size) : -EINVAL;
    if (error)
        return error;
    if (!pool->ring.capacity)
        return -ENOTSUP;
    uint64_t deadline_ns = lp_door_deadline(timeout_ms);
    pthread_mutex_lock(&pool->lock);
    struct lp_event_ring *ring = &pool->ring;
    while (ring->taken == ring->written && !error)
        if (pool->down)
            error = -ESHUTDOWN;
        else if (!lp_supervisor_await(pool, deadline_ns))
            error = -ETIMEDOUT;
    if (!error) {
        libpool_event *oldest = &ring->events[ring->taken++ % ring->capacity];
        oldest->size = event->size;
        lp_door_give(event, event->size, oldest, sizeof *oldest);
    }
    lp_callbacks_leave(pool);
    pthread_mutex_unlock(&pool->lock);
    return error;
}
