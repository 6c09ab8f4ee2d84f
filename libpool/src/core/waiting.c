/* SPDX-License-Identifier: MIT */
#include "core/waiting.h"

#include <errno.h>

#include "core/pool.h"

bool lp_waiting_takes(const struct lp_pool *pool)
{
    return pool->phase <= LP_PHASE_DRAINING && !pool->cancel_pending;
}

int lp_waiting_may(const struct lp_pool *pool, uint32_t slot)
{
    if (pool->workers[slot].asked != LIBPOOL_PENDING)
        return -ECANCELED;
    if (!lp_waiting_takes(pool))
        return -ESHUTDOWN;
    return pool->waiting < pool->config.waiting_workers ? 0 : -EDEADLK;
}

/* Whoever is refused goes on: the one who told of it asks, too, and answers. */
bool lp_waiting_begin(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    if (event->task_id != pool->tasks.table[worker->task].id || worker->waiting || worker->queued)
        return false;
    if (lp_waiting_may(pool, slot))
        return true;
    worker->waiting = true;
    pool->waiting++;
    pool->made_room = true; /* for a task that takes its place */
    return true;
}

void lp_waiting_stop(struct lp_pool *pool, uint32_t slot)
{
    pool->waiting -= pool->workers[slot].waiting;
    pool->workers[slot].waiting = false;
}

void lp_waiting_end(struct lp_pool *pool, uint32_t slot)
{
    struct lp_worker *worker = &pool->workers[slot];
    const struct lp_task *task = &pool->tasks.table[worker->task];
    if (!worker->waiting)
        return;
    lp_waiting_stop(pool, slot);
    worker->waited_ns = pool->now_ns;
    uint64_t look_ns = pool->now_ns + task->spec.heartbeat_ns;
    if (task->spec.heartbeat_ns && worker->asked == LIBPOOL_PENDING &&
        (!worker->deadline_ns || worker->deadline_ns > look_ns))
        lp_worker_set_deadline(pool, slot, look_ns);
}

uint32_t lp_waiting_others(const struct lp_pool *pool)
{
    return pool->in_state[LP_WORKER_BUSY] - pool->waiting;
}

bool lp_waiting_all(const struct lp_pool *pool)
{
    return pool->tasks.running == pool->waiting;
}
