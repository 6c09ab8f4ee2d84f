/* SPDX-License-Identifier: MIT */
/*
 * ladder: how a task that runs for too long, is silent for too long or is cancelled is ended: asked first
 * where it has a grace, then killed.
 *
 * A beat costs nothing: it is looked at only when there might have been none, and the next look is when
 * there might be none after the last one seen.
 */
#ifndef LP_CORE_LADDER_H
#define LP_CORE_LADDER_H

#include "core/event.h"
#include "core/tasks.h"
#include "core/worker.h"

/* It is asked first, before anything is done to its worker. */
bool lp_ladder_asks(const struct lp_pool *pool, uint32_t task);
/* BUSY with such a task: asks it to end, unless it was asked before. */
void lp_ladder_ask(struct lp_pool *pool, uint32_t slot, libpool_cause why);
/* BUSY, its task has begun and was not asked: has it overrun? Else the worker's next deadline is set. */
void lp_ladder_look(struct lp_pool *pool, uint32_t slot, const struct lp_event *event);
/* It is dying: when does what it runs have to end? It can't be silent any more. 0: when its death is told. */
uint64_t lp_ladder_ends_ns(struct lp_pool *pool, uint32_t slot, const struct lp_event *event);

/* It has ended in time, only its answer was late: nobody would have been asked. */
static inline void lp_ladder_answered(struct lp_worker *worker, uint64_t ended_ns)
{
    if (worker->asked == LIBPOOL_TIMEOUT && ended_ns < worker->overran_ns)
        worker->asked = LIBPOOL_PENDING;
}

/* What was asked to end ends as that, whatever it did then or was done to it. */
static inline libpool_cause lp_ladder_cause(const struct lp_worker *worker, libpool_cause cause)
{
    return worker->asked == LIBPOOL_PENDING ? cause : worker->asked;
}

/* For how long it was silent, if it ends for that. */
static inline uint32_t lp_ladder_silent_ms(const struct lp_worker *worker,
                                           const struct lp_task *task, libpool_cause cause)
{
    bool is_why = worker->silent && cause == LIBPOOL_TIMEOUT;
    return is_why ? (uint32_t)(task->spec.heartbeat_ns / LP_MS) : 0;
}

/*
 * The signal that the worker was sent has killed it: nobody from outside did. Its task may have ended since,
 * by a cancel that came when the worker was dead already.
 */
static inline bool lp_ladder_killed_it(const struct lp_worker *worker, const struct lp_event *event)
{
    return event->signal && event->signal == worker->soft_signal;
}

#endif
