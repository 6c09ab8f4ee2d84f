/* SPDX-License-Identifier: MIT */
/*
 * orphans: the zygote's children that are no living worker. Their worker is dead, or let go of them
 * by ceasing to be a sub-reaper; either way they are killed on sight.
 *
 * Each remembers how many workers had died when it was first seen, so that one which can't die (it
 * is frozen, say) is held against those workers only that may have left it behind.
 *
 * The kernel lists children in the order of birth and adoption, and only the zygote reaps them. So
 * one pass along that list, beside the living workers in the order of birth and the orphans already
 * known, tells all three apart without a search.
 */
#ifndef LP_OS_ORPHANS_H
#define LP_OS_ORPHANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct lp_orphan {
    pid_t pid; /* 0: reaped */
    uint64_t deaths;
};

struct lp_orphans {
    struct lp_orphan *items, *spare; /* in the order of adoption; the spare half is for merging */
    size_t n;
    bool overflow; /* there were more than could be noted; all were killed */
    pid_t *listing;
    size_t listing_max;
};

struct lp_workers { /* the living, in the order of birth */
    pid_t *pids;
    uint32_t *slots;
    size_t n;
};

int lp_orphans_init(struct lp_orphans *orphans, uint32_t slots);

/*
 * Lists the children, kills those that are no workers, and notes the new ones under `deaths`. One
 * for which is_elsewhere says true is killed but not noted: its end is proven elsewhere.
 */
void lp_orphans_sweep(struct lp_orphans *orphans, const struct lp_workers *workers, uint64_t deaths,
                      bool (*is_elsewhere)(const void *context, pid_t pid), const void *context);

void lp_orphans_reaped(struct lp_orphans *orphans, pid_t pid);

/* True when one may be left that was adopted at that death or later, as of the last sweep. */
bool lp_orphans_since(const struct lp_orphans *orphans, uint64_t death);

#endif
