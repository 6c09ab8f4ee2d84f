/* SPDX-License-Identifier: MIT */
/*
 * slab: futures that are used again, without an allocation per task.
 *
 *     take (under the pool's lock) <--- free <--- returned <--- give (any thread, no lock)
 *
 * Given ones go on a stack that is emptied as a whole, so that no thread ever unlinks what another may
 * have used again meanwhile. A slab outlives its pool: it is freed by close, or with the last item that
 * is given back after it. Up to 4,096 items are kept; more are allocated one by one.
 */
#ifndef LP_SLAB_H
#define LP_SLAB_H

#include <stddef.h>

#include <libpool.h>

struct lp_slab;

struct lp_slab_item {     /* the first member of what is kept */
    struct lp_slab *slab; /* NULL: allocated by itself */
    struct lp_slab_item *next;
};

/* NULL: no memory. The allocator is copied. */
struct lp_slab *lp_slab_open(const libpool_allocator *allocator, size_t item_bytes);
/* Nothing is taken any more. */
void lp_slab_close(struct lp_slab *slab);

/*
 * Zeroed but for the header when it is new, else as it was given back; one of the slab's own begins with a
 * line of the cache. NULL: no memory. One thread at a time.
 */
struct lp_slab_item *lp_slab_take(struct lp_slab *slab);
/* From any thread; also after close. Not for one that was allocated by itself: that is released. */
void lp_slab_give(struct lp_slab_item *item);

#endif
