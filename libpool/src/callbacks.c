/* SPDX-License-Identifier: MIT */
#include "callbacks.h"

#include "base/alloc.h"
#include "door.h"
#include "future.h"
#include "supervisor.h"

bool lp_callbacks_accepts(const libpool *pool)
{
    return pool->options.flags & (LIBPOOL_NO_THREAD | LIBPOOL_CALLBACKS);
}

struct lp_callback *lp_callbacks_new(libpool_future *future, const libpool_task *task)
{
    struct lp_callback *callback = lp_alloc_zeroed(&future->allocator, sizeof *callback);
    if (!callback)
        return NULL;
    callback->future = future;
    callback->started = task->started;
    callback->done = task->done;
    callback->arg = task->callback_arg;
    callback->start.of = callback->end.of = callback;
    future->pool->callbacks.used = true;
    return callback;
}

/* ---- in, under the lock --------------------------------------------------------------------- */

static bool is_runner(const struct lp_callbacks *callbacks)
{
    return callbacks->runs && pthread_equal(callbacks->runner, pthread_self());
}

void lp_callbacks_leave(libpool *pool)
{
    const struct lp_callbacks *callbacks = &pool->callbacks;
    if (callbacks->first && (pool->options.flags & LIBPOOL_NO_THREAD) && !callbacks->runs)
        lp_poller_nudge(&pool->poller);
}

static void append(libpool *pool, struct lp_callback_link *link)
{
    struct lp_callbacks *callbacks = &pool->callbacks;
    link->next = NULL;
    if (callbacks->first)
        callbacks->last->next = link;
    else
        callbacks->first = link;
    callbacks->last = link;
    callbacks->waiting++;
    if (callbacks->asleep)
        pthread_cond_signal(&callbacks->came);
    else if (callbacks->waiting == 1 && !pool->driving)
        lp_callbacks_leave(pool);
}

bool lp_callbacks_are_full(const libpool *pool, const libpool_future *future)
{
    const struct lp_callbacks *callbacks = &pool->callbacks;
    return future->callback && callbacks->waiting >= pool->options.backlog_tasks &&
           !is_runner(callbacks);
}

void lp_callbacks_start(libpool *pool, libpool_future *future)
{
    struct lp_callback *callback = future->callback;
    if (!callback->told && callback->started)
        append(pool, &callback->start);
    callback->told = true;
}

void lp_callbacks_end(libpool *pool, libpool_future *future)
{
    append(pool, &future->callback->end);
}

/* ---- out ------------------------------------------------------------------------------------ */

/*
 * Takes out and calls the first, with the lock held before and after. False: the pool is gone, or this is
 * another process by now; then it is not.
 */
static bool call_first(libpool *pool, const bool *gone)
{
    struct lp_callbacks *callbacks = &pool->callbacks;
    struct lp_callback_link *link = callbacks->first;
    struct lp_callback *callback = link->of;
    bool ends = link == &callback->end;
    libpool_callback *function = ends ? callback->done : callback->started;
    callbacks->first = link->next;
    callbacks->waiting--;
    pthread_mutex_unlock(&pool->lock);
    if (function)
        function(callback->future, callback->arg);
    if (ends)
        lp_future_drop(callback->future);
    if (*gone || lp_door_check(pool))
        return false;
    pthread_mutex_lock(&pool->lock);
    if (pool->waiters)
        pthread_cond_broadcast(&pool->changed); /* for room */
    return true;
}

/* Up to n of them, as the one who runs. False: as above. */
static bool call_some(libpool *pool, uint32_t n)
{
    struct lp_callbacks *callbacks = &pool->callbacks;
    bool gone = false, alive = true;
    callbacks->runs = true;
    callbacks->runner = pthread_self();
    callbacks->gone = &gone;
    while (alive && callbacks->first && n--)
        alive = call_first(pool, &gone);
    if (!gone)
        callbacks->runs = false; /* also in a copy of the process: `gone` ends with this call */
    return alive;
}

