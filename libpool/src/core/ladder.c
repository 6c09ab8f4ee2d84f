/* SPDX-License-Identifier: MIT */
#include "core/ladder.h"

#include "core/pool.h"

bool lp_ladder_asks(const struct lp_pool *pool, uint32_t task)
{
    return pool->config.cooperative || pool->tasks.table[task].spec.grace_ns;
}

void lp_ladder_ask(struct lp_pool *pool, uint32_t slot, libpool_cause why)
{
    struct lp_worker *worker = &pool->workers[slot];
    if (worker->asked != LIBPOOL_PENDING)
        return;
    worker->asked = why;
    worker->soft_signal = pool->tasks.table[worker->task].spec.soft_signal;
    worker->run_deadline_ns = pool->now_ns + pool->tasks.table[worker->task].spec.grace_ns;
    if (!pool->config.cooperative)
        lp_worker_set_deadline(pool, slot, worker->run_deadline_ns);
    else if (!worker->queued) /* else what waits behind it is soon taken back */
        worker->deadline_ns = 0;
    pool->stats.tasks_asked++;
    lp_pool_emit(pool, LP_ACTION_ASK, slot)->task = worker->task;
    lp_pool_note(pool, LIBPOOL_EVENT_TASK_ASKED, slot, worker->task)->cause = why;
}

/* The worker's own word, if it can be true. */
static uint64_t believed_start_ns(const struct lp_pool *pool, const struct lp_task *task,
                                  uint64_t started_ns)
{
    bool can_be = started_ns >= task->assigned_ns && started_ns <= pool->now_ns;
    return can_be ? started_ns : task->assigned_ns;
}

/* When a task that the worker says it has begun has to end; 0: never. */
static uint64_t run_deadline_ns(const struct lp_pool *pool, const struct lp_task *task,
                                uint64_t started_ns)
{
    if (!task->spec.run_timeout_ns)
        return 0;
    return believed_start_ns(pool, task, started_ns) + task->spec.run_timeout_ns;
}

/* When its silence will have been too long, as far as is known by now; 0: never, or not while it waits. */
static uint64_t silence_deadline_ns(const struct lp_pool *pool, const struct lp_task *task,
                                    const struct lp_event *event)
{
    const struct lp_worker *worker = &pool->workers[event->slot];
    if (!task->spec.heartbeat_ns || worker->waiting)
        return 0;
    uint64_t sign_ns = believed_start_ns(pool, task, event->started_ns);
    if (event->beat_ns > sign_ns && event->beat_ns <= pool->now_ns)
        sign_ns = event->beat_ns;
    if (worker->waited_ns > sign_ns)
        sign_ns = worker->waited_ns;
    return sign_ns + task->spec.heartbeat_ns;
}

static void task_overran(struct lp_pool *pool, uint32_t slot, uint64_t due_ns)
{
    pool->workers[slot].overran_ns = due_ns;
    if (lp_ladder_asks(pool, pool->workers[slot].task))
        lp_ladder_ask(pool, slot, LIBPOOL_TIMEOUT);
    else
        lp_worker_kill(pool, slot, LIBPOOL_TIMEOUT);
}

uint64_t lp_ladder_ends_ns(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    const struct lp_worker *worker = &pool->workers[slot];
    if (worker->task == LP_NONE)
        return 0;
    const struct lp_task *task = &pool->tasks.table[worker->task];
    if (worker->run_deadline_ns)
        return worker->run_deadline_ns;
    return event->started_id == task->id ? run_deadline_ns(pool, task, event->started_ns) : 0;
}

void lp_ladder_look(struct lp_pool *pool, uint32_t slot, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[slot];
    const struct lp_task *task = &pool->tasks.table[worker->task];
    if (!worker->run_deadline_ns) /* its first word counts: a later one would only buy time */
        worker->run_deadline_ns = run_deadline_ns(pool, task, event->started_ns);
    uint64_t run_ns = worker->run_deadline_ns;
    uint64_t silence_ns = silence_deadline_ns(pool, task, event);
    uint64_t next_ns = silence_ns && (!run_ns || silence_ns < run_ns) ? silence_ns : run_ns;
    worker->silent = next_ns == silence_ns && next_ns != run_ns && next_ns <= pool->now_ns;
    if (next_ns && next_ns <= pool->now_ns)
        task_overran(pool, slot, next_ns);
    else if (next_ns)
        lp_worker_set_deadline(pool, slot, next_ns);
}
