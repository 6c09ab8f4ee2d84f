/* SPDX-License-Identifier: MIT */
#include "core/retry.h"

#define WHOLE 100u /* retry_budget counts in hundredths */

/* Nothing is begun anew that the shutdown would not let run. */
static bool is_ending(const struct lp_pool *pool)
{
    bool overdue = pool->shutdown_deadline_ns && pool->now_ns >= pool->shutdown_deadline_ns;
    return pool->cancel_pending || pool->phase > LP_PHASE_DRAINING || overdue;
}

/* A thread that was found talking nonsense goes on, and may begin the task yet: nobody can stop it. */
static bool may_begin_late(const struct lp_pool *pool, libpool_cause cause)
{
    return pool->config.cooperative && (cause == LIBPOOL_CORRUPT || cause == LIBPOOL_LOST);
}

bool lp_retry_may(struct lp_pool *pool, uint32_t index, libpool_cause cause)
{
    const struct lp_task_spec *spec = &pool->tasks.table[index].spec;
    const struct lp_retry_rule *rule = spec->retry;
    if (!rule || !(rule->causes >> cause & 1) || is_ending(pool) || may_begin_late(pool, cause))
        return false;
    if (lp_quarantine_holds(&pool->quarantine, spec->kind, pool->now_ns))
        return false;
    bool affordable = !pool->config.retry_percent || pool->retry_budget >= WHOLE;
    return affordable && pool->tasks.retries[index].retried < rule->limit;
}

/* One that was asked to end for another reason keeps that, though it was cancelled since. */
void lp_retry_forgo(struct lp_pool *pool, uint32_t index)
{
    if (pool->tasks.table[index].spec.retry)
        pool->tasks.retries[index].rule.causes = 0;
}

static void draw_pause(struct lp_pool *pool, struct lp_retry *retry)
{
    struct lp_backoff backoff = {.min_ns = retry->rule.min_ns,
                                 .max_ns = retry->rule.max_ns,
                                 .random = pool->retry_random,
                                 .failures = retry->retried - 1};
    lp_backoff_failed(&backoff, 0, 0);
    pool->retry_random = backoff.random;
    retry->pause_ns = backoff.until_ns;
}

void lp_retry_begin(struct lp_pool *pool, uint32_t index, const struct lp_outcome *outcome)
{
    struct lp_retry *retry = &pool->tasks.retries[index];
    lp_tasks_retry(&pool->tasks, index, outcome);
    draw_pause(pool, retry);
    uint64_t until_ns = pool->now_ns + retry->pause_ns;
    bool answered = outcome->cause == LIBPOOL_ERROR || outcome->certainty == LIBPOOL_HAS_RUN;
    if (!answered) { /* else its worker has cleared up after it */
        pool->workers[outcome->slot].held = index;
        until_ns += LP_KILL_GRACE_NS;
    }
    lp_tasks_pause(&pool->tasks, index, until_ns);
    if (pool->config.retry_percent)
        pool->retry_budget -= WHOLE;
}

/* The task may have ended meanwhile, or have been run elsewhere. */
void lp_retry_let_go(struct lp_pool *pool, uint32_t slot)
{
    uint32_t index = pool->workers[slot].held;
    pool->workers[slot].held = LP_NONE;
    if (index == LP_NONE)
        return;
    const struct lp_task *task = &pool->tasks.table[index];
    if (task->state == LP_TASK_WAITING && task->slot == slot)
        lp_tasks_pause(&pool->tasks, index, pool->now_ns + pool->tasks.retries[index].pause_ns);
}

/* More tasks, more retries: some part of the load, not a multiple of it. */
void lp_retry_earn(struct lp_pool *pool)
{
    if (!pool->config.retry_percent)
        return;
    pool->retry_budget += pool->config.retry_percent;
    if (pool->retry_budget > WHOLE * LP_RETRY_SAVED)
        pool->retry_budget = WHOLE * LP_RETRY_SAVED;
}