/* From inside a callback: whoever is outside of it goes on being the runner. */
static bool call_rest(libpool *pool)
{
    bool gone = false, alive = true;
    while (alive && pool->callbacks.first)
        alive = call_first(pool, &gone);
    return alive;
}

static void *run(void *arg)
{
    libpool *pool = arg;
    struct lp_callbacks *callbacks = &pool->callbacks;
    bool alive = true;
    pthread_mutex_lock(&pool->lock);
    while (alive && (callbacks->first || !callbacks->stop)) {
        callbacks->asleep = !callbacks->first;
        if (callbacks->asleep)
            pthread_cond_wait(&callbacks->came, &pool->lock);
        callbacks->asleep = false;
        alive = call_some(pool, UINT32_MAX);
    }
    if (alive)
        pthread_mutex_unlock(&pool->lock);
    return NULL;
}

void lp_callbacks_dispatch(libpool *pool)
{
    struct lp_callbacks *callbacks = &pool->callbacks;
    pthread_mutex_lock(&pool->lock);
    bool mine = !callbacks->runs;
    if (mine)
        callbacks->runs = true; /* nobody needs to be told of what this one will look for */
    callbacks->runner = mine ? pthread_self() : callbacks->runner;
    pthread_mutex_unlock(&pool->lock);
    lp_supervisor_look(pool);
    if (!mine)
        return;
    pthread_mutex_lock(&pool->lock);
    if (!call_some(pool, callbacks->waiting))
        return;
    lp_callbacks_leave(pool);
    pthread_mutex_unlock(&pool->lock);
}

/* ---- opening and closing -------------------------------------------------------------------- */

int lp_callbacks_open(libpool *pool)
{
    struct lp_callbacks *callbacks = &pool->callbacks;
    if (!(pool->options.flags & LIBPOOL_CALLBACKS))
        return 0;
    lp_supervisor_init_condition(&callbacks->came);
    int error = lp_supervisor_start_thread(&callbacks->thread, run, pool);
    callbacks->has_thread = error == 0;
    if (error)
        pthread_cond_destroy(&callbacks->came);
    return error;
}

bool lp_callbacks_begin_close(libpool *pool)
{
    struct lp_callbacks *callbacks = &pool->callbacks;
    bool under_way = callbacks->closing && is_runner(callbacks);
    callbacks->closing = true;
    return under_way;
}

/* The thread is this one, inside a callback: it ends by itself when that returns. */
static void leave_thread(struct lp_callbacks *callbacks)
{
    *callbacks->gone = true;
    if (callbacks->has_thread)
        pthread_detach(pthread_self());
}

static void end_thread(libpool *pool)
{
    struct lp_callbacks *callbacks = &pool->callbacks;
    pthread_mutex_lock(&pool->lock);
    callbacks->stop = true;
    pthread_cond_signal(&callbacks->came);
    pthread_mutex_unlock(&pool->lock);
    pthread_join(callbacks->thread, NULL);
}

bool lp_callbacks_close(libpool *pool)
{
    struct lp_callbacks *callbacks = &pool->callbacks;
    bool alive = true;
    pthread_mutex_lock(&pool->lock);
    bool inside = is_runner(callbacks);
    if (inside)
        alive = call_rest(pool);
    else if (!callbacks->has_thread)
        alive = call_some(pool, UINT32_MAX);
    if (!alive)
        return false;
    pthread_mutex_unlock(&pool->lock);
    if (inside)
        leave_thread(callbacks);
    else if (callbacks->has_thread)
        end_thread(pool);
    if (callbacks->has_thread)
        pthread_cond_destroy(&callbacks->came);
    return true;
}

/* A callback may have forked, and the copy of it closes. */
void lp_callbacks_forget(libpool *pool)
{
    if (is_runner(&pool->callbacks) && pool->callbacks.gone)
        *pool->callbacks.gone = true;
}
