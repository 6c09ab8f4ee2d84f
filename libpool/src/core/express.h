/* SPDX-License-Identifier: MIT */
/*
 * express: the two shortest ways of a task through the policy, answered by a return value, not by actions.
 *
 *     in    sent ahead to the favourite, behind others that wait there, with the backlog empty
 *     out   a result as it should be, of a worker that goes on with the next of those
 *
 * Nothing else follows from either: no worker is wanted, changes its state or gets an earlier deadline. Of
 * the way in that is found out once for several tasks, and holds until any other call. What is done is
 * what would have been done without: only longer, through the backlog, an event, and a list of actions.
 */
#ifndef LP_CORE_EXPRESS_H
#define LP_CORE_EXPRESS_H

#include "core/event.h"
#include "core/tasks.h"

struct lp_pool;

struct lp_express {
    uint32_t slot; /* to the worker there... */
    uint32_t left; /* ...so many more tasks may be sent... */
    uint64_t until_ns;
};

/* The index of the task, which is with its worker, to be sent there; LP_NONE: nothing was done. */
uint32_t lp_express_submit(struct lp_pool *pool, const struct lp_task_spec *spec, uint64_t now_ns);
/* RESULT: the index of the task, which has ended; LP_NONE: nothing was done. */
uint32_t lp_express_end(struct lp_pool *pool, const struct lp_event *event);

bool lp_express_check(const struct lp_pool *pool);

#endif
