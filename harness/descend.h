/* SPDX-License-Identifier: MIT */
/*
 * descend: processes that a task starts and leaves behind, in the ways that defeat who would kill
 * them: own session, double fork, held descriptors, blocked signals, a chain that moves on faster
 * than a walk. Each one writes itself into the history, so that none can be forgotten.
 */
#ifndef HARNESS_DESCEND_H
#define HARNESS_DESCEND_H

#include "harness/history.h"
#include "harness/tasks.h"

/* Returns when they run. 0 or -errno of fork. */
int hn_descend(struct hn_history *history, const struct hn_order *order);

#endif
