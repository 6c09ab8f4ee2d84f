/* SPDX-License-Identifier: MIT */
#include "core/express.h"

#include "base/rare.h"

#include "core/histogram.h"
#include "core/pool.h"
#include "core/prefetch.h"
#include "core/retry.h"

/* ---- in --------------------------------------------------------------------------------------- */

/* So many, as things are: a note or a look at the memory would have to follow, or another worker. */
static LP_RARE uint32_t allowance(const struct lp_pool *pool, uint64_t *until_ns)
{
    if (pool->phase != LP_PHASE_OPEN || pool->unsettled || pool->config.notes ||
        pool->config.admits)
        return 0;
    uint32_t left = lp_prefetch_allowance(pool, until_ns);
    return left && lp_pool_is_strong_for(pool, left) ? left : 0;
}

/* Its size may be as large as any that is sent ahead; nothing is to be looked at but room and order. */
static bool may_go(const struct lp_pool *pool, const struct lp_task_spec *spec)
{
    return !spec->queue_timeout_ns && !spec->kind && !spec->memory_limit_bytes &&
           spec->bytes <= LP_PREFETCH_BYTES &&
           pool->tasks.pending_bytes + spec->bytes <= pool->config.backlog_bytes;
}

uint32_t lp_express_submit(struct lp_pool *pool, const struct lp_task_spec *spec, uint64_t now_ns)
{
    struct lp_express *express = &pool->express;
    if (!may_go(pool, spec))
        return LP_NONE;
    pool->now_ns = now_ns;
    if (express->left == 0 || now_ns > express->until_ns) {
        express->slot = pool->favourite;
        express->left = allowance(pool, &express->until_ns);
    }
    if (express->left == 0)
        return LP_NONE;
    uint32_t index = lp_tasks_add_ahead(&pool->tasks, spec, now_ns);
    if (index == LP_NONE)
        return LP_NONE;
    express->left--;
    lp_prefetch_add(pool, express->slot, index);
    pool->stats.tasks_received++;
    lp_retry_earn(pool);
    return index;
}

/* ---- out -------------------------------------------------------------------------------------- */

/* Of a worker that has only to go on. */
static bool goes_on(const struct lp_pool *pool, const struct lp_worker *worker)
{
    return worker->state == LP_WORKER_BUSY && worker->queued && worker->asked == LIBPOOL_PENDING &&
           !(worker->aged_ns && worker->aged_ns <= pool->now_ns);
}

/* It has completed, and what its worker says of the times can be true. */
static bool is_as_it_should_be(const struct lp_pool *pool, const struct lp_task *task,
                               const struct lp_event *event)
{
    return event->task_id == task->id && event->started_id == task->id && !event->code &&
           !event->leaves && !event->grown && event->started_ns >= task->assigned_ns &&
           event->started_ns < event->ended_ns && event->ended_ns <= pool->now_ns &&
           !task->spec.kind && !task->spec.retry && !task->spec.memory_limit_bytes;
}

static void end(struct lp_pool *pool, const struct lp_worker *worker, struct lp_task *task,
                const struct lp_event *event)
{
    struct lp_outcome *outcome = &task->outcome;
    *outcome = (struct lp_outcome){.cause = LIBPOOL_COMPLETED,
                                   .certainty = LIBPOOL_HAS_RUN,
                                   .pid = worker->pid,
                                   .slot = event->slot,
                                   .number = worker->number,
                                   .pending_ns = event->started_ns - task->submitted_ns,
                                   .running_ns = event->ended_ns - event->started_ns,
                                   .attempts = 1};
    task->state = LP_TASK_ENDED;
    pool->tasks.running--;
    pool->tasks.ended++;
    pool->stats.tasks_ended[LIBPOOL_COMPLETED]++;
    lp_histogram_add(&pool->histograms[LIBPOOL_HISTOGRAM_WAIT], outcome->pending_ns);
    lp_histogram_add(&pool->histograms[LIBPOOL_HISTOGRAM_RUN], outcome->running_ns);
    lp_prefetch_learn(pool, outcome->running_ns);
}

/* Not beside actions that wait to be performed: some of them may be ends, which come first. */
uint32_t lp_express_end(struct lp_pool *pool, const struct lp_event *event)
{
    struct lp_worker *worker = &pool->workers[event->slot];
    if (event->generation != worker->generation || !goes_on(pool, worker) || pool->n_actions ||
        pool->config.notes || pool->spawn_backoff.failures)
        return LP_NONE;
    uint32_t index = worker->task;
    struct lp_task *task = &pool->tasks.table[index];
    if (!is_as_it_should_be(pool, task, event))
        return LP_NONE;
    end(pool, worker, task, event);
    worker->last_id = task->id;
    worker->tasks_done++;
    worker->recalled = false;
    lp_worker_go_on(pool, event->slot);
    return index;
}

/* ---- the checker ------------------------------------------------------------------------------ */

bool lp_express_check(const struct lp_pool *pool)
{
    const struct lp_express *express = &pool->express;
    uint64_t until_ns = 0;
    if (express->left == 0 || pool->now_ns > express->until_ns)
        return true;
    return express->slot == pool->favourite && allowance(pool, &until_ns) >= express->left &&
           until_ns == express->until_ns;
}
