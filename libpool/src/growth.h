/* SPDX-License-Identifier: MIT */
/*
 * growth: a worker's look at its own memory after a task: has it grown too big, is there something to
 * give back?
 *
 * What counts is what it has grown by since its initializer: a worker that is large from the start would
 * be replaced for ever. A look costs 5 us (it keeps no descriptor open for it), so it is not taken after
 * every task: LP_GROWTH_TASK_NS and LP_GROWTH_PAUSE_NS.
 *
 * It also looks for what cgroup v1 does to a tree: the kernel kills one process of it, and the others go
 * on. A worker that finds that out dies, by the signal that the kernel would have sent to all.
 */
#ifndef LP_GROWTH_H
#define LP_GROWTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpool.h>

#include "os/cgroup_place.h"

#define LP_GROWTH_TASK_NS 1000000u   /* after a task that took so long it looks */
#define LP_GROWTH_PAUSE_NS 10000000u /* and after any task so long after its last look */
#define LP_GROWTH_TREE_NS \
    200000u /* nothing that took less has forked, eaten memory and been killed */

struct lp_growth {
    uint64_t most_bytes; /* above that it leaves; UINT64_MAX: never */
    uint64_t trim_bytes; /* above that it trims; UINT64_MAX: never */
    uint64_t base_bytes; /* what it held after its initializer */
    uint64_t kept_bytes; /* what it had grown by, and could not give back, when it trimmed last */
    uint64_t looked_ns;
    const struct lp_cgroup_place *place; /* NULL: no limit by cgroup v1 */
    uint32_t slot;
    uint64_t oom_kills;
};

/* When the initializer is done. place is borrowed. */
void lp_growth_begin(struct lp_growth *growth, const libpool_options *options,
                     const struct lp_cgroup_place *place, uint32_t slot);

/* Whether a look is due after a task that took run_ns and ended at now_ns. No system call. */
static inline bool lp_growth_is_due(const struct lp_growth *growth, uint64_t run_ns,
                                    uint64_t now_ns)
{
    return (growth->most_bytes & growth->trim_bytes) != UINT64_MAX &&
           (run_ns >= LP_GROWTH_TASK_NS || now_ns >= growth->looked_ns + LP_GROWTH_PAUSE_NS);
}

/* Trims, if that is due. own_bytes: of the pool's own, which do not count. True: it has outgrown. */
bool lp_growth_look(struct lp_growth *growth, uint64_t own_bytes, uint64_t now_ns);

/* With a place. True: the kernel has killed one of the tree for its memory since the worker was ready. */
bool lp_growth_was_cut(const struct lp_growth *growth, uint64_t run_ns);

/* What malloc holds and nobody uses, to the kernel. A libc without such a call (musl) keeps little. */
void lp_growth_give_back(void);

#endif
