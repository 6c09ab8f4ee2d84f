/* SPDX-License-Identifier: MIT */
#include "retries.h"

#include <errno.h>

#define LEAST_MS 10u /* when it is not said */
#define MOST_MS 1000u
#define BOUND_MS 3600000u /* so that doubling stays far from the end of 64 bits */

#define ON(cause) (1u << LIBPOOL_##cause)

/* The others are no failure of a run, or leave nobody who could run it. */
static const uint32_t causes = ON(ERROR) | ON(CRASH) | ON(EXIT) | ON(OOM) | ON(TIMEOUT) |
                               ON(KILLED) | ON(CORRUPT) | ON(LOST) | ON(MEMORY);

static uint32_t longest_ms(const libpool_task *task)
{
    if (task->retry_max_ms)
        return task->retry_max_ms;
    return task->retry_min_ms > MOST_MS ? task->retry_min_ms : MOST_MS;
}

int lp_retries_check(const libpool_task *task)
{
    bool both = !task->retries == !task->retry_causes;
    bool timed = task->retry_min_ms <= longest_ms(task) && longest_ms(task) <= BOUND_MS;
    return both && timed && !(task->retry_causes & ~causes) ? 0 : -EINVAL;
}

const struct lp_retry_rule *lp_retries_rule(const libpool_task *task, struct lp_retry_rule *rule)
{
    if (!task->retries)
        return NULL;
    uint32_t most_ms = longest_ms(task);
    uint32_t least_ms = task->retry_min_ms ? task->retry_min_ms : LEAST_MS;
    *rule = (struct lp_retry_rule){
        .limit = task->retries,
        .causes = task->retry_causes,
        .min_ns = (least_ms < most_ms ? least_ms : most_ms) * LP_MS,
        .max_ns = most_ms * LP_MS,
    };
    return rule;
}
