/* SPDX-License-Identifier: MIT */
/*
 * traces: whose trace it is that a worker has left in its window (os/trace.h), and its text.
 */
#ifndef LP_TRACES_H
#define LP_TRACES_H

#include <libpool.h>

#include "os/channel.h"

/* A copy for a task that has ended with its worker; NULL: there is no trace of it, or no memory. */
libpool_trace *lp_traces_take(struct lp_window *window, uint64_t task_id, int signal,
                              const libpool_allocator *allocator);
void lp_traces_release(const libpool_trace *trace, const libpool_allocator *allocator);

#endif
