/* SPDX-License-Identifier: MIT */
/* retries: what a task says of further runs, checked and as the core takes it. */
#ifndef LP_RETRIES_H
#define LP_RETRIES_H

#include <libpool.h>

#include "core/tasks.h"

int lp_retries_check(const libpool_task *task); /* 0 or -EINVAL */
/* Fills *rule and returns it; NULL: the task is run once. */
const struct lp_retry_rule *lp_retries_rule(const libpool_task *task, struct lp_retry_rule *rule);

#endif
