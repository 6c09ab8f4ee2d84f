/* SPDX-License-Identifier: MIT */
/*
 * trace: where a worker was when it crashed, written down by itself on its way to death.
 *
 *     fault --> handler, on a stack of its own: pc, callers, their objects --> window --> host
 *                 |
 *                 v the default disposition, the same signal once more: dies as it would have
 *
 * The handler takes no lock, allocates nothing, and trusts nothing that it finds: it may fault itself,
 * and then goes on with what it has. What it costs is paid by who asked for it.
 *
 * Untrusted, as all that is in a window: lp_trace_read brings it into bounds.
 */
#ifndef LP_OS_TRACE_H
#define LP_OS_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LP_TRACE_FRAMES 32u
#define LP_TRACE_NAMES 2048u /* bytes for the paths of objects */

struct lp_trace_frame {
    uint64_t address, offset; /* absolute, and from where its object begins */
    uint32_t name, unused;    /* where in `names` its object's begins; 0: it has none */
};

/* In a window; all 0 as long as nobody uses it. */
struct lp_trace {
    _Atomic uint64_t task_id; /* 0: there is none */
    uint64_t fault_address;
    int32_t signal, code, sender; /* as in siginfo_t; sender 0: a fault */
    uint32_t count;
    struct lp_trace_frame frames[LP_TRACE_FRAMES]; /* from the inside out */
    char names[LP_TRACE_NAMES];                    /* the first byte is 0 */
};

/* Zygote: has what the handler needs loaded, once for all workers. */
void lp_trace_preload(void);
/* Worker, before any code of the application's. The number of what it runs is looked for there. */
int lp_trace_install(struct lp_trace *trace, const uint64_t *task_id);

/* Host. */
void lp_trace_wipe(struct lp_trace *trace);
/* False: it is not about this task. What is copied has counts and places in bounds, and text that ends. */
bool lp_trace_read(const struct lp_trace *trace, uint64_t task_id, struct lp_trace *copy);

#endif
