/* SPDX-License-Identifier: MIT */
/*
 * prefetch: which tasks are sent to a worker ahead of their time, and what waits in its channel.
 *
 * Handing over a task that takes 1 us by a wake-up that takes 10 us would leave the worker idle for most
 * of its time. So the pool learns how long tasks take, and a busy worker gets as many tiny ones on top
 * of the one it runs as it does in LP_PREFETCH_NS; a fair share of the backlog at most, and only what
 * is left when everybody idle has a task. A worker has a queue of them in the order of sending: each
 * is LP_TASK_PREFETCHED until the result of the one before it is told. What turns out to wait behind a
 * task that takes long is recalled, and goes back to the head of its level.
 */
#ifndef LP_CORE_PREFETCH_H
#define LP_CORE_PREFETCH_H

#include "core/worker.h"

struct lp_pool;

/* When what is sent ahead now, or waits since now, is taken back: sooner where somebody else could run it. */
uint64_t lp_prefetch_patience_ns(const struct lp_pool *pool);

/* A task has taken so long. */
void lp_prefetch_learn(struct lp_pool *pool, uint64_t run_ns);

/* The slot's worker may be sent more in the steps to come: it has begun something. */
void lp_prefetch_mark_hungry(struct lp_pool *pool, uint32_t slot);
/* Sends what is left of the backlog to those who are hungry, within the bounds of a step. */
void lp_prefetch_settle(struct lp_pool *pool);

/*
 * The favourite: the worker that was assigned a task last, or the first since that has told a result.
 * It is sent what it will have done before another could be woken; also while others are idle, but then
 * no more waits than the backlog may hold, and not for long. False: nothing was sent.
 */
bool lp_prefetch_concentrate(struct lp_pool *pool);
/*
 * So many tasks, one after the other, it would give the favourite if nothing but these tasks came, and not
 * after *until_ns: with the backlog empty and others waiting there, so that it is looked after already.
 */
uint32_t lp_prefetch_allowance(const struct lp_pool *pool, uint64_t *until_ns);
/* The next task is of a kind that is in quarantine. */
bool lp_prefetch_is_held(struct lp_pool *pool);

/* The queue: one joins its end; its first leaves it (there is one); any does; all go back to the backlog. */
void lp_prefetch_add(struct lp_pool *pool, uint32_t slot, uint32_t task);
uint32_t lp_prefetch_take(struct lp_pool *pool, uint32_t slot);
void lp_prefetch_remove(struct lp_pool *pool, uint32_t slot, uint32_t task);
void lp_prefetch_give_back(struct lp_pool *pool, uint32_t slot);

/* The slot's queue is what it says. */
bool lp_prefetch_check(const struct lp_pool *pool, uint32_t slot);

#endif
