/* SPDX-License-Identifier: MIT */
/*
 * visit: what the holder of a future does in its pool: waits there, and cancels.
 *
 * A pool may be closed while others still hold its futures. Who comes through one is counted in its
 * word while it has not ended, and in the pool from then on: the pool stays until the last has left.
 */
#ifndef LP_VISIT_H
#define LP_VISIT_H

#include "awaited.h"
#include "supervisor.h"

/* The pool of a future that has not ended; NULL: it has. Every visit is followed by leave. */
libpool *lp_visit(libpool_future *future);
void lp_visit_leave(libpool_future *future, libpool *pool);

/*
 * Waits for something that no later than this future's end brings about: a short look at the workers'
 * answers, then asleep; or all the waiting in the pool where no thread drives it. 0: it came, or the
 * future has ended meanwhile; -ETIMEDOUT; -EDEADLK, -ECHILD: not in this process.
 */
int lp_visit_wait(libpool_future *future, const struct lp_awaited *awaited, int timeout_ms,
                  uint64_t deadline_ns);

/* As libpool_future_cancel. */
int lp_visit_cancel(libpool_future *future);
/* The same with the pool's lock held. */
int lp_visit_cancel_inside(libpool *pool, libpool_future *future);
/* The same for one that has not begun; what a worker has is left to it. */
void lp_visit_withdraw(libpool_future *future);

#endif
