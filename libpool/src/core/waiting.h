/* SPDX-License-Identifier: MIT */
/*
 * waiting: tasks that wait for others that they have submitted to their own pool.
 *
 * As long as a task waits its worker does not count against max_workers, so there is always room for those it
 * waits for: no more than waiting_workers wait at once, the next one is refused. Nobody has to know who waits
 * for whom. Nobody waits for a place to go on either: when a wait ends its worker counts again, though there
 * may be as many others by then. Those go on, and no further task begins until there are fewer.
 */
#ifndef LP_CORE_WAITING_H
#define LP_CORE_WAITING_H

#include <stdbool.h>
#include <stdint.h>

struct lp_event;
struct lp_pool;

/* 0: the task of a busy worker may wait; -EDEADLK: as many do; -ESHUTDOWN; -ECANCELED: it is to end. */
int lp_waiting_may(const struct lp_pool *pool, uint32_t slot);
/* What a task waits for is taken: also while a shutdown drains, or the task could never end. */
bool lp_waiting_takes(const struct lp_pool *pool);

/* BUSY: it waits, if it may; false: it can't say so. Silence counts again from the end of a wait. */
bool lp_waiting_begin(struct lp_pool *pool, uint32_t slot, const struct lp_event *event);
void lp_waiting_end(struct lp_pool *pool, uint32_t slot);
/* It is BUSY no more. */
void lp_waiting_stop(struct lp_pool *pool, uint32_t slot);

/* Workers that run something, and don't wait. */
uint32_t lp_waiting_others(const struct lp_pool *pool);
/* Nothing is run but what waits. */
bool lp_waiting_all(const struct lp_pool *pool);

#endif
