/* SPDX-License-Identifier: MIT */
/*
 * gather: one thread waits for many futures of one pool, and gets each when it ends.
 *
 *     attach              end, under the pool's lock         next
 *     -------> links of the future ----------------> queue --------> its place, free again
 *         \                                                     /
 *          +---- had ended before: the list of early ones -----+
 *
 * A future that somebody gathers has a flag in its word and a list of links, one for each gather. Its end
 * puts the link's place into the gather's queue and counts the gather's word on, which is the last that
 * is touched. A future that nobody gathers pays nothing: the flag comes with the word it changes anyway.
 *
 * A place holds one future; its number is what the caller knows it by. One thread at a time.
 */
#ifndef LP_GATHER_H
#define LP_GATHER_H

#include <sys/types.h>

#include "awaited.h"
#include "future.h"

#define LP_GATHER_MAX (1u << 28) /* futures: what the word can count without coming round */
#define LP_GATHER_TOLD 4u        /* the word counts in these steps; below them is LP_AWAITED */

struct lp_gather_link {
    struct lp_gather *gather;
    libpool_future *future; /* held; NULL: the place is free */
    /* in the future's list, under its pool's lock; or among the early ones */
    struct lp_gather_link *next;
};

struct lp_gather {
    _Atomic uint32_t word; /* how many were told, and LP_AWAITED */
    uint32_t taken;        /* the part of the word that was taken from the queue */
    uint32_t capacity;
    uint32_t queue_in;  /* under the pool's lock */
    uint32_t queue_out; /* the gatherer's */
    uint32_t attached;  /* told or still to be told; not the early ones */
    uint32_t cursor;    /* the first place that may hold what has not ended */
    struct lp_gather_link *early_first, *early_last;
    struct lp_gather_link *links;
    uint32_t *queue; /* places, as they ended */
    pid_t pid;       /* of the process that is told: in a copy of it, nobody is */
};

size_t lp_gather_bytes(uint32_t capacity);
/* memory: so many bytes, aligned to 16, the caller's. */
void lp_gather_init(struct lp_gather *gather, uint32_t capacity, void *memory);
/* Lets go of all. The memory is the caller's again. */
void lp_gather_deinit(struct lp_gather *gather);

/*
 * The futures are held from now on, each in its place, which is free (places NULL: 0, 1, 2...); a NULL
 * leaves its place free. All of one pool. 0, -EDEADLK, -ECHILD: nothing was attached.
 */
int lp_gather_attach(struct lp_gather *gather, const uint32_t *places, uint32_t n,
                     libpool_future *const *futures);

/*
 * The place of one that has ended, which is free from now on; -ENOENT: none is attached; -ETIMEDOUT;
 * -EDEADLK, -ECHILD: what is left is never told here.
 */
int64_t lp_gather_next(struct lp_gather *gather, int timeout_ms);

/* With the pool's lock held, when a future that has LP_FUTURE_GATHERED has ended. */
void lp_gather_tell(libpool_future *future);

#endif
