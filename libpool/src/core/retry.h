/* SPDX-License-Identifier: MIT */
/*
 * retry: whether a run that failed is followed by another, and when.
 *
 * Only for a task whose rule names the cause, as often as it says, within the pool's budget, and never
 * once the pool is to end. The pause doubles from run to run. Two runs of one task are never under way
 * at once: the pause begins when nothing is left of the worker that failed it; what can't be killed is
 * waited for as long as a kill's grace. A worker that failed a task and lives (an ERROR, or a return
 * when it was asked to end) has cleared up after it. It leaves, so that its word on what it has begun
 * stays clear, and because it may be the cause.
 */
#ifndef LP_CORE_RETRY_H
#define LP_CORE_RETRY_H

#include "core/pool.h"

/* Is a run of this task that ends for this cause followed by another? */
bool lp_retry_may(struct lp_pool *pool, uint32_t task, libpool_cause cause);
/* Its user wants no more of it: however this run ends, it was the last. */
void lp_retry_forgo(struct lp_pool *pool, uint32_t task);
/* It is: the task begins to wait. */
void lp_retry_begin(struct lp_pool *pool, uint32_t task, const struct lp_outcome *outcome);
/* Nothing is left of the worker that was in this slot: the task that it failed pauses from now on. */
void lp_retry_let_go(struct lp_pool *pool, uint32_t slot);
/* A task was received: the budget grows. */
void lp_retry_earn(struct lp_pool *pool);

#endif
