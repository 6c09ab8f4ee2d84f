/* SPDX-License-Identifier: MIT */
#include "visit.h"

#include <errno.h>

#include "door.h"
#include "watch.h"

libpool *lp_visit(libpool_future *future)
{
    return lp_future_visit(future) ? future->pool : NULL;
}

void lp_visit_leave(libpool_future *future, libpool *pool)
{
    if (lp_future_leave(future))
        atomic_fetch_sub(&pool->visitors, 1); /* the last touch */
}

/* ---- waiting -------------------------------------------------------------------------------- */

static int drive_until_it_came(libpool *pool, const struct lp_awaited *awaited,
                               uint64_t deadline_ns)
{
    bool in_time = true;
    pthread_mutex_lock(&pool->lock);
    while (!lp_awaited_came(awaited) && in_time)
        in_time = lp_supervisor_await(pool, deadline_ns);
    lp_callbacks_leave(pool);
    pthread_mutex_unlock(&pool->lock);
    return lp_awaited_came(awaited) ? 0 : -ETIMEDOUT;
}

/* A short look at the workers' answers, or all the waiting where no thread drives the pool. */
static int wait_in_pool(libpool *pool, const struct lp_awaited *awaited, int timeout_ms,
                        uint64_t deadline_ns)
{
    int error = lp_door_check_wait(pool, timeout_ms);
    if (error)
        return error;
    if (!pool->has_thread && timeout_ms == 0)
        lp_supervisor_look(pool); /* who only ever looks gets somewhere, too */
    if (!pool->has_thread)
        return drive_until_it_came(pool, awaited, deadline_ns);
    return timeout_ms != 0 && lp_watch(pool, awaited, deadline_ns) ? 0 : -ETIMEDOUT;
}

static void arm_bells(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    lp_supervisor_before_sleep(pool);
    pthread_mutex_unlock(&pool->lock);
}

int lp_visit_wait(libpool_future *future, const struct lp_awaited *awaited, int timeout_ms,
                  uint64_t deadline_ns)
{
    libpool *pool = lp_visit(future);
    if (!pool)
        return 0;
    bool may_sleep = timeout_ms != 0 && pool->has_thread;
    int error = wait_in_pool(pool, awaited, timeout_ms, deadline_ns);
    if (error == -ETIMEDOUT && may_sleep)
        arm_bells(pool);
    lp_visit_leave(future, pool);
    return error == -ETIMEDOUT && may_sleep ? lp_awaited_sleep(awaited, deadline_ns) : error;
}

/* ---- cancelling ----------------------------------------------------------------------------- */

/* With the lock held. What waits in a worker's channel is taken back first. */
static int cancel_pending(libpool *pool, libpool_future *future)
{
    enum lp_cancel done = LP_CANCEL_RECALL;
    while (done == LP_CANCEL_RECALL && !lp_future_has_ended(future)) {
        done = lp_pool_cancel(&pool->core, future->task, lp_supervisor_now());
        if (done == LP_CANCEL_RECALL)
            lp_supervisor_recall(pool, pool->core.tasks.table[future->task].slot);
    }
    if (done == LP_CANCEL_RECALL) /* its result was there already: what was recalled goes on */
        lp_pool_settle(&pool->core, lp_supervisor_now());
    lp_supervisor_perform(pool);
    return done == LP_CANCEL_RECALL ? LIBPOOL_CANCEL_DONE : (int)done;
}

int lp_visit_cancel_inside(libpool *pool, libpool_future *future)
{
    return cancel_pending(pool, future);
}

static int cancel_in_pool(libpool *pool, libpool_future *future)
{
    int error = lp_door_check(pool);
    if (error)
        return error;
    pthread_mutex_lock(&pool->lock);
    int done = cancel_pending(pool, future);
    pthread_mutex_unlock(&pool->lock);
    return done;
}

int lp_visit_cancel(libpool_future *future)
{
    libpool *pool = lp_visit(future);
    if (!pool)
        return LIBPOOL_CANCEL_DONE;
    int done = cancel_in_pool(pool, future);
    lp_visit_leave(future, pool);
    return done;
}

/* With the lock held. What was sent ahead is pending again when it was recalled, if it was not begun. */
static void withdraw_pending(libpool *pool, libpool_future *future)
{
    const struct lp_task *task = &pool->core.tasks.table[future->task];
    if (lp_future_has_ended(future) || task->state == LP_TASK_RUNNING)
        return;
    if (task->state == LP_TASK_PREFETCHED)
        lp_supervisor_recall(pool, task->slot);
    bool waits = task->state == LP_TASK_PENDING || task->state == LP_TASK_WAITING;
    if (!lp_future_has_ended(future) && waits)
        (void)lp_pool_cancel(&pool->core, future->task, lp_supervisor_now());
    else
        lp_pool_settle(&pool->core, lp_supervisor_now());
    lp_supervisor_perform(pool);
}

void lp_visit_withdraw(libpool_future *future)
{
    libpool *pool = lp_visit(future);
    if (!pool)
        return;
    if (lp_door_check(pool) == 0) {
        pthread_mutex_lock(&pool->lock);
        withdraw_pending(pool, future);
        pthread_mutex_unlock(&pool->lock);
    }
    lp_visit_leave(future, pool);
}

static_assert((int)LIBPOOL_CANCEL_DONE == (int)LP_CANCEL_DONE, "one list");
static_assert((int)LIBPOOL_CANCEL_DEQUEUED == (int)LP_CANCEL_DEQUEUED, "one list");
static_assert((int)LIBPOOL_CANCEL_KILLED == (int)LP_CANCEL_KILLED, "one list");
static_assert((int)LIBPOOL_CANCEL_ASKED == (int)LP_CANCEL_ASKED, "one list");
